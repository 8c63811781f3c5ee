"""Who looks at which scan: a claim keeps it from everybody else until it is decided, released or expires."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from sqlalchemy import delete, func, select, text
from sqlalchemy.orm import Session

from app.errors import NotFound, Taken
from app.models import Image, Task, WorklistClaim
from app.services import tasks, worklist
from app.services.keys import Caller
from app.services.worklist import Asked, WorklistFilter

_LOCK = "worklist "


def lock(session: Session, task: Task) -> None:
    """Keep every other claim and opinion on the task's scans waiting until this transaction ends.

    What is read after it holds: nobody takes a scan between the look and the claim.
    """
    session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": _LOCK + task.name})


_TAKE = text(
    """
    INSERT INTO worklist_claim (image_id, task, holder, author, taken_at, until)
    SELECT image.id, :task, :holder, :author, clock_timestamp(), clock_timestamp() + make_interval(secs => :seconds)
    FROM image WHERE image.id = ANY (:ids) FOR KEY SHARE
    ON CONFLICT (image_id, task) DO UPDATE SET
        holder = excluded.holder, author = excluded.author, until = excluded.until,
        taken_at = CASE WHEN worklist_claim.holder = excluded.holder AND worklist_claim.until > clock_timestamp()
            THEN worklist_claim.taken_at ELSE excluded.taken_at END
    WHERE worklist_claim.holder = excluded.holder OR worklist_claim.until <= clock_timestamp()
    RETURNING image_id
    """
)


def take(
    session: Session, task: Task, image_ids: Sequence[UUID], *, holder: UUID, author: str, seconds: float
) -> set[UUID]:
    """Claim or renew those of the images that nobody else holds; which those were. Call it under `lock`."""
    values = {"task": task.name, "holder": holder, "author": author, "seconds": seconds, "ids": list(image_ids)}
    return set(session.scalars(_TAKE, values))


def claim_next(
    session: Session,
    task_name: str,
    wanted: WorklistFilter,
    *,
    caller: Caller,
    count: int,
    without: Sequence[UUID],
    seconds: float,
) -> list[UUID]:
    """Claim the next images of a worklist for the caller, those that they hold already first; in their order.

    Raise NotFound or InvalidInput for a filter that cannot be.
    """
    task = tasks.named(session, task_name)
    wanted.where.check(session)
    wanted.pile_places()
    head = tasks.live_head(session, task.name)
    if head is None:
        return []
    asked = Asked(task=task, head=head, wanted=wanted, author=caller.name)
    chosen = _next(session, asked, caller.holder, count, without)
    lock(session, task)
    # Somebody may have taken or decided them before the lock was had; under it the second look is the last.
    if resume(session, task, caller) or not _still_free(session, task, chosen, caller.holder):
        chosen = _next(session, asked, caller.holder, count, without)
    taken = take(session, task, chosen, holder=caller.holder, author=caller.name, seconds=seconds)
    return [image for image in chosen if image in taken]


_WANTED = "placed.image_id <> ALL (CAST(:without AS uuid[]))"
_HELD = """
    SELECT c.image_id FROM worklist_claim c
    WHERE c.task = :task AND c.holder = :holder AND c.until > clock_timestamp()
"""
_FREE = f"""{_WANTED} AND NOT EXISTS (
    SELECT FROM worklist_claim c
    WHERE c.image_id = placed.image_id AND c.task = :task AND c.until > clock_timestamp())
"""


def _next(session: Session, asked: Asked, holder: UUID, count: int, without: Sequence[UUID]) -> list[UUID]:
    """The images of the worklist that the holder holds, and behind them the first that nobody does."""
    values = {"holder": holder, "without": list(without)}
    held = replace(asked, condition=_WANTED, among=_HELD, parameters=values)
    chosen = worklist.places(session, held, limit=count)
    if len(chosen) < count:
        free = replace(asked, condition=_FREE, parameters=values)
        chosen += worklist.places(session, free, limit=count - len(chosen))
    return [one.image_id for one in chosen]


def _still_free(session: Session, task: Task, image_ids: Sequence[UUID], holder: UUID) -> bool:
    if worklist.decided(session, task, image_ids):
        return False
    return not any(one.holder != holder for one in _claims(session, task, image_ids).values())


def of(session: Session, task: Task, image_ids: Sequence[UUID]) -> dict[UUID, WorklistClaim]:
    """Who looks at the images now."""
    return _claims(session, task, image_ids)


def _claims(session: Session, task: Task, image_ids: Sequence[UUID]) -> dict[UUID, WorklistClaim]:
    found = select(WorklistClaim).where(
        WorklistClaim.task == task.name, WorklistClaim.image_id.in_(image_ids),
        WorklistClaim.until > func.clock_timestamp(),
    )  # fmt: skip
    return {one.image_id: one for one in session.scalars(found, execution_options={"populate_existing": True})}


def check_free(session: Session, task: Task, image_id: UUID, *, holder: UUID) -> None:
    """Raise Taken when somebody else looks at the image."""
    held = of(session, task, [image_id]).get(image_id)
    if held is not None and held.holder != holder:
        until = held.until.strftime("%H:%M UTC")
        raise Taken(f"{held.author} is looking at this scan, until {until}.", author=held.author, at=held.until)


def claim(session: Session, task_name: str, image_id: UUID, *, caller: Caller, seconds: float) -> None:
    """Claim one image, or renew the claim. Raise NotFound, or Taken when somebody else looks at it."""
    task = tasks.named(session, task_name)
    lock(session, task)
    if session.get(Image, image_id) is None:
        raise NotFound(f"There is no image {image_id}; it was deleted, or never stored.")
    resume(session, task, caller)
    check_free(session, task, image_id, holder=caller.holder)
    take(session, task, [image_id], holder=caller.holder, author=caller.name, seconds=seconds)


def resume(session: Session, task: Task, caller: Caller) -> bool:
    """Hand the caller what they held in a browser whose session has ended: signed in again, they go on where they
    were. Whether there was anything. Call it under `lock`."""
    values = {"task": task.name, "author": caller.name, "holder": caller.holder}
    return bool(session.scalars(_RESUME, values).all())


_RESUME = text(
    """
    UPDATE worklist_claim c SET holder = :holder WHERE c.task = :task AND c.author = :author AND c.holder <> :holder
        AND NOT EXISTS (SELECT FROM desk_session s WHERE s.id = c.holder AND s.expires_at > clock_timestamp())
        AND NOT EXISTS (SELECT FROM api_key k WHERE k.id = c.holder)
    RETURNING image_id
    """
)


def release(session: Session, task: Task, image_id: UUID, *, holder: UUID) -> None:
    """Let others have the image; a claim of somebody else's that has not expired stays."""
    session.execute(
        delete(WorklistClaim).where(
            WorklistClaim.image_id == image_id, WorklistClaim.task == task.name,
            (WorklistClaim.holder == holder) | (WorklistClaim.until <= func.clock_timestamp()),
        )
    )  # fmt: skip
