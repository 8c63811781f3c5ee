"""Stored images as their readers see them: state, declarations and the live heads' predictions."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, text
from sqlalchemy.orm import Session

from app.blobs import BlobStore
from app.errors import NotFound
from app.heads.policy_words import UNDECIDED, badness
from app.models import Declaration, FeatureSet, FeatureStage, Head, Image, Job, Kind, Prediction, Region, Stage, Task
from app.services import audit
from app.services.coverage import STATE
from app.services.filters import ImageFilter

_BLOB_LOCK = 7_301_002


@dataclass(frozen=True)
class PredictionView:
    """A prediction with what a reader needs to judge where it came from."""

    task: str
    region_id: int
    box: tuple[int, int, int, int]  # x, y, width, height in pixels
    head_id: UUID
    head_version: int
    probabilities: dict[str, float]
    decision: str
    threshold: float
    feature_set: str
    at: datetime
    reason: str | None = None  # why it cannot be judged
    positive: str = ""  # the task's positive class


def worst_first(said: Iterable[PredictionView]) -> list[PredictionView]:
    """Predictions, the worst decision first, and of equal ones the greatest probability of the positive class."""
    return sorted(said, key=lambda p: (badness(p.decision, p.positive), -p.probabilities.get(p.positive, 0.0)))


@dataclass(frozen=True)
class ImageView:
    image: Image
    state: str
    error: dict[str, Any] | None
    declared: dict[str, str]
    predictions: list[PredictionView]

    @property
    def decisions(self) -> dict[str, str]:
        """The image's decision for each task: its regions' worst, so that one loaded region makes it loaded."""
        found: dict[str, str] = {}
        for said in worst_first(self.predictions):
            found.setdefault(said.task, said.decision)
        return found

    @property
    def discrepancies(self) -> list[str]:
        """Tasks whose declaration and decision disagree; a decision left to a person says nothing yet."""
        decided = {task: said for task, said in self.decisions.items() if said not in UNDECIDED}
        return sorted(task for task, said in decided.items() if self.declared.get(task, said) != said)


def ids_by_sha256(session: Session, digests: Sequence[bytes]) -> dict[bytes, UUID]:
    rows = session.execute(select(Image.sha256, Image.id).where(Image.sha256.in_(digests)))
    return {row.sha256: row.id for row in rows}


def get(session: Session, image_id: UUID) -> Image:
    image = session.get(Image, image_id)
    if image is None:
        raise NotFound(f"There is no image {image_id}.")
    return image


def page(session: Session, wanted: ImageFilter, *, limit: int, before: UUID | None = None) -> list[UUID]:
    """Image ids, newest first; `before` is the id where the previous page ended."""
    wanted.check(session)
    condition, parameters = wanted.sql()
    if before is not None:
        condition, parameters = f"{condition} AND image.id < :before", {**parameters, "before": before}
    statement = text(f"SELECT id FROM image WHERE {condition} ORDER BY id DESC LIMIT :limit")
    return [row.id for row in session.execute(statement, {**parameters, "limit": limit})]


def describe(session: Session, image_ids: Sequence[UUID]) -> list[ImageView]:
    """Views of the images, in the order asked for; ids that do not exist are left out."""
    found = {image.id: image for image in session.scalars(select(Image).where(Image.id.in_(image_ids)))}
    states = _states(session, image_ids)
    errors = _errors(session, [i for i, s in states.items() if s == "failed"])
    declared: dict[UUID, dict[str, str]] = defaultdict(dict)
    latest = select(Declaration).where(Declaration.image_id.in_(image_ids)).order_by(Declaration.id)
    for claim in session.scalars(latest):
        declared[claim.image_id][claim.task] = claim.class_name
    spoken: dict[UUID, list[PredictionView]] = defaultdict(list)
    for image_id, prediction in predictions(session, image_ids):
        spoken[image_id].append(prediction)
    return [
        ImageView(found[i], states[i], errors.get(i), declared.get(i, {}), spoken.get(i, []))
        for i in image_ids
        if i in found and i in states  # a deletion may fall between two of these queries
    ]


def described(session: Session, image_id: UUID) -> ImageView:
    """The view of one image. Raise NotFound when there is none."""
    views = describe(session, [image_id])
    if not views:
        raise NotFound(f"There is no image {image_id}.")
    return views[0]


def predictions(
    session: Session, image_ids: Sequence[UUID], *, live_only: bool = True
) -> list[tuple[UUID, PredictionView]]:
    """What heads said of the images: the live ones, or all there ever were, newest head first."""
    query = (
        select(Prediction, Region, Head.version, FeatureSet.name, Task.positive)
        .join(Region, Region.id == Prediction.region_id)
        .join(Head, Head.id == Prediction.head_id)
        .join(FeatureSet, FeatureSet.id == Head.feature_set_id)
        .join(Task, Task.name == Prediction.task)
        .where(Prediction.image_id.in_(image_ids))
        .order_by(Prediction.task, Head.version.desc(), Region.ordinal)
    )
    if live_only:
        query = query.where(Head.stage == Stage.LIVE)
    return [
        (
            said.image_id,
            PredictionView(
                said.task, region.id, (region.x, region.y, region.width, region.height), said.head_id,
                version, said.probabilities, said.decision, said.threshold, feature_set, said.at, said.reason, positive,
            ),
        )
        for said, region, version, feature_set, positive in session.execute(query)
    ]  # fmt: skip


def unfinished(session: Session, image_ids: Sequence[UUID]) -> list[UUID]:
    """Those of the images that are still pending."""
    return [i for i, state in _states(session, image_ids).items() if state == "pending"]


def remove(session: Session, image_id: UUID, *, author: str) -> bytes:
    """Delete an image with all that hangs on it; its SHA-256, for `discard` after the commit."""
    image = get(session, image_id)
    # Jobs first, under lock: a worker that holds one stores its embedding before or never.
    session.execute(select(Job.id).where(Job.image_id == image_id).with_for_update())
    session.execute(delete(Image).where(Image.id == image_id))
    audit.record(session, author, "image.delete", "image", image_id, sha256=image.sha256.hex())
    return image.sha256


def lock_blobs(session: Session, *, shared: bool) -> None:
    """Keep deletion and ingest of the same bytes apart until this transaction ends.

    Without it an upload could find the original in place, and a deletion remove it
    before the upload's row is there to speak for it.
    """
    lock = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
    session.execute(text(f"SELECT {lock}({_BLOB_LOCK})"))


def discard(session: Session, blobs: BlobStore, sha256: bytes) -> None:
    """Remove an original that no row names any more; call it after the deletion has committed."""
    lock_blobs(session, shared=False)
    if not ids_by_sha256(session, [sha256]):
        blobs.delete(sha256)


def surplus(session: Session, blobs: BlobStore, *, older_than_seconds: float) -> list[bytes]:
    """SHA-256 of originals that no image names: left by a deletion or an upload that was interrupted."""
    stored = iter(blobs.every(older_than_seconds=older_than_seconds))
    found: list[bytes] = []
    while chunk := list(islice(stored, 1_000)):
        known = ids_by_sha256(session, chunk)
        found += [sha256 for sha256 in chunk if sha256 not in known]
    return found


def _states(session: Session, image_ids: Sequence[UUID]) -> dict[UUID, str]:
    rows = session.execute(
        text(f"SELECT id, {STATE} AS state FROM image WHERE id = ANY (:ids)"),
        {"ids": list(image_ids)},
    )
    return {row.id: row.state for row in rows}


def _errors(session: Session, image_ids: Sequence[UUID]) -> dict[UUID, dict[str, Any]]:
    if not image_ids:  # as a rule: spare every read a query
        return {}
    rows = session.execute(
        select(Job.image_id, Job.error)
        .join(FeatureSet, FeatureSet.id == Job.feature_set_id)
        .where(
            Job.image_id.in_(image_ids),
            FeatureSet.stage == FeatureStage.LIVE,
            Job.state == "failed",
            Job.kind == Kind.EXTRACT,
        )
    )
    return {row.image_id: row.error for row in rows}
