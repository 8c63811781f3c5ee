"""`/v1/tasks`: questions, the heads trained for them, rollback."""

from fastapi import APIRouter, Response

from app.api.problems import problems
from app.api.schemas import HeadOut, JobOut, Name, PromotedOut, TaskIn, TaskOut, TrainIn, TrainOut
from app.api.schemas.heads import TaskPatch
from app.deps import Admin, CallerDep, PartsDep, SessionDep
from app.models import FeatureSet, Head
from app.services import feature_sets, recipes, registry, tasks

router = APIRouter(prefix="/tasks", tags=["tasks"])


@router.get("", responses=problems())
def list_tasks(session: SessionDep, _: CallerDep) -> list[TaskOut]:
    """Every task with its classes."""
    return [TaskOut.of(task) for task in tasks.every(session)]


@router.post("", status_code=201, responses=problems(409))
def create_task(body: TaskIn, session: SessionDep, caller: Admin) -> TaskOut:
    """Add a question; heads are trained for it once images are labelled."""
    return TaskOut.of(tasks.create(session, body.name, body.question, body.classes, body.positive, author=caller.name))


@router.patch("/{task}", responses=problems(404))
def change_task(task: Name, body: TaskPatch, session: SessionDep, caller: Admin) -> TaskOut:
    """Set what the task's next heads decide by, and whether its worklist is blind.

    Heads that exist keep the thresholds that they were judged with.
    """
    changes = body.model_dump(exclude_unset=True)
    if (blind := changes.pop("blind", None)) is not None:
        tasks.set_blind(session, task, blind, author=caller.name)
    return TaskOut.of(tasks.decide(session, task, changes, author=caller.name))


@router.get("/{task}/heads", responses=problems(404))
def list_heads(task: Name, session: SessionDep, _: CallerDep) -> list[HeadOut]:
    """Every head version of a task, newest first."""
    tasks.named(session, task)
    names = {stored.id: stored.name for stored in feature_sets.every(session)}
    return [HeadOut.of(head, names[head.feature_set_id]) for head in registry.versions(session, task)]


@router.post("/{task}/heads", status_code=202, responses=problems(404))
def train_head(
    task: Name, body: TrainIn, session: SessionDep, parts: PartsDep, caller: Admin, response: Response
) -> TrainOut:
    """Train a new head version on the stored vectors; the job tells how far it is, its events what was tried."""
    job, head = recipes.queue(
        session, task, body.model_dump(mode="json", exclude={"feature_set", "dataset"}, exclude_none=True),
        dataset=body.dataset, feature_set=body.feature_set, otherwise=parts.settings.feature_set, author=caller.name,
    )  # fmt: skip
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return TrainOut(job=JobOut.of(job), head=HeadOut.of(head, session.get_one(FeatureSet, head.feature_set_id).name))


@router.post("/{task}/rollback", responses=problems(404, 409))
def roll_back(task: Name, session: SessionDep, caller: Admin) -> PromotedOut:
    """Make the head live that was live before the present one."""
    return promoted_out(session, registry.rollback(session, task, author=caller.name))


def promoted_out(session: SessionDep, promoted: registry.Promoted) -> PromotedOut:
    names = {stored.id: stored.name for stored in feature_sets.every(session)}

    def out(head: Head) -> HeadOut:
        return HeadOut.of(head, names[head.feature_set_id])

    return PromotedOut(head=out(promoted.head), previous=out(promoted.previous) if promoted.previous else None)
