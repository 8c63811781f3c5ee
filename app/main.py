"""The HTTP composition root."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio.to_thread
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app import __version__, web
from app.api import documentation, errors, health, routes
from app.api.middleware import BoundBody, Measure
from app.api.schemas import LabelsIn, Problem, SearchIn
from app.blobs import BlobStore
from app.config import Settings, load_settings
from app.db import make_engine, make_sessions
from app.deps import DoneSignal, Parts
from app.errors import ConfigurationError
from app.services import schema
from app.services.prediction import LoadedHeads

# Requests that wait for an extraction hold a thread each, but no database connection.
THREADS = 100


def create_app(settings: Settings | None = None) -> FastAPI:
    """The service on an existing database; `penumbra migrate` must have run."""
    settings = settings or load_settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
        app.state.parts = parts = build_parts(settings)
        parts.done.start()
        yield
        parts.done.stop()
        parts.engine.dispose()

    app = FastAPI(docs_url=None, redoc_url=None, title="Penumbra", version=__version__, lifespan=lifespan)
    app.include_router(routes.router)
    app.include_router(health.router)
    documentation.install(app)
    errors.install(app)
    web.install(app)
    app.add_middleware(BoundBody, max_bytes=settings.max_request_bytes)
    app.add_middleware(Measure)
    app.openapi = lambda: openapi(app)  # type: ignore[method-assign]
    return app


def build_parts(settings: Settings) -> Parts:
    """The parts of a running service. Raise ConfigurationError when the database is not named or not current."""
    if settings.database_url is None:
        raise ConfigurationError("Set PENUMBRA_DATABASE_URL, or start `penumbra up`, which brings its own database.")
    engine = make_engine(settings.database_url.get_secret_value())
    schema.check_current(engine)
    heads = LoadedHeads(gate=settings.quality_gate)
    return Parts(settings, engine, make_sessions(engine), BlobStore(settings.blobs), DoneSignal(engine), heads)


def openapi(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with the schemas that routes name but FastAPI does not see."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            routes=app.routes,
            description="Feature store and classification service for X-ray scans.",
        )
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        for model in (Problem, SearchIn, LabelsIn):
            definition = model.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update(definition.pop("$defs", {}))
            schemas[model.__name__] = definition
        app.openapi_schema = document
    return app.openapi_schema
