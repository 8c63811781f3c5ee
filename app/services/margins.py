"""A candidate and the live head on the same labelled rows, none of which a head had learned from where it answers."""

from dataclasses import dataclass
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app import vectors
from app.heads.evidence import Evidence
from app.heads.metrics import balanced_accuracy, confusion_matrix, roc_auc
from app.heads.scoring import Head as Scorer
from app.models import FeatureSet, Head, Region, TestScore
from app.services import backbone_origins, labelling

_CHUNK = 2_000  # 16 MiB of vectors at 2 x 1,024 dimensions
_MOST = 5_000  # labelled images, evenly over the archive
Regions = NDArray[np.int64]
Answers = NDArray[np.float64]


@dataclass(frozen=True)
class Side:
    """A head of a comparison, and the scorer of its artifact."""

    head: Head
    scorer: Scorer

    @property
    def evidence(self) -> Evidence | None:
        return Evidence.from_bytes(self.head.evidence) if self.head.evidence else None


@dataclass(frozen=True)
class Compared:
    """Figures of the candidate and of the live head, in this order, on the same `rows` of `source`."""

    rows: int
    source: str
    auc: tuple[float, float]
    balanced_accuracy: tuple[float, float]


def compare(session: Session, ours: Side, theirs: Side) -> Compared | None:
    """Compare on test rows that both were scored on, or else out of fold; None where that cannot be done fairly.

    Out of fold: on the candidate's training rows (or else the live head's), each head answers by its fold models
    where it has learned the row, and by itself where it has not; rows that the network behind either was trained on
    are left out, for no fold holds them out of that. The labels are those that count today. Two heads that came with
    Penumbra have learned nothing here: they are compared on what is labelled.
    """
    shared = _shared_test(session, ours.head.id, theirs.head.id) or _same_rows(session, ours.head.id, theirs.head.id)
    if shared is not None:
        first, second = shared
        regions = np.intersect1d(first.region_ids, second.region_ids)
        answers = [_from_evidence(side, said, regions) for side, said in ((ours, first), (theirs, second))]
        return _figures(session, ours, theirs, regions, answers, "the shared test")
    learned = [side.evidence for side in (ours, theirs)]
    base = learned[0] or learned[1]
    if learned[1] is None and not theirs.head.recipe.get("starter"):
        return None  # trained here before answers were kept: on rows that it has learned, perhaps all of these
    if base is None:
        return _starters(session, ours, theirs) if ours.head.recipe.get("starter") else None
    networks = [side.head.feature_set_id for side in (ours, theirs)]
    regions = np.setdiff1d(base.region_ids, backbone_origins.seen_regions(session, networks))
    answers = [_answers(session, side, said, regions) for side, said in zip((ours, theirs), learned, strict=True)]
    source = "out-of-fold rows"
    if learned[1] is None:
        source += "; it keeps no answers of its own, and may have learned from these rows, which would flatter it"
    return _figures(session, ours, theirs, regions, answers, source)


def _shared_test(session: Session, ours: UUID, theirs: UUID) -> list[Evidence] | None:
    both = (
        select(TestScore.dataset_id).where(TestScore.head_id.in_([ours, theirs])).group_by(TestScore.dataset_id)
        .having(func.count() == 2).order_by(func.max(TestScore.at).desc()).limit(1)
    )  # fmt: skip
    dataset = session.scalar(both)
    if dataset is None:
        return None
    stored = select(TestScore.head_id, TestScore.evidence).where(TestScore.dataset_id == dataset)
    found = {row.head_id: row.evidence for row in session.execute(stored)}
    return [Evidence.from_bytes(found[one]) for one in (ours, theirs)]


def _same_rows(session: Session, ours: UUID, theirs: UUID) -> list[Evidence] | None:
    """The newest test of each, if they have rows in common: one dataset frozen in two feature sets has them all."""
    newest = select(TestScore).order_by(TestScore.at.desc(), TestScore.id.desc()).limit(1)
    scores = [session.scalar(newest.where(TestScore.head_id == one)) for one in (ours, theirs)]
    found = [Evidence.from_bytes(score.evidence) for score in scores if score is not None]
    if len(found) < 2 or not len(np.intersect1d(found[0].region_ids, found[1].region_ids)):
        return None
    return found


