"""`python -m benchmarks.finetuning`: what fine-tuning and small networks are worth on held-out patients.

For each set of films: a head on the stored features (before), the last block fine-tuned, small networks from scratch.
Every head is trained by the same recipe on the same rows, and scored once on the test patients. Prints a markdown
table and writes the learning curves as PNG.
"""

import argparse
import csv
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from app.datasets.splits import TEST, VALIDATION, by_units
from app.features import backbone
from app.features.backbones import make_spec
from app.features.finetuning.loop import Watch
from app.features.finetuning.plot import plot
from app.features.finetuning.recipe import BackboneRecipe
from app.features.finetuning.training import LabelledScans, Start, Trained, train
from app.features.spec import FeatureSetSpec
from app.features.weights import ResolvedWeights, resolve
from app.heads.figures import figures
from app.heads.recipe import HeadRecipe
from app.heads.scoring import Head
from app.heads.table import TrainingTable
from app.heads.trainers import train as train_head
from app.imaging import Limits
from app.imaging.prepare import load_copies

CORPUS = Path(__file__).resolve().parents[1] / "../shared/corpus"
LIMITS = Limits(max_bytes=1 << 28, max_pixels=80_000_000, min_side=16)
RECIPE = {"params": {"C": [0.001, 0.01, 0.1]}, "class_weight": "balanced", "folds": 5}
# Networks to go on from: the bundled one has seen these films' pixels, without their labels; ImageNet's has not.
PARENTS = {"xray": ("densenet121-xray", None), "imagenet": ("densenet121-imagenet", CORPUS / "weights")}


@dataclass(frozen=True)
class Films:
    """Labelled films with their patients; `held` is validated on, `test` is looked at once, at the end."""

    name: str
    classes: tuple[str, str]
    files: list[Path]
    y: Any
    patients: Any
    held: Any
    test: Any

    @property
    def learned(self) -> Any:
        return ~self.test


def orientation() -> Films:
    """Frontal or lateral: 240 films, the split of patients that the manifest states."""
    rows = list(csv.DictReader((CORPUS / "orientation/manifest.csv").open()))
    files = [CORPUS / row["file"] for row in rows]
    y = np.array([row["label"] == "lateral" for row in rows]).astype(np.int64)
    test = np.array([row["split"] == "test" for row in rows])
    return _held("orientation", ("frontal", "lateral"), files, y, np.array([row["patient"] for row in rows]), test)


