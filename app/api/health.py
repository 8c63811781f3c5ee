"""`/healthz`, `/readyz`, `/metrics`: outside `/v1`, for machines that watch machines."""

from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import GaugeMetricFamily
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.api.problems import problems
from app.api.worker_figures import WorkerFigures
from app.db import transaction
from app.deps import CallerDep, PartsDep, SessionDep, SettingsDep
from app.services import stats

router = APIRouter(tags=["health"])


@router.get("/healthz")
def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"description": "Not ready; the answer says what is missing"}})
def readyz(parts: PartsDep) -> JSONResponse:
    """The database answers, a nearest-neighbour query works, and an extraction worker is alive.

    A live feature set that no worker serves is told of, and makes the others no less ready.
    """
    settings = parts.settings
    try:
        with transaction(parts.sessions) as session:
            found: dict[str, Any] = stats.readiness(session, within_seconds=settings.alive_seconds)
    except (DBAPIError, PoolTimeout) as error:
        found = {"database": f"does not answer: {type(error).__name__}"}
    ready = all(value == "ok" for name, value in found.items() if name != "feature_sets")
    return JSONResponse({"ready": ready, "checks": found}, 200 if ready else 503)


class _StoreFigures:
    """The store's counts as Prometheus gauges, gathered at each scrape."""

    def __init__(self, found: stats.Stats) -> None:
        self._found = found

    def collect(self) -> Any:
        yield GaugeMetricFamily("penumbra_images", "Stored images", value=self._found.images)
        queue = GaugeMetricFamily("penumbra_jobs", "Unfinished and failed jobs", labels=("kind", "state"))
        for kind, states in self._found.jobs.items():
            for state, count in states.items():
                queue.add_metric((kind, state), count)
        yield queue
        oldest = self._found.oldest_pending_seconds or 0.0
        yield GaugeMetricFamily("penumbra_oldest_pending_seconds", "Age of the oldest pending image", value=oldest)
        yield GaugeMetricFamily("penumbra_workers", "Workers alive", value=len(self._found.workers))
        unjudged = GaugeMetricFamily(
            "penumbra_cannot_judge", "Regions that a live head cannot judge", labels=("reason",)
        )
        for reason, count in self._found.cannot_judge.items():
            unjudged.add_metric((reason,), count)
        yield unjudged


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}, **problems()})
def metrics(session: SessionDep, settings: SettingsDep, _: CallerDep) -> Response:
    """Prometheus text; scrape it with a key of any role."""
    found = stats.gather(session, within_seconds=settings.alive_seconds)
    of_workers = generate_latest(WorkerFigures(found.workers))
    body = generate_latest() + generate_latest(_StoreFigures(found)) + of_workers
    return Response(body, media_type=CONTENT_TYPE_LATEST)
