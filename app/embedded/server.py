"""Start, find, and stop the server of a data folder."""

import fcntl
import hashlib
import os
import shlex
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import psycopg2
from psycopg2 import sql

from app.embedded.account import Account, account_for
from app.embedded.folder import ROLE, STARTUP_LOG, log_tail, prepare, run, write_settings
from app.embedded.health import check_server, probe_vector, require_processor
from app.embedded.locks import alive, beside, locked, started_for_serving
from app.embedded.processes import clear_remains, end, is_server_process
from app.errors import DatabaseUnusable

PORT = 5432
DATABASE = "penumbra"

# Replaying a full WAL after a crash takes minutes on a slow disk; giving up earlier would only start it over.
START_SECONDS = 900
STOP_SECONDS = 60
LONGEST_SOCKET = 103

SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}


@dataclass(frozen=True)
class EmbeddedServer:
    data_dir: Path
    socket_dir: Path
    pid: int

    def url(self, database: str = DATABASE) -> str:
        """SQLAlchemy's address of a database on this server."""
        host = quote(str(self.socket_dir), safe="/")
        return f"postgresql+psycopg2://{ROLE}@/{quote(database, safe='')}?host={host}&port={PORT}"


def ensure_running(data_dir: Path) -> EmbeddedServer:
    """The server of a data folder: made when absent, started when down, found when up. Any number may ask.

    Raises `DatabaseUnusable`, with the remedy and the server's last words.
    """
    folder = data_dir.resolve()
    with _reported(folder), _alone(folder):
        return _found(folder) or _started(folder)


def is_running(data_dir: Path) -> bool:
    """Whether this folder's own server accepts our connections; a stranger with its id does not count."""
    folder = data_dir.resolve()
    try:
        server = _postmaster(folder)
    except PermissionError:
        return False
    return server is not None and _accepts(server)


def stop(data_dir: Path, *, mode: Literal["smart", "fast", "immediate"] = "fast") -> None:
    """Stop the server, and what a killed one left behind; nothing happens when there is none."""
    folder = data_dir.resolve()
    if folder.exists():
        with _reported(folder), _alone(folder):
            _stop(folder, SIGNALS[mode])