def _starters(session: Session, ours: Side, theirs: Side) -> Compared | None:
    """On labelled images that are one region: of several nobody said which is meant."""
    cut = session.get_one(FeatureSet, ours.head.feature_set_id).cut
    labels = labelling.effective(session, ours.head.task)
    whole = (
        select(func.min(Region.id)).where(Region.image_id.in_(labels), Region.cut == cut).group_by(Region.image_id)
        .having(func.count() == 1)
    )  # fmt: skip
    found = np.array(sorted(session.scalars(whole)), np.int64)
    regions = found[:: max(1, -(-len(found) // _MOST))]
    answers = [_answers(session, side, None, regions) for side in (ours, theirs)]
    return _figures(session, ours, theirs, regions, answers, "labelled images that neither was trained on here")


def _from_evidence(side: Side, said: Evidence, regions: Regions) -> Answers:
    """Answers (n, classes) in the head's own order; NaN where the evidence has none."""
    found = np.full((len(regions), len(side.scorer.metadata.classes)), np.nan)
    order = [said.classes.index(name) for name in side.scorer.metadata.classes]
    _, to, origin = np.intersect1d(regions, said.region_ids, return_indices=True)
    found[to] = said.probabilities[origin][:, order]
    return found


def _answers(session: Session, side: Side, said: Evidence | None, regions: Regions) -> Answers:
    classes = side.scorer.metadata.classes
    found = np.full((len(regions), len(classes)), np.nan) if said is None else _from_evidence(side, said, regions)
    feature_set = session.get_one(FeatureSet, side.head.feature_set_id)
    unknown = regions[np.isnan(found[:, 0])]
    for start in range(0, len(unknown), _CHUNK):
        rows = vectors.copy_out(session, feature_set, unknown[start : start + _CHUNK].tolist())
        if len(rows):
            found[np.searchsorted(regions, rows.region_ids)] = side.scorer.probabilities(rows.avg, rows.max)
    return found


def _figures(
    session: Session, ours: Side, theirs: Side, regions: Regions, answers: list[Answers], source: str
) -> Compared | None:
    metadata = ours.scorer.metadata
    names = _labels(session, ours.head.task, regions)
    kept = np.isin(names, metadata.classes) & ~np.isnan(np.stack([one[:, 0] for one in answers])).any(axis=0)
    positive = names[kept] == metadata.positive
    if not kept.any() or positive.all() or not positive.any():
        return None
    aucs, words = [], []
    for side, said in zip((ours, theirs), answers, strict=True):
        aucs.append(roc_auc(positive, said[kept][:, side.scorer.metadata.positive_index]))
        words.append(np.array(side.scorer.decide(said[kept])))
    # What either leaves to a person is no decision to compare.
    decided = np.all([np.isin(one, metadata.classes) for one in words], axis=0)
    accuracies = [_balanced(metadata.classes, names[kept][decided], one[decided]) for one in words]
    return Compared(int(kept.sum()), source, (aucs[0], aucs[1]), (accuracies[0], accuracies[1]))


def _labels(session: Session, task: str, regions: Regions) -> NDArray[np.str_]:
    """The class of each region (n,) by the label that counts; empty where there is none."""
    rows = session.execute(select(Region.id, Region.image_id).where(Region.id.in_(regions.tolist()))).all()
    labels = labelling.effective(session, task, list({row.image_id for row in rows}))
    names = np.full(len(regions), "", dtype="U64")
    at = np.searchsorted(regions, np.array([row.id for row in rows], np.int64))
    names[at] = [labels.get(row.image_id, "") for row in rows]
    return names


def _balanced(classes: tuple[str, ...], actual: NDArray[np.str_], decided: NDArray[np.str_]) -> float:
    if not len(actual):
        return float("nan")
    index = {name: i for i, name in enumerate(classes)}
    y, said = (np.array([index[word] for word in words.tolist()]) for words in (actual, decided))
    return balanced_accuracy(confusion_matrix(y, said, len(classes)))
