"""Replays: what a promotion would change, every decision of the archive that would flip, before anyone agrees."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app import copying, jobs, vectors
from app.errors import Conflict, NotFound
from app.models import FeatureSet, Head, Job, Kind, Replay, ReplayFlip, Stage, Task
from app.services import audit, feature_sets, tasks
from app.services.prediction import Answers

# What a region was, where the live head has not judged it or none is live. No class can be named so.
UNJUDGED = "(unjudged)"
# A replay that more than this share of the archive has joined since says too little about it.
MOST_NEWCOMERS = 0.05


@dataclass(frozen=True)
class Sides:
    """A head, and the live one of its task that it is held against; None when none is live."""

    head: Head
    against: Head | None
    task: Task
    feature_set: FeatureSet
    rows: int  # stored vectors of the head's feature set

    @property
    def same_vectors(self) -> bool:
        """Whether one pass over the vectors lets both heads judge; otherwise the live one's predictions are read."""
        return self.against is not None and self.against.feature_set_id == self.head.feature_set_id


@dataclass(frozen=True)
class Said:
    """What a head said of regions (n,): words, and the probability of the positive class, NaN where it did not."""

    words: NDArray[np.str_]
    positive: NDArray[np.float64]

    @classmethod
    def of(cls, answers: Answers, positive: str) -> "Said":
        return cls(answers.decisions, answers.probabilities[:, answers.classes.index(positive)].astype(np.float64))


@dataclass
class Tally:
    """Counts of decisions before and after, and every region between two different ones, as batches come in."""

    regions: int = 0
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    flips: list[tuple[NDArray[np.int64], Said, Said]] = field(default_factory=list)

    def add(self, region_ids: NDArray[np.int64], before: Said, after: Said) -> None:
        self.regions += len(region_ids)
        pairs, counts = np.unique(np.stack([before.words, after.words], axis=1), axis=0, return_counts=True)
        self.counts.update({(str(b), str(a)): int(n) for (b, a), n in zip(pairs, counts, strict=True)})
        moved = (before.words != after.words) & (before.words != UNJUDGED)
        if moved.any():
            sides = (Said(said.words[moved], said.positive[moved]) for said in (before, after))
            self.flips.append((region_ids[moved], *sides))

    @property
    def matrix(self) -> dict[str, dict[str, int]]:
        """How many regions were `before` and would be `after`: {before: {after: count}}."""
        found: dict[str, dict[str, int]] = {}
        for (before, after), count in sorted(self.counts.items()):
            found.setdefault(before, {})[after] = count
        return found

    @property
    def flipped(self) -> int:
        return sum(len(regions) for regions, _, _ in self.flips)


def request(session: Session, head_id: UUID, *, author: str) -> Job:
    """Queue a replay of a head against its task's live one; the job that waits already, if there is one.

    Raise NotFound for no head or one whose feature set was dropped, Conflict for one that has no artifact or is live
    itself.
    """
    head = session.get(Head, head_id)
    if head is None:
        raise NotFound(f"There is no head {head_id}.")
    if head.stage not in (Stage.CANDIDATE, Stage.ARCHIVED):
        raise Conflict(
            f"Version {head.version} of {head.task} is {head.stage}; replay a candidate or an archived head."
        )
    feature_sets.require_stored(session.get_one(FeatureSet, head.feature_set_id))
    made = jobs.enqueue_for_head(session, Kind.REPLAY, head.id, head.feature_set_id)
    if made is None:
        waiting = select(Job).where(Job.head_id == head.id, Job.kind == Kind.REPLAY, Job.state == "queued")
        return session.scalars(waiting).one()
    audit.record(session, author, "head.replay", "head", head.id, task=head.task, version=head.version)
    return session.get_one(Job, made)


