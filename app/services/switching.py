"""Making a task use another feature set: filled, trained on, judged and replayed first; live in one step.

Nothing waits in here. Each call does the next thing that can be done and says what to wait for; asked again, it finds
what was done already, so that a caller that died, or another one, goes on where it was.
"""

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.errors import Conflict, HeadRefused, InvalidInput, NotFound
from app.models import AugmentationRequest, Dataset, FeatureSet, FeatureStage, Head, Job, Kind, Stage, Task
from app.services import (
    audit,
    augmentation,
    backfill,
    datasets,
    feature_sets,
    registry,
    repetition,
    replay,
    starters,
    tasks,
    transfer,
)
from app.services.coverage import APPLIES, MISSING
from app.services.replay import Standing

LEAST_REASON = 3


class State(StrEnum):
    """What a switch waits for, in this order: `ready` is for somebody's agreement."""

    AUGMENTING = "augmenting"
    TRAINING = "training"
    REPLAYING = "replaying"
    READY = "ready"
    SWITCHED = "switched"


@dataclass(frozen=True)
class Wish:
    """What is asked for: the head `version` of the set, or the live head's recipe trained on it; where the live head
    came with Penumbra and the set has one too, that one.

    `incomplete` and `override` are reasons, kept in the audit trail, for which a set that lacks images, or a failed
    check that may be weighed, is accepted. `agreed`: whether to go live once nothing is in the way.
    """

    task: str
    feature_set: str
    version: int | None = None
    incomplete: str | None = None
    override: str | None = None
    agreed: bool = False


@dataclass(frozen=True)
class Step:
    """How far a switch is. `job` is what it waits for; `progress` of copies that are made; `standing` the replay."""

    state: State
    head: Head | None = None
    job: Job | None = None
    progress: tuple[int, int] | None = None
    standing: Standing | None = None
    left_out: int = 0


def advance(session: Session, wish: Wish, *, margin: float, author: str) -> Step:
    """Do what can be done of a switch, and say what is next.

    Raise Conflict for a set that is retired, of another kind, or incomplete; HeadRefused where the gate refuses;
    NotTrainable where no labelled image can be trained on.
    """
    task = tasks.named(session, wish.task, lock=True)
    feature_set = feature_sets.named(session, wish.feature_set, lock=True)
    live = tasks.live_head(session, task.name)
    if task.feature_set_id == feature_set.id and (live is None or live.feature_set_id == feature_set.id):
        return Step(State.SWITCHED, live)
    _require_suitable(task, feature_set)
    _require_complete(session, task, feature_set, wish.incomplete)
    if live is None and wish.version is None:
        _use(session, task, feature_set, wish, author)
        return Step(State.SWITCHED)
    head, left_out, copies = _head(session, task, feature_set, live, wish, author)
    if head is None:
        return Step(State.AUGMENTING, progress=copies, left_out=left_out)
    if head.stage == Stage.TRAINING:
        return Step(State.TRAINING, head, repetition.latest_job(session, head, Kind.TRAIN), left_out=left_out)
    registry.fit(session, head, margin=margin, override=wish.override)
    return _replayed(session, task, feature_set, head, left_out, wish, margin=margin, author=author)


def _replayed(
    session: Session, task: Task, feature_set: FeatureSet, head: Head, left_out: int, wish: Wish, *,
    margin: float, author: str,
) -> Step:  # fmt: skip
    try:
        standing = replay.required(session, head)
    except Conflict:
        return Step(State.REPLAYING, head, _replay(session, head, author), left_out=left_out)
    if not wish.agreed:
        return Step(State.READY, head, standing=standing, left_out=left_out)
    _use(session, task, feature_set, wish, author, head=head)
    registry.promote(session, head.id, author=author, margin=margin, override=wish.override)
    return Step(State.SWITCHED, head, standing=standing, left_out=left_out)


def _replay(session: Session, head: Head, author: str) -> Job:
    """The replay that is under way, or a new one."""
    job = repetition.latest_job(session, head, Kind.REPLAY)
    if job is not None and job.state in ("queued", "running"):
        return job
    return replay.request(session, head.id, author=author)


def _require_suitable(task: Task, feature_set: FeatureSet) -> None:
    if feature_set.stage == FeatureStage.RETIRED:
        raise Conflict(
            f"Feature set {feature_set.name} is retired: fill it first (`penumbra features backfill "
            f"{feature_set.name}`)."
        )
    if None not in (task.profile, feature_set.profile) and task.profile != feature_set.profile:
        raise Conflict(
            f"Task {task.name} is about {task.profile} scans, feature set {feature_set.name} is for "
            f"{feature_set.profile} scans."
        )


