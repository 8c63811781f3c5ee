"""`/v1/feature-sets`: what describes scans, added, filled, compared, switched to, retired and dropped."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel

from app.api.problems import problems
from app.api.schemas import JobOut, Name
from app.api.schemas.feature_sets import (
    BackfillIn,
    ComparedSetsOut,
    CompareSetsIn,
    DescribedOut,
    DroppedOut,
    FeatureSetIn,
    FeatureSetOut,
    RateIn,
    SwitchIn,
    SwitchOut,
)
from app.db import transaction
from app.deps import Admin, CallerDep, PartsDep, SessionDep, SettingsDep
from app.services import (
    backfill,
    feature_set_adding,
    feature_set_removal,
    feature_set_use,
    feature_sets,
    reconciling,
    set_comparison,
    switching,
)
from app.services.feature_set_adding import Wanted
from app.services.switching import Wish

router = APIRouter(tags=["feature sets"])
SetName = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]


def _pending(model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    return {202: {"model": model, "description": "Wait for what it names, then ask again"}}


@router.get("/feature-sets", responses=problems())
def list_feature_sets(session: SessionDep, _: CallerDep) -> list[DescribedOut]:
    """Every feature set: what it is, how far it is, what uses it."""
    return [DescribedOut.described(one) for one in feature_set_use.describe(session, feature_sets.every(session))]


@router.post(
    "/feature-sets",
    status_code=201,
    responses=problems(404, 409) | {200: {"model": FeatureSetOut, "description": "It is here already"}},
)
def add_feature_set(body: FeatureSetIn, parts: PartsDep, caller: Admin, response: Response) -> FeatureSetOut:
    """Add a feature set, to be filled: 201, or 200 when it is here already. Weights may take half a minute."""
    wanted = Wanted(body.name, body.backbone, body.weights, body.profile, body.int8_of)
    with transaction(parts.sessions) as session:
        base = feature_set_adding.base_of(session, wanted)
    spec, origin = feature_set_adding.prepare(wanted, parts.settings, base=base, files=False)
    with transaction(parts.sessions) as session:
        added, new = feature_set_adding.add(session, spec, origin, author=caller.name)
        response.status_code = 201 if new else 200
        return FeatureSetOut.of(added)


@router.get("/feature-sets/{name}", responses=problems(404))
def read_feature_set(name: SetName, session: SessionDep, _: CallerDep) -> DescribedOut:
    """One feature set: what it is, how far it is, what uses it."""
    return DescribedOut.described(feature_set_use.describe(session, [feature_sets.named(session, name)])[0])


@router.delete("/feature-sets/{name}", responses=problems(404, 409))
def drop_feature_set(name: SetName, session: SessionDep, settings: SettingsDep, caller: Admin) -> DroppedOut:
    """Drop a set with its vectors, for good; refused while a task or a live head uses it."""
    configured = settings.feature_set
    return DroppedOut.of(feature_set_removal.drop(session, name, configured=configured, author=caller.name))


@router.post("/feature-sets/{name}/retry", responses=problems(404))
def retry_failed(name: SetName, session: SessionDep, caller: Admin) -> dict[str, int]:
    """Queue every parked extraction of a feature set again."""
    stored = feature_sets.named(session, name)
    return {"queued": reconciling.retry_failed(session, stored.id, author=caller.name)}


@router.post("/feature-sets/{name}/backfill", status_code=202, responses=problems(404, 409))
def start_backfill(name: SetName, session: SessionDep, caller: Admin, body: BackfillIn | None = None) -> DescribedOut:
    """Have everything extracted that a set lacks, behind live traffic; GET the set to see how far it is."""
    found = backfill.start(session, name, rate=body.rate if body else None, author=caller.name)
    return DescribedOut.described(feature_set_use.describe(session, [found])[0])


@router.post("/feature-sets/{name}/pause", responses=problems(404, 409))
def pause_backfill(name: SetName, session: SessionDep, caller: Admin) -> FeatureSetOut:
    """Extract no more into a set that is being filled, until it is resumed."""
    return FeatureSetOut.of(backfill.pause(session, name, author=caller.name))


@router.post("/feature-sets/{name}/resume", responses=problems(404, 409))
def resume_backfill(name: SetName, session: SessionDep, caller: Admin) -> FeatureSetOut:
    """Go on with a backfill that was paused."""
    return FeatureSetOut.of(backfill.resume(session, name, author=caller.name))


@router.put("/feature-sets/{name}/rate", responses=problems(404, 409))
def limit_backfill(name: SetName, body: RateIn, session: SessionDep, caller: Admin) -> FeatureSetOut:
    """Bound a backfill to so many images a second."""
    return FeatureSetOut.of(backfill.limit(session, name, body.rate, author=caller.name))


@router.post("/feature-sets/{name}/retire", responses=problems(404, 409))
def retire_feature_set(name: SetName, session: SessionDep, settings: SettingsDep, caller: Admin) -> FeatureSetOut:
    """Extract no more into a set and keep what it has; refused while a task or a live head uses it."""
    configured = settings.feature_set
    return FeatureSetOut.of(feature_set_removal.retire(session, name, configured=configured, author=caller.name))


@router.post("/feature-sets/{name}/switch", responses=problems(404, 409) | _pending(SwitchOut))
def switch_task(
    name: SetName, body: SwitchIn, session: SessionDep, settings: SettingsDep, caller: Admin, response: Response
) -> SwitchOut:
    """Make a task use a feature set: trained, gated, replayed, live. 202: wait for the job, then ask again."""
    wish = Wish(body.task, name, body.head, body.allow_incomplete, body.override, body.agreed)
    step = switching.advance(session, wish, margin=settings.promotion_margin, author=caller.name)
    if step.job is not None:
        response.headers["Location"] = f"/v1/jobs/{step.job.id}"
    if step.state in (switching.State.AUGMENTING, switching.State.TRAINING, switching.State.REPLAYING):
        response.status_code = 202
    return SwitchOut.of(body.task, name, step)


@router.post("/tasks/{task}/feature-set-comparisons", responses=problems(404, 409) | _pending(ComparedSetsOut))
def compare_feature_sets(
    task: Name, body: CompareSetsIn, session: SessionDep, caller: Admin, response: Response,
) -> ComparedSetsOut:  # fmt: skip
    """Train one recipe in several feature sets on the same images. 202: wait for the jobs, then ask again."""
    recipe = body.model_dump(mode="json", exclude={"feature_set", "feature_sets", "dataset"}, exclude_none=True)
    found = set_comparison.compare(session, task, body.feature_sets, recipe, dataset=body.dataset, author=caller.name)
    if found.pending:
        response.status_code = 202
    return ComparedSetsOut.of(found, [JobOut.of(job) for job in set_comparison.jobs_of(session, found)])