@contextmanager
def serving(data_dir: Path) -> Iterator[EmbeddedServer]:
    """The server for as long as the block lasts. The last block to end, in any process, stops a server that a
    block started; a server that was up before stays up."""
    folder = data_dir.resolve()
    with _reported(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(beside(folder, "users"), fcntl.LOCK_SH) as users:
        try:
            yield ensure_running(folder)
        finally:
            with _alone(folder):
                if _is_last(users) and started_for_serving(folder):
                    _stop(folder, signal.SIGINT)


@contextmanager
def _reported(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, psycopg2.Error) as error:
        raise DatabaseUnusable(f"The database in {folder} cannot be used: {error}") from error


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(beside(folder, "lock"), fcntl.LOCK_EX):
        yield


def _is_last(users: int) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _found(folder: Path) -> EmbeddedServer | None:
    server = _postmaster(folder)
    if server is None:
        return None
    deadline = time.monotonic() + START_SECONDS
    while not _accepts(server):
        if not is_server_process(server.pid, folder):
            return None
        if time.monotonic() > deadline:
            raise DatabaseUnusable(f"The database in {folder} is not ready yet:\n{log_tail(folder)}")
        time.sleep(0.1)
    _furnish(server)
    return server


def _started(folder: Path) -> EmbeddedServer:
    require_processor()
    account = account_for(folder)
    prepare(folder, account)
    clear_remains(folder)
    write_settings(folder, account)
    try:
        _start(folder, account)
        server = _postmaster(folder)
        if server is None:
            raise DatabaseUnusable(f"The database in {folder} ended as it started:\n{log_tail(folder)}")
        _furnish(server)
    except BaseException:
        _stop(folder, signal.SIGINT)
        raise
    return server


def _start(folder: Path, account: Account) -> None:
    """By `pg_ctl`: a session of its own, which a terminal's Ctrl-C passes by, and no child for us to reap.

    From within the folder, since `pg_ctl` gives the paths of its own options to a shell, badly quoted.
    """
    sockets = _socket_dir(folder, account)
    for left in (f".s.PGSQL.{PORT}.lock", f".s.PGSQL.{PORT}"):
        # Like the pid file it names a process by number, and would stop us for a stranger or a zombie.
        (sockets / left).unlink(missing_ok=True)
    options = f"-k {shlex.quote(str(sockets))} -p {PORT} -c listen_addresses='' -c unix_socket_permissions=0700"
    (folder / STARTUP_LOG).unlink(missing_ok=True)
    command = ["pg_ctl", "start", "-w", "-t", str(START_SECONDS), "-D", ".", "-l", STARTUP_LOG, "-o", options]
    with alive(folder) as descriptor:
        status, output = run(command, account, within=folder, inherit=[descriptor])
    if status:
        raise DatabaseUnusable(f"The database in {folder} did not start: {output}\n{log_tail(folder)}")


def _stop(folder: Path, sent: signal.Signals) -> None:
    server = _postmaster(folder)
    if server is not None:
        end(server.pid, folder, sent, patience_seconds=STOP_SECONDS)
    clear_remains(folder)
    with suppress(OSError):
        _short_dir(folder).rmdir()


def _socket_dir(folder: Path, account: Account) -> Path:
    """The data folder, which is private and seen wherever the data is; a short private folder for a long path
    (the system allows 107 bytes) or one with a comma (libpq would read two hosts)."""
    if len(os.fsencode(folder / f".s.PGSQL.{PORT}")) <= LONGEST_SOCKET and "," not in str(folder):
        return folder
    short = _short_dir(folder)
    short.mkdir(mode=0o700, exist_ok=True)
    if short.is_symlink() or short.stat().st_uid not in (os.geteuid(), account.uid):
        raise DatabaseUnusable(f"{short} belongs to somebody else; remove it.")
    os.chown(short, account.uid, account.gid)
    short.chmod(0o700)
    return short


def _short_dir(folder: Path) -> Path:
    return Path(tempfile.gettempdir()) / f"penumbra-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}"


def _postmaster(folder: Path) -> EmbeddedServer | None:
    try:
        lines = (folder / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return None
    # Fewer lines: a server that is just starting, or one that died doing so.
    if len(lines) < 5 or not lines[0].strip().isdigit() or not is_server_process(int(lines[0]), folder):
        return None
    return EmbeddedServer(folder, Path(lines[4].strip()), int(lines[0]))


def _accepts(server: EmbeddedServer) -> bool:
    myself = Account(os.geteuid(), os.getegid())
    address = ("-h", server.socket_dir, "-p", str(PORT), "-U", ROLE, "-d", "postgres", "-t", "5")
    return run(["pg_isready", "-q", *address], myself)[0] == 0


def _furnish(server: EmbeddedServer) -> None:
    """The database and its extension, at the version that this release's wheel brings."""
    _execute(server, "postgres", _create_database)
    _execute(server, DATABASE, _create_extension)


def _execute(server: EmbeddedServer, database: str, use: Callable[[psycopg2.extensions.cursor], None]) -> None:
    address = server.url(database).replace("+psycopg2", "", 1)
    with closing(psycopg2.connect(address, connect_timeout=30)) as opened:
        opened.autocommit = True
        with opened.cursor() as cursor:
            use(cursor)


def _create_database(cursor: psycopg2.extensions.cursor) -> None:
    cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,))
    if cursor.fetchone() is None:
        cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))


def _create_extension(cursor: psycopg2.extensions.cursor) -> None:
    cursor.execute("CREATE EXTENSION IF NOT EXISTS vector")
    cursor.execute("ALTER EXTENSION vector UPDATE")
    probe_vector(cursor.execute)
    check_server(cursor.connection)