def _require_complete(session: Session, task: Task, feature_set: FeatureSet, reason: str | None) -> None:
    """Raise Conflict while the set lacks images that the task's present set has, or that wait for extraction."""
    if reason is not None:
        if len(reason.strip()) < LEAST_REASON:
            raise InvalidInput("State a reason for which an incomplete feature set is accepted, in some words.")
        return
    found = backfill.coverage(session, feature_set)
    lost = _lost(session, task, feature_set) if found.failed else 0
    if not found.pending and not lost:
        return
    said = [f"{found.pending:,} of {found.applicable:,} images are still to be extracted"] if found.pending else []
    said += [f"{lost:,} failed that the task's present set has"] if lost else []
    raise Conflict(
        f"Feature set {feature_set.name} is incomplete: {', and '.join(said)}. Fill it (`penumbra features backfill "
        f"{feature_set.name} --wait`), or accept it as it is with a reason (--allow-incomplete)."
    )


def _lost(session: Session, task: Task, feature_set: FeatureSet) -> int:
    """Images that failed in a set and that the task's present one describes."""
    present = session.get(FeatureSet, task.feature_set_id) if task.feature_set_id is not None else None
    if present is None:
        return 0
    missing_there = MISSING.replace("fs.", "old.")
    counted = text(
        f"""
        SELECT count(*) FROM job j JOIN image ON image.id = j.image_id CROSS JOIN {backfill.ONE}
        CROSS JOIN (SELECT CAST(:old AS int) AS id, CAST(:old_cut AS text) AS cut) old
        WHERE j.kind = 'extract' AND j.state = 'failed' AND j.feature_set_id = fs.id
        AND {APPLIES} AND {MISSING} AND NOT {missing_there}
        """
    )
    given = {**backfill.constants(feature_set), "old": present.id, "old_cut": present.cut}
    return session.scalar(counted, given) or 0


def _head(
    session: Session, task: Task, feature_set: FeatureSet, live: Head | None, wish: Wish, author: str
) -> tuple[Head | None, int, tuple[int, int] | None]:
    """The head to go live, how many images it could not be trained on, and how far copies are that it waits for."""
    if wish.version is not None:
        return _given(session, task, feature_set, wish.version), 0, None
    assert live is not None
    if starters.is_starter(live) and (starter := starters.candidate(session, task, feature_set)) is not None:
        return starter, 0, None
    recipe = repetition.recipe_again(session, live)
    base = None if live.dataset_id is None else datasets.get(session, live.dataset_id)
    images = transfer.of_task(session, task) if base is None else transfer.of_dataset(session, base)
    found = transfer.shared(session, images, [feature_set], task.positive)
    name = datasets.automatic_name(task.name) if base is None else base.name
    frozen = transfer.freeze(session, name, task, feature_set, found, author=author, base=base)
    left_out = found.missing + found.unclear
    if recipe["augmentation"] and base is not None:
        copies = _copies(session, base, frozen, recipe["augmentation"], author)
        if copies is not None:
            return None, left_out, copies
    return repetition.head_of(session, task.name, feature_set, frozen, recipe, author=author), left_out, None


def _given(session: Session, task: Task, feature_set: FeatureSet, version: int) -> Head:
    head = registry.numbered(session, task.name, version)
    if head.feature_set_id != feature_set.id:
        raise Conflict(f"Version {version} of {task.name} does not read feature set {feature_set.name}.")
    if head.stage not in (Stage.TRAINING, Stage.CANDIDATE, Stage.ARCHIVED):
        raise HeadRefused(f"Version {version} of {task.name} is {head.stage}; name a candidate.")
    return head


def _copies(session: Session, base: Dataset, frozen: Dataset, how: str, author: str) -> tuple[int, int] | None:
    """How many training rows have their augmented copies, of how many, while any is pending; ask for them first."""
    try:
        found = augmentation.of_recipe(session, frozen, how)
    except NotFound:
        asked = select(AugmentationRequest.copies).where(
            AugmentationRequest.dataset_id == base.id, AugmentationRequest.recipe.startswith(how)
        )
        found = augmentation.request(session, frozen, how, session.scalar(asked) or 4, author=author)
    return (found.done, found.rows) if found.pending else None


def _use(
    session: Session, task: Task, feature_set: FeatureSet, wish: Wish, author: str, *, head: Head | None = None
) -> None:
    """From now on new images wait for the set, and the task's next heads are trained on it."""
    before = session.get(FeatureSet, task.feature_set_id) if task.feature_set_id is not None else None
    task.feature_set_id = feature_set.id
    if feature_set.stage == FeatureStage.FILLING:
        feature_set.stage, feature_set.paused, feature_set.rate = FeatureStage.LIVE, False, None
    session.flush()
    audit.record(
        session, author, "task.switch", "task", task.name, feature_set=feature_set.name,
        before=before.name if before else None, version=head.version if head else None, incomplete=wish.incomplete,
    )  # fmt: skip
