"""`/v1/backbones`: networks trained on labelled images, which become feature sets."""

from fastapi import APIRouter, Response

from app.api.problems import problems
from app.api.schemas.backbones import BackboneIn, BackboneOut, NetworkName
from app.deps import Admin, CallerDep, PartsDep, SessionDep
from app.services import backbones

router = APIRouter(prefix="/backbones", tags=["feature sets"])


@router.get("", responses=problems())
def list_backbones(session: SessionDep, _: CallerDep) -> list[BackboneOut]:
    """Every training of a network, newest first."""
    return [BackboneOut.of(one, backbones.job_of(session, one)) for one in backbones.every(session)]


@router.post("", status_code=202, responses=problems(404, 409))
def train_backbone(
    body: BackboneIn, session: SessionDep, parts: PartsDep, caller: Admin, response: Response
) -> BackboneOut:
    """Train a network: the last blocks of the present one, or a small one from scratch.

    It becomes the feature set `name`, at stage `filling`. Its learning curve can be read while it lasts.
    """
    job, training = backbones.ask(
        session, body.name, body.task, body.recipe(), feature_set=body.feature_set, dataset=body.dataset,
        otherwise=parts.settings.feature_set, author=caller.name,
    )  # fmt: skip
    response.headers["Location"] = f"/v1/backbones/{training.name}"
    return BackboneOut.of(training, job)


@router.get("/{name}", responses=problems(404))
def read_backbone(name: NetworkName, session: SessionDep, _: CallerDep) -> BackboneOut:
    """A training with its learning curve so far."""
    training = backbones.named(session, name)
    return BackboneOut.of(training, backbones.job_of(session, training))
