"""The review of probable label errors: a head's suspects, what became of each, and decisions that are labels."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.errors import InvalidInput
from app.heads.label_errors import Ranking, as_trained, rank
from app.models import Head, Label, Task
from app.services import answers, audit, labelling, registry
from app.services.answers import RowsOf
from app.services.filters import STANDING
from app.services.labelling import Statement

Decision = Literal["accept", "reject"]


class State(StrEnum):
    """What became of a suspect, told by its image's labels alone."""

    OPEN = "open"  # the class that the head learned still counts, and nobody has looked at it again
    ACCEPTED = "accepted"  # a review counts that says another class
    CONFIRMED = "confirmed"  # a review counts that says the class again
    SUPERSEDED = "superseded"  # another class counts, though no reviewer said so


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """An image whose class a head doubts. `rank` 1 is the most suspect; `counts` is the label that counts now."""

    rank: int
    image_id: UUID
    region_id: int
    given: str
    suggested: str
    counts: Label
    probabilities: dict[str, float]
    self_confidence: float
    likely: bool
    state: State

    @property
    def label(self) -> str:
        """The class that counts now."""
        return self.counts.class_name

    @property
    def decided(self) -> Label | None:
        """The review that settled it, if one did: what an undo withdraws."""
        return self.counts if self.state in (State.ACCEPTED, State.CONFIRMED) else None


@dataclass(frozen=True, kw_only=True)
class Review:
    """All suspects of a head, most suspect first, and what confident learning estimates of its rows.

    `noise` is, by true class, the share of each given class.
    """

    head: Head
    rows: int
    likely: int
    estimated_errors: float
    noise: dict[str, dict[str, float]]
    suspects: list[Suspect]

    @property
    def states(self) -> dict[State, int]:
        found = Counter(one.state for one in self.suspects)
        return {state: found[state] for state in State}


@dataclass(frozen=True, kw_only=True)
class Bound:
    """Which open suspects a bulk decision is on: the first ranks, a self-confidence of at most `below`, or `likely`."""

    first: int | None = None
    below: float | None = None
    likely: bool = False

    def __post_init__(self) -> None:
        if sum((self.first is not None, self.below is not None, self.likely)) != 1:
            raise InvalidInput("Give one bound: the first ranks, a highest self-confidence, or all likely errors.")

    def holds(self, one: Suspect) -> bool:
        if self.first is not None:
            return one.rank <= self.first
        return one.likely if self.below is None else one.self_confidence <= self.below


@dataclass(frozen=True)
class Decided:
    """How many suspects a decision was on, how many labels it stored, and by `given -> stated` how many each.

    `label_ids`: the labels that say so now, also where the same decision was sent before: what an undo withdraws.
    """

    suspects: int
    stored: int
    changes: dict[str, int]
    label_ids: list[int] = field(default_factory=list)


def reviewable(session: Session, task: str) -> list[Head]:
    """Heads of a task with out-of-fold answers, which is what suspects are told by; newest first."""
    query = select(Head).where(Head.task == task, Head.evidence.is_not(None), Head.report.is_not(None))
    return list(session.scalars(query.order_by(Head.version.desc())))


def review(session: Session, head_id: UUID) -> Review:
    """The suspects of a head's own rows. Raise NotFound, or Conflict for a head without out-of-fold answers."""
    head = registry.get(session, head_id)
    evidence = answers.stored(session, head_id, RowsOf.OUT_OF_FOLD).evidence
    told = registry.report(session, head_id)
    if prevalence := told.get("prevalence"):
        evidence = as_trained(evidence, told["positive"], prevalence)
    ranking, classes = rank(evidence), evidence.classes
    first_row: dict[UUID, int] = {}  # of an image's regions the most suspect one
    for row in ranking.order.tolist():
        if ranking.suggested[row] != ranking.given[row]:
            first_row.setdefault(UUID(evidence.image_ids[row]), row)
    labels = _labels(session, head.task, first_row)
    suspects = [
        Suspect(
            rank=number, image_id=image, region_id=int(evidence.region_ids[row]),
            given=(given := classes[ranking.given[row]]), suggested=classes[ranking.suggested[row]],
            counts=max(labels[image], key=labelling.precedence),
            probabilities=dict(zip(classes, evidence.probabilities[row].tolist(), strict=True)),
            self_confidence=float(ranking.self_confidence[row]), likely=bool(ranking.likely[row]),
            state=_state(given, labels[image]),
        )
        for number, (image, row) in enumerate(first_row.items(), start=1)
        if image in labels  # or it was deleted
    ]  # fmt: skip
    return Review(
        head=head, rows=len(evidence), likely=int(ranking.likely.sum()), estimated_errors=ranking.estimated_errors,
        noise=_named(ranking, classes), suspects=suspects,
    )  # fmt: skip


