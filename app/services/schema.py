"""The schema and what every store starts with."""

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from app import embedded
from app.errors import DatabaseUnusable
from app.features.spec import FeatureSetSpec
from app.features.weights import resolve
from app.services import feature_sets, starters, tasks

_ROOT = Path(__file__).resolve().parents[2]
_MIGRATION_LOCK = 7_301_000


def migrate(engine: Engine) -> str:
    """Bring the schema up to date, one process at a time; the revision it is at."""
    config = _config()
    with engine.begin() as connection:
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return str(ScriptDirectory.from_config(config).get_current_head())


def check_current(engine: Engine) -> None:
    """Raise DatabaseUnusable unless the server is new enough and the schema at this version's revision."""
    wanted = ScriptDirectory.from_config(_config()).get_current_head()
    with engine.connect() as connection:
        driver: Any = connection.connection.dbapi_connection
        embedded.check_server(driver)
        present = MigrationContext.configure(connection).get_current_revision()
    if present != wanted:
        raise DatabaseUnusable(
            f"The database schema is at revision {present or 'none'}, this version needs {wanted}: "
            "run `penumbra migrate`."
        )


def seed(session: Session, default: FeatureSetSpec | None = None) -> None:
    """Shipped tasks, a feature set for each that has none yet, and starter heads where a task has none.

    With a `default` that feature set is registered, and is what tasks without one get; otherwise each gets the one
    it ships with.
    """
    tasks.ensure_shipped(session)
    configured = feature_sets.ensure_configured(session, default, author="penumbra") if default else None
    for shipped in tasks.SHIPPED:
        task = tasks.named(session, shipped.name, lock=True)
        if task.feature_set_id is None:
            own = configured or feature_sets.ensure(session, resolve(shipped.feature_set).spec, author="penumbra")
            task.feature_set_id = own.id
    session.flush()
    for feature_set in feature_sets.live(session):
        starters.ensure(session, feature_set)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_ROOT / "migrations"))
    return config
