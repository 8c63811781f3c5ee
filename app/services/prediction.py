"""Predictions: the live heads' answers on stored vectors. No network pass, no TensorFlow."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app import copying, vectors
from app.errors import AppError, Conflict
from app.heads.arrays import FeatureRows, Float32
from app.heads.policy_words import CANNOT_JUDGE
from app.heads.scoring import CHUNK_ROWS
from app.heads.scoring import Head as Scorer
from app.models import FeatureSet, Head, Prediction, Region, Stage
from app.services import tasks, unjudgeable


class LoadedHeads:
    """Scorers by head id. Artifacts are immutable, so a loaded one never goes stale.

    Without `gate` every scan is judged, whatever its quality and however little a head knows of its kind.
    """

    def __init__(self, *, gate: bool = True) -> None:
        self._gate = gate
        self._scorers: dict[UUID, Scorer] = {}
        self._lock = threading.Lock()

    def get(self, session: Session, head_id: UUID) -> Scorer:
        with self._lock:
            if head_id not in self._scorers:
                artifact = session.scalar(select(Head.artifact).where(Head.id == head_id))
                if artifact is None:
                    raise Conflict(f"Head {head_id} has no artifact yet; wait for its training job.")
                self._scorers[head_id] = Scorer.load(artifact, gated=self._gate)
            return self._scorers[head_id]

    def problems(self, session: Session, feature_set_id: int, region_ids: NDArray[np.int64]) -> dict[int, str]:
        """Why regions cannot be judged by their pixels, of those that cannot."""
        return unjudgeable.problems(session, feature_set_id, region_ids.tolist()) if self._gate else {}

    def several(
        self, session: Session, heads: Sequence[Head], *, on_broken: Callable[[Head, Exception], None] | None = None
    ) -> list[tuple[Head, Scorer]]:
        """Heads with their scorers. One that cannot be loaded raises, or is handed to `on_broken` and left out."""
        found = []
        for head in heads:
            try:
                found.append((head, self.get(session, head.id)))
            except AppError as error:
                if on_broken is None:
                    raise
                on_broken(head, error)
        return found

    def keep_only(self, head_ids: set[UUID]) -> None:
        """Forget the scorers of heads that are no longer live."""
        with self._lock:
            for head_id in set(self._scorers) - head_ids:
                del self._scorers[head_id]


def live_heads(session: Session, feature_set_id: int) -> list[Head]:
    return list(session.scalars(select(Head).where(Head.stage == Stage.LIVE, Head.feature_set_id == feature_set_id)))


@dataclass(frozen=True)
class Answers:
    """What a head said of rows: `probabilities` float32 (n, classes), and a decision each.

    `reasons` says why, by row, where it is that nobody can judge.
    """

    head: Head
    classes: tuple[str, ...]
    probabilities: Float32
    decisions: NDArray[np.str_]
    reasons: Mapping[int, str] = field(default_factory=dict)


def ask(
    scorers: Sequence[tuple[Head, Scorer]],
    rows: vectors.Rows,
    *,
    problems: Mapping[int, str] | None = None,
    on_broken: Callable[[Head, Exception], None] | None = None,
) -> list[Answers]:
    """Let all heads judge rows in one pass over the vectors; nothing is stored.

    `problems` says of regions why nobody can judge them (`LoadedHeads.problems`). A head that cannot score raises, or
    is handed to `on_broken` and left out.
    """
    features = FeatureRows.checked(rows.avg, rows.max, (rows.avg.shape[1], rows.max.shape[1]))
    said: dict[UUID, list[Float32]] = {head.id: [] for head, _ in scorers}
    at = {region: row for row, region in enumerate(rows.region_ids.tolist())} if problems else {}
    unusable = {at[region]: why for region, why in (problems or {}).items() if region in at}
    strange: dict[UUID, dict[int, str]] = {head.id: {} for head, _ in scorers}
    # Some rows for all heads, then the next: they are read from memory once, however many heads there are.
    for start in range(0, len(rows), CHUNK_ROWS):
        part = FeatureRows(features.avg[start : start + CHUNK_ROWS], features.max[start : start + CHUNK_ROWS])
        for head, scorer in scorers:
            try:
                if head.id in said:
                    said[head.id].append(scorer.score(part))
                    strange[head.id] |= {start + row: why for row, why in scorer.strangers(part).items()}
            except Exception as error:
                if on_broken is None:
                    raise
                on_broken(head, error)
                del said[head.id]
    return [
        _answers(scorer, head, said[head.id], strange[head.id] | unusable)
        for head, scorer in scorers
        if head.id in said
    ]


def _answers(scorer: Scorer, head: Head, parts: list[Float32], reasons: Mapping[int, str]) -> Answers:
    classes = scorer.metadata.classes
    probabilities = np.concatenate(parts) if parts else np.empty((0, len(classes)), np.float32)
    decisions = np.array(scorer.decide(probabilities), dtype=f"U{max(map(len, (*classes, CANNOT_JUDGE)))}")
    decisions[list(reasons)] = CANNOT_JUDGE
    return Answers(head, classes, probabilities, decisions, reasons)


def score(session: Session, loaded: LoadedHeads, heads: Sequence[Head], rows: vectors.Rows) -> int:
    """Store each head's prediction on each row; what was already predicted stays. How many were stored.

    The heads are of one feature set, of which the rows are.
    """
    if not len(rows) or not heads:
        return 0
    problems = loaded.problems(session, heads[0].feature_set_id, rows.region_ids)
    return store(session, rows.region_ids, ask(loaded.several(session, heads), rows, problems=problems))


# The regions stay until this commits: a deletion meanwhile would break a foreign key.
_STORE = text(
    """
    INSERT INTO prediction (image_id, region_id, task, head_id, probabilities, decision, reason, threshold, risk)
    SELECT owner.image_id, said.region_id, head.task, head.id, said.probabilities, said.decision,
        nullif(said.reason, ''), head.threshold, CAST(said.probabilities ->> task.positive AS real)
    FROM said JOIN head ON head.id = said.head_id JOIN task ON task.name = head.task JOIN (
        SELECT id, image_id FROM region
        WHERE id IN (SELECT region_id FROM said) ORDER BY id FOR KEY SHARE
    ) owner ON owner.id = said.region_id
    ON CONFLICT DO NOTHING
    """
)


def store(session: Session, region_ids: NDArray[np.int64], answers: Sequence[Answers]) -> int:
    """Store what heads said of regions (n,) by one COPY; what was already predicted stays. How many were stored."""
    session.execute(
        text(
            "CREATE TEMP TABLE said (region_id bigint, head_id uuid, probabilities jsonb, decision text, reason text) "
            "ON COMMIT DROP"
        )
    )
    blocks = (block for said in answers for block in _blocks(region_ids, said))
    copying.send(session, "said (region_id, head_id, probabilities, decision, reason)", blocks)
    inserted = session.execute(_STORE)
    session.execute(text("DROP TABLE said"))
    return int(inserted.rowcount)  # type: ignore[attr-defined]


def _blocks(region_ids: NDArray[np.int64], said: Answers) -> Iterator[bytes]:
    """One block a decision and reason: within it every row is as wide as the next."""
    # Nine digits bring a float32 back bit for bit, and the exponent keeps all as wide.
    form = "{" + ", ".join(f"{json.dumps(name)}: ".replace("%", "%%") + "%.8e" for name in said.classes) + "}"
    documents = np.array([(form % tuple(row)).encode() for row in said.probabilities.tolist()])
    reasons = {why: number for number, why in enumerate(sorted(set(said.reasons.values())), 1)}
    which = np.zeros(len(region_ids), np.int64)  # 0 for none
    which[list(said.reasons)] = [reasons[why] for why in said.reasons.values()]
    kinds = [(decision, 0, "") for decision in np.unique(said.decisions[which == 0])]
    kinds += [(CANNOT_JUDGE, number, why) for why, number in reasons.items()]
    for decision, number, why in kinds:
        rows = (said.decisions == decision) & (which == number)
        word, reason = str(decision).encode(), why.encode()
        columns = [
            copying.field("region", ">i8"), copying.field("head", "V16"),
            copying.field("document", documents.dtype.str, ("jsonb version", ">i1", 1)),
            copying.field("decision", f"S{len(word)}"), copying.field("reason", f"S{len(reason)}"),
        ]  # fmt: skip
        values = {
            "region": region_ids[rows], "head": np.void(said.head.id.bytes), "document": documents[rows],
            "decision": word, "reason": reason,
        }  # fmt: skip
        yield copying.block(columns, values, int(rows.sum()))


def unjudged(session: Session, head: Head) -> int:
    """How many stored vectors a head has not judged, give or take what is written meanwhile."""
    count = f"SELECT count(*) FROM {vectors.partition(head.feature_set_id)} WHERE augmentation = 0"
    judged = session.scalar(text("SELECT count(*) FROM prediction WHERE head_id = :head"), {"head": head.id}) or 0
    return max(0, (session.scalar(text(count)) or 0) - judged)


def next_unjudged(session: Session, feature_set: FeatureSet, head_id: UUID, *, after: int, limit: int) -> vectors.Rows:
    """The next vectors behind region `after` that a head has not judged, in region order."""
    # Behind `after` on both sides: else a merge would begin at the first prediction there is, at each batch again.
    known = (
        f"SELECT FROM prediction p WHERE p.region_id = e.region_id AND p.head_id = '{head_id}' "
        f"AND p.region_id > {int(after)}"
    )
    return vectors.copy_out_next(session, feature_set, after=after, limit=limit, where=f"NOT EXISTS ({known})")


def predict_stored(session: Session, loaded: LoadedHeads, task: str, image_id: UUID) -> None:
    """Make sure the live head of `task` has judged a stored image.

    Raise Conflict when the task has no live head. An image that has no vectors yet is left
    to the worker, which judges it when they are there.
    """
    head = live_head(session, task)
    feature_set = session.get_one(FeatureSet, head.feature_set_id)
    ours = select(Region.id).where(Region.image_id == image_id, Region.cut == feature_set.cut)
    region_ids = list(session.scalars(ours))
    known = set(
        session.scalars(
            select(Prediction.region_id).where(Prediction.head_id == head.id, Prediction.region_id.in_(region_ids))
        )
    )
    missing = [region for region in region_ids if region not in known]
    if missing:
        score(session, loaded, [head], vectors.copy_out(session, feature_set, missing))


def live_head(session: Session, task: str) -> Head:
    head = tasks.live_head(session, task)
    if head is None:
        raise Conflict(f"Task {task} has no live head; train one and promote it.")
    return head