def sides(session: Session, head_id: UUID) -> Sides:
    head = session.get_one(Head, head_id)
    feature_set = session.get_one(FeatureSet, head.feature_set_id)
    rows = session.scalar(text(f"SELECT count(*) FROM {vectors.partition(feature_set.id)} WHERE augmentation = 0"))
    return Sides(head, tasks.live_head(session, head.task), tasks.named(session, head.task), feature_set, rows or 0)


_OF_REGIONS = text(
    "SELECT region_id, decision, CAST(probabilities ->> :positive AS float8) AS p FROM prediction "
    "WHERE head_id = :head AND region_id = ANY (:regions)"
)
_OF_IMAGES = text(
    """
    SELECT r.id AS region_id, said.decision, said.p FROM region r JOIN LATERAL (
        SELECT decision, CAST(probabilities ->> :positive AS float8) AS p FROM prediction
        WHERE image_id = r.image_id AND head_id = :head ORDER BY 2 DESC LIMIT 1) said ON TRUE
    WHERE r.id = ANY (:regions)
    """
)


def stored(
    session: Session, head: Head | None, positive: str, region_ids: NDArray[np.int64], *, cut: str | None = None
) -> Said:
    """What a head has said of regions (n,) already; `UNJUDGED` where it has not.

    `cut`: how the regions were cut. Where the head reads another cut, what it said of a region is what it said of the
    worst region of the same image.
    """
    words = np.full(len(region_ids), UNJUDGED, dtype="U64")
    probabilities = np.full(len(region_ids), np.nan)
    if head is not None and len(region_ids):
        other = cut is not None and session.get_one(FeatureSet, head.feature_set_id).cut != cut
        rows = session.execute(
            _OF_IMAGES if other else _OF_REGIONS,
            {"positive": positive, "head": head.id, "regions": region_ids.tolist()},
        ).all()
        at = np.searchsorted(region_ids, np.array([row.region_id for row in rows], np.int64))
        words[at] = [row.decision for row in rows]
        probabilities[at] = [row.p for row in rows]
    return Said(words, probabilities)


def record(session: Session, given: Sides, tally: Tally, *, seconds: float) -> Replay:
    """Store a finished replay and every flip, the furthest moved first."""
    replay = Replay(
        head_id=given.head.id, against_id=given.against.id if given.against else None, regions=tally.regions,
        flipped=tally.flipped, flips=tally.matrix, seconds=seconds,
    )  # fmt: skip
    session.add(replay)
    session.flush()
    if not tally.flips:
        return replay
    session.execute(
        text(
            "CREATE TEMP TABLE flipped (rank int, region_id bigint, probability_before float8, "
            "probability_after float8, before text, after text) ON COMMIT DROP"
        )
    )
    into = "flipped (rank, region_id, probability_before, probability_after, before, after)"
    copying.send(session, into, _blocks(tally))
    # Images deleted meanwhile are left out; the others stay until this commits.
    session.execute(
        text(
            """
            INSERT INTO replay_flip
                (replay_id, rank, region_id, image_id, before, after, probability_before, probability_after)
            SELECT :replay, rank, region_id, image_id, before, after, probability_before, probability_after
            FROM flipped JOIN (
                SELECT region.id, image_id FROM region JOIN image ON image.id = image_id
                WHERE region.id IN (SELECT region_id FROM flipped) ORDER BY image_id FOR KEY SHARE OF image
            ) owner ON owner.id = region_id
            """
        ),
        {"replay": replay.id},
    )
    return replay


