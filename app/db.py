"""The database seam: declarative base, engine, the one place that commits, and LISTEN/NOTIFY."""

import os
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg2
from sqlalchemy import Engine, MetaData, create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker

from app.errors import ConfigurationError

JOBS_CHANNEL = "penumbra_jobs"  # payload: job kind
DONE_CHANNEL = "penumbra_done"  # payload: empty; some images became ready or failed

Sessions = sessionmaker[Session]


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


def normalise_url(url: str) -> URL:
    """The URL with the psycopg2 driver, whatever `postgres://` spelling an operator used.

    Raise ConfigurationError when it is none; its text, which may hold a password, is not repeated.
    """
    try:
        parsed = make_url(url.replace("postgres://", "postgresql://", 1))
    except ArgumentError:
        raise ConfigurationError(
            "PENUMBRA_DATABASE_URL is no address such as postgresql://user@host/database."
        ) from None
    return parsed.set(drivername="postgresql+psycopg2")


def make_engine(url: str | URL, *, pool_size: int = 10) -> Engine:
    """An engine in UTC that checks a pooled connection before use, so a Postgres restart costs one retry."""
    return create_engine(
        normalise_url(url) if isinstance(url, str) else url,
        pool_pre_ping=True,
        pool_size=pool_size,
        max_overflow=20,
        pool_timeout=10,
        connect_args={"connect_timeout": 5, "options": "-c timezone=UTC", "application_name": "penumbra"},
    )


def make_sessions(engine: Engine) -> Sessions:
    return sessionmaker(engine, expire_on_commit=False)


@contextmanager
def transaction(sessions: Sessions) -> Iterator[Session]:
    """One transaction: commits when the block ends, rolls back when it raises."""
    with sessions() as session, session.begin():
        yield session


def connection_lost(error: BaseException) -> bool:
    """Whether the server went away, as opposed to having refused what was asked."""
    return isinstance(error, OperationalError) or (isinstance(error, DBAPIError) and bool(error.connection_invalidated))


def notify(session: Session, channel: str, payload: str = "") -> None:
    """Tell listeners when, and only if, this transaction commits."""
    session.execute(text("SELECT pg_notify(:channel, :payload)"), {"channel": channel, "payload": payload})


class Listener:
    """Waits for notifications on a connection of its own; a lost connection is opened again.

    A wait may end early or a notification be lost while the server restarts, so callers
    look at the tables after every wait: the notification only makes them look sooner.
    """

    def __init__(self, engine: Engine, channel: str) -> None:
        self._engine = engine
        self._channel = channel
        self._connection: psycopg2.extensions.connection | None = None
        self._wakes, self._waker = os.pipe()
        os.set_blocking(self._wakes, False)
        os.set_blocking(self._waker, False)

    def __del__(self) -> None:
        os.close(self._wakes)
        os.close(self._waker)

    def wake(self) -> None:
        """End the present or the next wait early, from any thread."""
        with suppress(BlockingIOError):  # many wakes wait already
            os.write(self._waker, b"!")

    def wait(self, seconds: float) -> bool:
        """Block until notified, woken, or until `seconds` have passed; whether it was notified."""
        try:
            connection = self._connected()
            if not connection.notifies:
                select.select([connection.fileno(), self._wakes], [], [], seconds)
                connection.poll()
            with suppress(BlockingIOError):
                os.read(self._wakes, 4096)
            notified = bool(connection.notifies)
            connection.notifies.clear()
        except (psycopg2.Error, OSError, ValueError, OperationalError):
            self.close()
            time.sleep(min(seconds, 0.25))
            return False
        return notified

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> psycopg2.extensions.connection:
        if self._connection is None or self._connection.closed:
            arguments, keywords = self._engine.dialect.create_connect_args(self._engine.url)
            connection = psycopg2.connect(*arguments, **{"connect_timeout": 5, **keywords})
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(f"LISTEN {self._channel}")
            self._connection = connection
        return self._connection
