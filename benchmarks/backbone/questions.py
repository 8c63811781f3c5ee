"""Questions that are cross-validated within one collection: pneumonia, orientation, COVID."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.heads.pooling import Pooling
from benchmarks.backbone import corpus
from benchmarks.backbone.figures import Margins, auc_difference, auc_figures
from benchmarks.backbone.kept import cross_validated
from benchmarks.backbone.pairs import pairs
from benchmarks.backbone.prepared import Prepared, prepare
from benchmarks.backbone.sizes import Sizes
from benchmarks.backbone.vectors import Backbone

HEADLINE = Pooling.BOTH


@dataclass(frozen=True)
class Question:
    """What is asked of the films of one collection."""

    name: str
    title: str
    positive: str
    note: str


QUESTIONS = (
    Question("chest", "Pneumonia on chest films, patients apart", "pneumonia", "Kermany's training films"),
    Question("orientation", "Frontal or lateral, patients apart", "lateral", "patients by the collection's manifest"),
    Question(
        "covid", "COVID or normal", "COVID",
        "the classes come from different hospitals and no patient is known: a test of features, no claim about COVID",
    ),
)  # fmt: skip


def scans_of(question: Question, folder: Path, sizes: Sizes, cache: Path) -> Prepared:
    """Raises InvalidInput where the corpus lacks the collection."""
    match question.name:
        case "chest":
            files = corpus.chest(folder, sizes.films)
        case "orientation":
            files = corpus.orientation(folder)
        case _:
            files = corpus.covid(folder, sizes.covid)
    return prepare(question.name, files, cache)


def measure(scans: Prepared, backbones: Sequence[Backbone]) -> dict[str, Any]:
    """Out-of-fold figures by backbone and pooling, and what the backbones differ by."""
    y, subjects = scans.column("y"), scans.column("subject")
    margins: dict[str, Margins] = {}
    figures: dict[str, dict[str, Any]] = {}
    for backbone in backbones:
        vectors, figures[backbone.name] = backbone.vectors(scans), {}
        for pooling in Pooling:
            found = cross_validated(vectors.features(pooling), y, subjects, backbone.cache)
            figures[backbone.name][pooling.value] = {
                **auc_figures(y == 1, found.margins, subjects), "c": list(found.chosen),
            }  # fmt: skip
            if pooling is HEADLINE:
                margins[backbone.name] = found.margins
    return {
        "images": len(y),
        "positive": int(y.sum()),
        "subjects": len(set(subjects)),
        "backbones": figures,
        "differences": [
            {"of": one, "from": other, **auc_difference(y == 1, margins[one], margins[other], subjects)}
            for one, other in pairs(list(margins))
        ],
    }
