"""What is told of a head version: its report with the tests so far, its page, its card."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.blobs import BlobStore
from app.errors import Conflict, InvalidInput, NotFound, UnusableImage
from app.heads.card import model_card, test_section
from app.heads.comparison import Judged, compare
from app.heads.evidence import Evidence
from app.heads.report.consulted import brought_up_to_date
from app.imaging import Limits
from app.imaging.thumbnails import thumbnail
from app.models import Dataset, Head, Image, TestScore
from app.services import registry, tasks

THUMBNAIL_PIXELS = 224
_UUID_LETTERS = 36


def report(session: Session, head_id: UUID) -> dict[str, Any]:
    """A head's report and what test rows have said since. Raise Conflict while it has none."""
    return {**registry.report(session, head_id), "tests": tests(session, head_id)}


def page(session: Session, head_id: UUID) -> str:
    """A head's report as one HTML page. Raise Conflict when none was rendered."""
    head = registry.get(session, head_id)
    if head.page is None:
        raise Conflict(
            f"Head {head_id} has no page: it is a bundled head, its training has not succeeded, or it was trained by "
            "an earlier version. Its report as JSON may still be there; train the task again for a page."
        )
    return brought_up_to_date(head.page, tests(session, head_id))


def card(session: Session, head_id: UUID) -> str:
    """A head's model card, Markdown, with what test rows have said since. Raise Conflict when it has none."""
    head = registry.get(session, head_id)
    if head.card is None:
        raise Conflict(f"Head {head_id} has no model card; its training has not succeeded.")
    told = report(session, head_id)
    if told["tests"] and head.evidence is not None:
        return model_card(told)
    # What was written by hand beneath a bundled head's card stays there.
    return "\n\n".join([head.card.rstrip(), *map(test_section, told["tests"])]) + "\n"


def tests(session: Session, head_id: UUID) -> list[dict[str, Any]]:
    """What the head scored on test rows, oldest first, and how many heads have been scored on the same ones."""
    counts = select(TestScore.dataset_id, func.count().label("n")).group_by(TestScore.dataset_id).subquery()
    rows = session.execute(
        select(TestScore, Dataset, counts.c.n)
        .join(Dataset, Dataset.id == TestScore.dataset_id)
        .join(counts, counts.c.dataset_id == TestScore.dataset_id)
        .where(TestScore.head_id == head_id)
        .order_by(TestScore.id)
    )
    return [
        {
            "dataset": dataset.full_name, "digest": dataset.digest, "at": score.at.isoformat(),
            "author": score.author, "consultations": consultations, "figures": score.figures,
        }
        for score, dataset, consultations in rows
    ]  # fmt: skip


def live_comparison(session: Session, head: Head, candidate: Judged) -> dict[str, Any] | None:
    """`candidate` against the task's live head on rows that both have out-of-fold answers for.

    None when no other head is live; a `reason` where the two cannot be compared.
    """
    live = tasks.live_head(session, head.task)
    if live is None or live.id == head.id:
        return None
    if live.evidence is None or live.report is None:
        return {"reason": f"Version {live.version}, live now, has no answers of its own to compare with."}
    other = Judged(
        name=f"version {live.version}, live",
        evidence=Evidence.from_bytes(live.evidence),
        positive=live.report["positive"],
        threshold=live.report["threshold"],
        review_from=live.report.get("review_from"),
    )
    try:
        return compare(candidate, other, rows="out-of-fold")
    except InvalidInput as error:
        return {"reason": f"Version {live.version}, live now, was not compared: {error.message}."}


def shown_images(told: Mapping[str, Any]) -> list[UUID]:
    """The images that a report's page shows: its worst errors, and those most alike to them.

    None for a bundled head: its rows were of another store, and are named by their digest.
    """
    worst = told.get("worst", [])
    shown = [one["image_id"] for one in worst] + [a["image_id"] for one in worst for a in one.get("alike", [])]
    return [UUID(one) for one in dict.fromkeys(shown) if len(one) == _UUID_LETTERS]


def originals(session: Session, image_ids: Sequence[UUID]) -> dict[str, bytes]:
    """SHA-256 of those of the images that still exist, for `thumbnails` once the transaction is over."""
    rows = session.execute(select(Image.id, Image.sha256).where(Image.id.in_(image_ids)))
    return {str(row.id): row.sha256 for row in rows}


def thumbnails(blobs: BlobStore, limits: Limits, sha256: Mapping[str, bytes]) -> dict[str, bytes]:
    """Small JPEGs by image id, of those that can be read."""
    found = {}
    for image_id, digest in sha256.items():
        try:
            found[image_id] = thumbnail(blobs.existing(digest), THUMBNAIL_PIXELS, limits)
        except (UnusableImage, NotFound):
            continue
    return found