def _named(ranking: Ranking, classes: Sequence[str]) -> dict[str, dict[str, float]]:
    return {
        true: dict(zip(classes, ranking.noise[:, column].tolist(), strict=True)) for column, true in enumerate(classes)
    }


def _labels(session: Session, task: str, image_ids: Iterable[UUID]) -> dict[UUID, list[Label]]:
    found: dict[UUID, list[Label]] = defaultdict(list)
    said = select(Label).where(Label.task == task, Label.image_id.in_(list(image_ids)), text(STANDING))
    for label in session.scalars(said):
        found[label.image_id].append(label)
    return found


def _state(given: str, labels: Sequence[Label]) -> State:
    counts = max(labels, key=labelling.precedence)
    reviewed = counts.source == "review"
    if counts.class_name != given:
        return State.ACCEPTED if reviewed else State.SUPERSEDED
    # A review that is all there is gave the class that is doubted; only one after another statement is a second look.
    return State.CONFIRMED if reviewed and len(labels) > 1 else State.OPEN


def decide(
    session: Session,
    head_id: UUID,
    image_ids: Sequence[UUID],
    decision: Decision,
    *,
    author: str,
    dry_run: bool = False,
) -> Decided:
    """Accept a head's suggestion for these images, or confirm the class they have, by a review label each.

    Raise InvalidInput when an image is none of the head's suspects.
    """
    found = review(session, head_id)
    by_image = {one.image_id: one for one in found.suspects}
    if unknown := [image for image in image_ids if image not in by_image]:
        raise InvalidInput(f"Image {unknown[0]} is none of the {len(by_image)} suspects of this head.")
    chosen = [by_image[image] for image in dict.fromkeys(image_ids)]
    return _stated(session, found, chosen, decision, author=author, dry_run=dry_run, how={"images": len(chosen)})


def decide_all(
    session: Session, head_id: UUID, bound: Bound, decision: Decision, *, author: str, dry_run: bool = False
) -> Decided:
    """Decide alike on all open suspects within a bound. `dry_run` counts them and stores nothing."""
    found = review(session, head_id)
    chosen = [one for one in found.suspects if one.state is State.OPEN and bound.holds(one)]
    how = {name: value for name, value in vars(bound).items() if value}
    return _stated(session, found, chosen, decision, author=author, dry_run=dry_run, how=how)


def _stated(
    session: Session, found: Review, chosen: Sequence[Suspect], decision: Decision, *, author: str, dry_run: bool,
    how: dict[str, object],
) -> Decided:  # fmt: skip
    statements = [_statement(found.head, one, decision, author) for one in chosen]
    changes = Counter(f"{one.given} -> {said.class_name}" for one, said in zip(chosen, statements, strict=True))
    task = session.get_one(Task, found.head.task)
    if dry_run:
        return Decided(len(chosen), len(labelling.new_rows(session, task, statements)), dict(changes))
    stored = labelling.state(session, task, statements, actor=author)
    audit.record(
        session, author, f"label-errors.{decision}", "head", found.head.id,
        task=task.name, version=found.head.version, count=stored, **how,
    )  # fmt: skip
    return Decided(len(chosen), stored, dict(changes), _standing(session, task, statements, author))


def _standing(session: Session, task: Task, statements: Sequence[Statement], author: str) -> list[int]:
    """The author's labels that say these things of these images for these very reasons."""
    said = {(one.image_id, one.class_name, one.reason) for one in statements}
    query = select(Label).where(
        Label.task == task.name, Label.author == author, Label.source == "review",
        Label.image_id.in_({one.image_id for one in statements}), text(STANDING),
    )  # fmt: skip
    found = session.scalars(query.order_by(Label.id))
    return [label.id for label in found if (label.image_id, label.class_name, label.reason) in said]


def _statement(head: Head, one: Suspect, decision: Decision, author: str) -> Statement:
    stated = one.suggested if decision == "accept" else one.given
    found = "label error" if decision == "accept" else "no label error"
    place = f"rank {one.rank} of head {head.task} v{head.version}"
    reason = f"{found}, {place}, P({stated})={one.probabilities[stated]:.3f}"
    return Statement(image_id=one.image_id, class_name=stated, source="review", author=author, reason=reason)
