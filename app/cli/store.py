"""Opening the store for a command: the configured server, or the embedded one of the data folder."""

import getpass
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from sqlalchemy import Engine

from app import embedded
from app.blobs import BlobStore
from app.cli.output import progress_bar
from app.config import Settings, load_settings
from app.db import Sessions, make_engine, make_sessions, transaction
from app.errors import ConfigurationError, Unavailable
from app.features.spec import FeatureSetSpec
from app.features.weights import resolve
from app.models import FeatureSet
from app.services import feature_sets, images, schema, stats


@dataclass(frozen=True)
class Store:
    """An open store, at the schema of this version."""

    settings: Settings
    engine: Engine
    sessions: Sessions
    blobs: BlobStore

    def feature_set(self, name: str | None = None) -> FeatureSet:
        with transaction(self.sessions) as session:
            return feature_sets.chosen(session, name, self.settings.feature_set)


def settings_for(data: Path | None) -> Settings:
    settings = load_settings()
    return settings if data is None else settings.model_copy(update={"data_dir": data})


@contextmanager
def database_url(settings: Settings) -> Iterator[str]:
    """The configured server, checked; or the embedded one, started when it is not running."""
    if settings.database_url is not None:
        url = settings.database_url.get_secret_value()
        embedded.check_server(url)
        yield url
        return
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with embedded.serving(settings.postgres_dir) as server:
        yield server.url()


def prepare(engine: Engine, settings: Settings) -> str:
    """Bring schema and shipped content up to date; the revision."""
    revision = schema.migrate(engine)
    with transaction(make_sessions(engine)) as session:
        schema.seed(session, _default(settings))
    return revision


def _default(settings: Settings) -> FeatureSetSpec | None:
    """The feature set that the settings name, if they do."""
    if settings.feature_set is None:
        if settings.weights is not None:
            raise ConfigurationError("PENUMBRA_WEIGHTS is set: say in PENUMBRA_FEATURE_SET which feature set it is of.")
        return None
    return resolve(settings.feature_set, settings.weights).spec


@contextmanager
def opened(data: Path | None) -> Iterator[Store]:
    """The store of a command. The embedded one is migrated at once; a shared server is left to `penumbra migrate`."""
    settings = settings_for(data)
    with database_url(settings) as url:
        engine = make_engine(url)
        try:
            if settings.database_url is None:
                prepare(engine, settings)
            else:
                schema.check_current(engine)
            yield Store(settings, engine, make_sessions(engine), BlobStore(settings.blobs))
        finally:
            engine.dispose()


def actor() -> str:
    """Who the audit trail says ran this command."""
    return f"cli:{getpass.getuser()}"


def wait_for_images(store: Store, image_ids: Sequence[UUID], *, description: str = "extracting") -> None:
    """Return when no image is pending, with a bar. Raise Unavailable when no worker is there to extract them."""
    waiting = list(dict.fromkeys(image_ids))
    with progress_bar(description) as (bar, line):
        bar.update(line, total=len(waiting))
        total = len(waiting)
        while True:
            with transaction(store.sessions) as session:
                waiting = images.unfinished(session, waiting)
                alive = stats.alive_workers(session, within_seconds=store.settings.alive_seconds)
            bar.update(line, completed=total - len(waiting))
            if not waiting:
                return
            if not any(worker.kind == "extract" for worker in alive):
                raise Unavailable(
                    f"{len(waiting)} images wait, but no extraction worker runs on this store; "
                    "start `penumbra up` (or `penumbra worker`) and run this again: nothing is lost."
                )
            time.sleep(0.2)