def _blocks(tally: Tally) -> Iterator[bytes]:
    """One block a pair of decisions: within it every row is as wide as the next."""
    regions = np.concatenate([ids for ids, _, _ in tally.flips])
    before, after = (
        Said(np.concatenate([one.words for one in said]), np.concatenate([one.positive for one in said]))
        for said in zip(*((b, a) for _, b, a in tally.flips), strict=True)
    )
    rank = np.empty(len(regions), np.int64)
    rank[np.lexsort((regions, -np.abs(after.positive - before.positive)))] = np.arange(len(regions))
    for pair in np.unique(np.stack([before.words, after.words], axis=1), axis=0):
        chosen = (before.words == pair[0]) & (after.words == pair[1])
        words = [str(word).encode() for word in pair]
        columns = [
            copying.field("rank", ">i4"), copying.field("region", ">i8"), copying.field("p before", ">f8"),
            copying.field("p after", ">f8"), *(copying.field(f"word {i}", f"S{len(w)}") for i, w in enumerate(words)),
        ]  # fmt: skip
        values = {
            "rank": rank[chosen], "region": regions[chosen], "p before": before.positive[chosen],
            "p after": after.positive[chosen], "word 0": words[0], "word 1": words[1],
        }  # fmt: skip
        yield copying.block(columns, values, int(chosen.sum()))


def latest(session: Session, head_id: UUID) -> Replay:
    """The latest replay of a head. Raise NotFound when there is no head or it was never replayed."""
    head = session.get(Head, head_id)
    if head is None:
        raise NotFound(f"There is no head {head_id}.")
    found = session.scalar(select(Replay).where(Replay.head_id == head_id).order_by(Replay.at.desc()).limit(1))
    if found is None:
        raise NotFound(f"Version {head.version} of {head.task} was never replayed; POST /v1/heads/{head_id}/replay.")
    return found


def flips(
    session: Session,
    replay_id: UUID,
    *,
    limit: int,
    after_rank: int | None = None,
    before: str | None = None,
    after: str | None = None,
) -> list[ReplayFlip]:
    """Regions whose decision would change, the furthest moved first; `after_rank` is where the page before ended."""
    query = select(ReplayFlip).where(ReplayFlip.replay_id == replay_id).order_by(ReplayFlip.rank).limit(limit)
    if after_rank is not None:
        query = query.where(ReplayFlip.rank > after_rank)
    for column, word in ((ReplayFlip.before, before), (ReplayFlip.after, after)):
        if word is not None:
            query = query.where(column == word)
    return list(session.scalars(query))


@dataclass(frozen=True)
class Standing:
    """The latest replay, whether a promotion may rest on it now, and how many regions came since."""

    replay: Replay
    newcomers: int
    outdated: str | None  # why it may not

    @property
    def counts(self) -> dict[str, Any]:
        """What the audit trail keeps of it."""
        return {
            "id": str(self.replay.id), "regions": self.replay.regions, "flipped": self.replay.flipped,
            "flips": self.replay.flips, "newcomers": self.newcomers,
        }  # fmt: skip


def standing(session: Session, head: Head) -> Standing:
    """Raise NotFound when the head was never replayed."""
    replay = latest(session, head.id)
    against = tasks.live_head(session, head.task)
    since = text(
        f"SELECT count(*) FROM {vectors.partition(head.feature_set_id)} WHERE augmentation = 0 "
        "AND created_at > CAST(:at AS timestamptz) - make_interval(secs => :seconds)"
    )
    newcomers = session.scalar(since, {"at": replay.at, "seconds": replay.seconds}) or 0
    outdated = None
    if replay.against_id != (against.id if against else None):
        outdated = "another head went live since"
    elif newcomers > MOST_NEWCOMERS * replay.regions:
        outdated = f"{newcomers} regions joined the {replay.regions} that it judged"
    return Standing(replay, newcomers, outdated)


def required(session: Session, head: Head) -> Standing | None:
    """What a promotion of `head` rests on: an up-to-date replay, or nothing when no head is live.

    Raise Conflict, with the remedy, when there is none.
    """
    if tasks.live_head(session, head.task) is None:
        return None
    remedy = (
        f"POST /v1/heads/{head.id}/replay or `penumbra replay {head.task} {head.version}`, look at it, then promote."
    )
    try:
        found = standing(session, head)
    except NotFound:
        raise Conflict(f"What a promotion would change is not known yet: {remedy}") from None
    if found.outdated:
        raise Conflict(f"The replay of {found.replay.at:%Y-%m-%d %H:%M} is out of date ({found.outdated}): {remedy}")
    return found