def chest(count: int) -> Films:
    """Normal or pneumonia: `count` films, half of them of each class, a quarter of the patients to test."""
    rng = np.random.default_rng(0)
    files: list[Path] = []
    for folder in ("NORMAL", "PNEUMONIA"):
        found = sorted((CORPUS / "chest/train" / folder).iterdir())
        files += [found[i] for i in rng.permutation(len(found))[: count // 2]]
    y = np.array([file.parent.name == "PNEUMONIA" for file in files]).astype(np.int64)
    patients = np.array([_patient(file.name) for file in files])
    test = by_units(y, np.unique(patients, return_inverse=True)[1], (0.75, 0.0, 0.25), 0) == TEST
    return _held("chest", ("normal", "pneumonia"), files, y, patients, test)


def _patient(name: str) -> str:
    found = re.match(r"(person\d+|(?:NORMAL2-)?IM-\d+)", name)
    return found[1] if found else name


def _held(name: str, classes: tuple[str, str], files: list[Path], y: Any, patients: Any, test: Any) -> Films:
    held = np.zeros(len(y), bool)
    units = np.unique(patients[~test], return_inverse=True)[1]
    held[~test] = by_units(y[~test], units, (0.8, 0.2, 0.0), 0) == VALIDATION
    return Films(name, classes, files, y, patients, held, test)


def pixels(films: Films, spec: FeatureSetSpec, which: Any, row: int, codes: Sequence[int]) -> Any:
    file = films.files[which[row]]
    return load_copies(file, LIMITS, spec.preprocessing, sha256=file.name.encode(), codes=codes)


def vectors(films: Films, spec: FeatureSetSpec, body: Any) -> tuple[Any, Any]:
    """Both poolings of every film."""
    run, every = backbone.forward(backbone.assemble(body, spec)), np.arange(len(films.y))
    parts = [
        run(np.concatenate([pixels(films, spec, every, row, (0,)) for row in every[i : i + 16]]))
        for i in range(0, len(every), 16)
    ]
    avg, peak = (np.concatenate(part) for part in zip(*parts, strict=True))
    return avg, peak


def head_on(films: Films, spec: FeatureSetSpec, found: tuple[Any, Any], rows: Any) -> bytes:
    table = TrainingTable(
        task=films.name, classes=films.classes, positive=films.classes[1], feature_set=spec.digest,
        feature_set_name=spec.name, avg=found[0][rows], max=found[1][rows], y=films.y[rows],
        groups=films.patients[rows],
    )  # fmt: skip
    return train_head(table, HeadRecipe.from_json(RECIPE)).artifact


def tested(films: Films, spec: FeatureSetSpec, found: tuple[Any, Any]) -> dict[str, Any]:
    """A head on all rows but the test patients', scored on those."""
    head = Head.load(head_on(films, spec, found, films.learned))
    said = head.probabilities(found[0][films.test], found[1][films.test])
    return figures(
        films.y[films.test], said, classes=films.classes, positive=films.classes[1],
        threshold=head.metadata.threshold, groups=np.unique(films.patients[films.test], return_inverse=True)[1],
    )  # fmt: skip


def trained(films: Films, spec: FeatureSetSpec, body: Any, recipe: BackboneRecipe, start: Start | None) -> Trained:
    which = np.flatnonzero(films.learned)
    scans = LabelledScans(
        films.classes, films.classes[1], films.y[which], films.patients[which], films.held[which],
        partial(pixels, films, spec, which), mirrored=False,
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="penumbra-finetuning-") as folder:
        return train(body, spec, scans, recipe, start=start, folder=Path(folder), key="bench", watch=Watch())


def rows_of(films: Films, given: argparse.Namespace, note: Callable[[str], None]) -> Iterator[list[str]]:
    """One row of the table for each network, each as soon as it is measured."""
    for parent in given.parents:
        name, weights = PARENTS[parent]
        resolved, began = resolve(name, weights and str(weights)), time.perf_counter()
        before = vectors(films, resolved.spec, backbone.load_body(resolved))
        found = tested(films, resolved.spec, before)
        yield _row(films, f"before: head on {name}", found, None, time.perf_counter() - began)
        for blocks in given.blocks:
            yield _tuned(films, resolved, before, blocks, given, note)
    for side in given.scratch:
        yield _scratch(films, side, given, note)


def _tuned(
    films: Films, resolved: ResolvedWeights, before: tuple[Any, Any], blocks: int, given: argparse.Namespace,
    note: Callable[[str], None],
) -> list[str]:  # fmt: skip
    began, spec = time.perf_counter(), resolved.spec
    body = backbone.load_body(resolved)
    artifact = head_on(films, spec, before, films.learned & ~films.held)
    start = Start(artifact, Head.load(artifact).probabilities(before[0][films.held], before[1][films.held]))
    recipe = BackboneRecipe(epochs=given.epochs, copies=given.copies, blocks=blocks)
    made = trained(films, spec, body, recipe, start)
    name = f"after: last {blocks} block{'s' * (blocks > 1)} of {spec.name} fine-tuned"
    note(f"{films.name}, {name}: step zero {made.report['step_zero']}, seconds {made.report['seconds']}")
    plot(made.curve, f"{films.name}, {name}", given.out / f"{films.name}-{spec.name}-{blocks}.png")
    return _row(films, name, tested(films, spec, vectors(films, spec, body)), made, time.perf_counter() - began)


def _scratch(films: Films, side: int, given: argparse.Namespace, note: Callable[[str], None]) -> list[str]:
    import keras

    began, name = time.perf_counter(), f"small-cnn-{side}"
    spec = make_spec(name, name, "0" * 64)
    keras.utils.set_random_seed(0)
    body = backbone.new_body(name, (side, side))
    recipe = BackboneRecipe(
        scratch=name, epochs=given.scratch_epochs, copies=given.copies, patience=given.scratch_epochs // 3
    )
    made = trained(films, spec, body, recipe, None)
    note(f"{films.name}: {name}, seconds {made.report['seconds']}")
    plot(made.curve, f"{films.name}: {name} from scratch", given.out / f"{films.name}-{name}.png")
    found = tested(films, spec, vectors(films, spec, body))
    return _row(films, f"{name} from scratch", found, made, time.perf_counter() - began)


def _row(films: Films, name: str, found: dict[str, Any], made: Trained | None, seconds: float) -> list[str]:
    recall = found["per_class"][films.classes[1]]["recall"]
    epochs = "-" if made is None else f"{made.report['best_epoch']} of {made.report['epochs']}"
    return [
        films.name, name, _with(found["auc"], found["auc_interval"]),
        _with(found["accuracy"], found["accuracy_interval"]), f"{found['balanced_accuracy']:.3f}", f"{recall:.3f}",
        epochs, f"{seconds:.0f}",
    ]  # fmt: skip


def _with(value: float, interval: dict[str, float]) -> str:
    return f"{value:.4f} ({interval['low']:.4f}-{interval['high']:.4f})"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.finetuning", description=__doc__)
    parser.add_argument("out", type=Path, help="folder for the curves")
    parser.add_argument("--films", nargs="*", default=["orientation", "chest"], choices=["orientation", "chest"])
    parser.add_argument("--count", type=int, default=800, help="chest films")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--scratch-epochs", type=int, default=30)
    parser.add_argument("--copies", type=int, default=3)
    parser.add_argument("--blocks", type=int, nargs="*", default=[1])
    parser.add_argument("--parents", nargs="*", default=list(PARENTS), choices=list(PARENTS))
    parser.add_argument("--scratch", type=int, nargs="*", default=[150, 224], choices=[150, 224])
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    print("| films | network | test AUC (95 %) | accuracy (95 %) | balanced | recall | best epoch | seconds |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for name in given.films:
        films = orientation() if name == "orientation" else chest(given.count)
        counts = {side: (int(rows.sum()), len(np.unique(films.patients[rows]))) for side, rows in _sides(films)}
        print(f"{name}: films and patients {counts}", file=sys.stderr)
        for row in rows_of(films, given, lambda text: print(text, file=sys.stderr)):
            print(f"| {' | '.join(row)} |", flush=True)
    print(f"\n{time.perf_counter() - began:.0f} s in all on {os.cpu_count()} cores.")
    return 0


def _sides(films: Films) -> list[tuple[str, Any]]:
    return [("learned", films.learned & ~films.held), ("validated", films.held), ("tested", films.test)]


if __name__ == "__main__":
    sys.exit(main())
