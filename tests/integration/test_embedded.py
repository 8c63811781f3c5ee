"""The embedded server, with real processes and real signals."""

import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest

from app.embedded import EmbeddedServer, check_server, ensure_running, is_running, serving, stop
from app.embedded.health import PGVECTOR_NEEDS, probe_vector, processor_flags, require_processor
from app.errors import DatabaseUnusable
from tests.waiting import PATIENCE, eventually

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root starts the server as another account")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "penumbra-data" / "postgres"
    yield path
    stop(path, mode="immediate")


@contextmanager
def connected(server: EmbeddedServer, database: str = "penumbra") -> Iterator[Any]:
    with closing(psycopg2.connect(server.url(database).replace("+psycopg2", ""))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            yield cursor


def ask(server: EmbeddedServer, query: str) -> Any:
    with connected(server) as cursor:
        cursor.execute(query)
        return cursor.fetchone()[0] if cursor.description else None


def remember(server: EmbeddedServer) -> None:
    ask(server, "CREATE TABLE kept AS SELECT 42 AS answer")


def remembers(server: EmbeddedServer) -> bool:
    return bool(ask(server, "SELECT answer FROM kept") == 42)


def kill(*pids: int) -> None:
    """Kill with SIGKILL, and wait until none of them runs."""
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not any(psutil.pid_exists(pid) for pid in pids))


def family(server: EmbeddedServer) -> list[int]:
    return [server.pid, *(child.pid for child in psutil.Process(server.pid).children(recursive=True))]


def python(code: str, *arguments: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", f"import sys; from pathlib import Path\n{code}", *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


SERVE = """
from app.embedded import serving
with serving(Path(sys.argv[1])) as server:
    print(server.pid, flush=True)
    sys.stdin.readline()
"""
ENSURE = "from app.embedded import ensure_running; print(ensure_running(Path(sys.argv[1])).pid, flush=True)"


def test_new_folder_gets_a_server_with_the_settings_that_keep_data(folder: Path) -> None:
    server = ensure_running(folder)
    wanted = {
        "data_checksums": "on",
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "server_encoding": "UTF8",
        "TimeZone": "UTC",
        "listen_addresses": "",
        "shared_buffers": "256MB",
        "max_connections": "100",
    }
    assert {name: ask(server, f"SHOW {name}") for name in wanted} == wanted
    assert ask(server, "SELECT datcollate || datlocale FROM pg_database WHERE datname = 'penumbra'") == "CC.UTF-8"


def test_running_server_is_found_and_not_started_again(folder: Path) -> None:
    server = ensure_running(folder)
    assert ensure_running(folder) == server
    assert is_running(folder)


def test_server_has_its_own_session_and_leaves_no_child_behind(folder: Path) -> None:
    server = ensure_running(folder)
    assert os.getsid(server.pid) != os.getsid(0)
    assert psutil.Process(server.pid).ppid() != os.getpid()


def test_stop_twice_is_stop_once(folder: Path) -> None:
    stop(folder)
    ensure_running(folder)
    stop(folder)
    stop(folder)
    assert not is_running(folder)


def test_data_survives_a_killed_postmaster(folder: Path) -> None:
    server = ensure_running(folder)
    remember(server)
    kill(server.pid)
    assert not is_running(folder)
    assert remembers(ensure_running(folder))


def test_data_survives_the_kill_of_every_process(folder: Path) -> None:
    server = ensure_running(folder)
    remember(server)
    kill(*family(server))
    assert (folder / "postmaster.pid").exists()
    assert remembers(ensure_running(folder))


def test_busy_orphan_of_a_killed_postmaster_is_ended(folder: Path) -> None:
    server = ensure_running(folder)
    remember(server)
    with connected(server) as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        backend = cursor.fetchone()[0]
        busy = threading.Thread(target=_swallow, args=(cursor, "DO 'BEGIN LOOP END LOOP; END'"))
        busy.start()
        eventually(lambda: psutil.Process(backend).cpu_times().user > 0.2)
        kill(server.pid)
        assert psutil.pid_exists(backend)
        assert remembers(ensure_running(folder))
        busy.join()
    eventually(lambda: not psutil.pid_exists(backend))


def _swallow(cursor: Any, query: str) -> None:
    with pytest.raises(psycopg2.OperationalError):
        cursor.execute(query)


def test_living_stranger_with_the_dead_servers_id_is_left_alone(folder: Path) -> None:
    server = ensure_running(folder)
    remember(server)
    files = [folder / "postmaster.pid", server.socket_dir / ".s.PGSQL.5432.lock"]
    left = [path.read_text() for path in files]
    kill(*family(server))
    owner = folder.stat().st_uid
    # Of the same account, since Postgres itself mistakes such a process for its predecessor.
    with subprocess.Popen(["sleep", "60"], user=None if os.geteuid() == owner else owner) as stranger:
        for use in (stop, ensure_running):
            for path, text in zip(files, left, strict=True):
                path.write_text(text.replace(str(server.pid), str(stranger.pid), 1))
            assert not is_running(folder)
            use(folder)
        assert stranger.poll() is None
        assert remembers(ensure_running(folder))
        stranger.kill()


def test_killed_server_that_nobody_has_reaped_is_replaced(folder: Path) -> None:
    """In a container without an init process a dead postmaster stays a zombie, and its number alive."""
    keep_children = "import ctypes; ctypes.CDLL(None).prctl(36, 1)"  # PR_SET_CHILD_SUBREAPER
    with python(f"{keep_children}\n{ENSURE}\nsys.stdin.readline()", folder) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
        assert ensure_running(folder).pid != pid
        assert psutil.pid_exists(pid)
        parent.communicate("end\n", timeout=PATIENCE)


def test_asking_whether_it_runs_leaves_nothing_in_the_log(folder: Path) -> None:
    ensure_running(folder)
    assert is_running(folder)
    assert not [path for path in (folder / "log").iterdir() if "FATAL" in path.read_text()]


@pytest.mark.parametrize("content", ["", "17\n", "not a number\n\n\n\n\n\n", "999999\n/\n0\n5432\n"])
def test_torn_pid_file_does_not_matter(folder: Path, content: str) -> None:
    ensure_running(folder)
    stop(folder)
    (folder / "postmaster.pid").write_text(content)
    assert not is_running(folder)
    ensure_running(folder)


def test_processes_that_ask_at_once_get_one_server(folder: Path) -> None:
    askers = [python(ENSURE, folder) for _ in range(4)]
    answers = [asker.communicate(timeout=PATIENCE)[0] for asker in askers]
    assert {int(answer) for answer in answers} == {ensure_running(folder).pid}


def test_killed_initialisation_is_begun_anew(folder: Path) -> None:
    maker = python(ENSURE, folder)
    eventually(lambda: any(folder.parent.glob(".postgres.init-*/global")))
    maker.kill()
    maker.communicate()
    assert not folder.exists()
    remember(ensure_running(folder))


def test_half_a_database_is_refused_and_kept(folder: Path) -> None:
    ensure_running(folder)
    stop(folder)
    (folder / "PG_VERSION").unlink()
    with pytest.raises(DatabaseUnusable, match=r"no whole database \(PG_VERSION missing\).*backup"):
        ensure_running(folder)
    assert (folder / "base").exists()


def test_other_major_version_is_refused_with_the_remedy(folder: Path) -> None:
    ensure_running(folder)
    stop(folder)
    (folder / "PG_VERSION").write_text("16\n")
    with pytest.raises(DatabaseUnusable, match="written by Postgres 16 and this release runs 18: dump it"):
        ensure_running(folder)


def test_failed_start_tells_what_the_server_said(folder: Path) -> None:
    ensure_running(folder)
    stop(folder)
    (folder / "conf.d" / "90-local.conf").write_text("shared_buffers = many\n")
    with pytest.raises(DatabaseUnusable, match=r"did not start(.|\n)*shared_buffers"):
        ensure_running(folder)


def test_operators_settings_win_over_ours(folder: Path) -> None:
    ensure_running(folder)
    stop(folder)
    (folder / "conf.d" / "90-local.conf").write_text("work_mem = 9MB\nmax_connections = 33\n")
    (folder / "conf.d" / "10-penumbra.conf").write_text("of an older release = ?\n")
    server = ensure_running(folder)
    assert (ask(server, "SHOW work_mem"), ask(server, "SHOW max_connections")) == ("9MB", "33")


def test_unusable_place_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DatabaseUnusable, match="cannot be used"):
        ensure_running(tmp_path / "file" / "postgres")


@pytest.mark.parametrize("name", ["p" * 100, "a, b", "it's $HOME"])
def test_any_folder_name_works(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name / "postgres"
    server = ensure_running(folder)
    try:
        assert ask(server, "SHOW data_directory") == str(folder)
        assert stat.S_IMODE(server.socket_dir.stat().st_mode) == 0o700
        assert is_running(folder)
    finally:
        stop(folder)
    assert server.socket_dir == folder or not server.socket_dir.exists()


def test_callers_postgres_variables_do_not_bend_the_server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPORT", "7777")
    monkeypatch.setenv("PGDATA", "/nonexistent")
    assert ask(ensure_running(folder), "SHOW port") == "5432"


@as_root
def test_root_gets_a_server_behind_a_shut_folder_that_stays_shut(tmp_path: Path) -> None:
    shut = tmp_path / "shut"
    shut.mkdir(mode=0o700)
    folder = shut / "postgres"
    owner = psutil.Process(ensure_running(folder).pid).uids().effective
    stop(folder)
    assert owner != 0
    assert shut.stat().st_mode & stat.S_IRWXO == 0
    assert subprocess.run(["ls", shut], user=owner, capture_output=True, check=False).returncode != 0
    assert subprocess.run(["ls", folder], user=owner, capture_output=True, check=False).returncode == 0
    assert subprocess.run(["ls", folder], user=owner + 1, capture_output=True, check=False).returncode != 0


@as_root
def test_root_serves_a_folder_as_the_account_that_owns_it_and_one_restored_as_root(folder: Path) -> None:
    remember(ensure_running(folder))
    stop(folder)
    for uid in (54321, 0):
        subprocess.run(["chown", "-R", f"{uid}:{uid}", folder], check=True)
        server = ensure_running(folder)
        assert psutil.Process(server.pid).uids().effective == folder.stat().st_uid != 0
        assert remembers(server)
        stop(folder)


def test_serving_stops_what_it_started(folder: Path) -> None:
    with serving(folder):
        assert is_running(folder)
    assert not is_running(folder)


def test_serving_leaves_a_server_that_was_up_before(folder: Path) -> None:
    ensure_running(folder)
    with serving(folder):
        pass
    assert is_running(folder)


def test_last_serving_block_of_several_processes_stops_the_server(folder: Path) -> None:
    first = python(SERVE, folder)
    assert first.stdout is not None
    pid = int(first.stdout.readline())
    with serving(folder) as server:
        assert server.pid == pid
        first.communicate("end\n", timeout=PATIENCE)
        assert is_running(folder)
    assert not is_running(folder)


def test_server_of_a_killed_block_is_stopped_by_the_next(folder: Path) -> None:
    first = python(SERVE, folder)
    assert first.stdout is not None
    first.stdout.readline()
    first.kill()
    first.communicate()
    assert is_running(folder)
    with serving(folder):
        pass
    assert not is_running(folder)


def test_server_restarted_within_a_serving_block_is_stopped_at_its_end(folder: Path) -> None:
    with serving(folder) as server:
        kill(*family(server))
        ensure_running(folder)
    assert not is_running(folder)


def test_server_that_cannot_be_seen_is_not_doubled(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ensure_running(folder)
    with monkeypatch.context() as blind:
        # As in another container on the same volume.
        blind.setattr("app.embedded.processes.psutil.pids", list)
        blind.setattr("app.embedded.server.is_server_process", lambda pid, folder: False)
        blind.setattr("app.embedded.locks.PATIENCE_SECONDS", 0.2)
        with pytest.raises(DatabaseUnusable, match="cannot be seen from here"):
            ensure_running(folder)


def test_check_reports_versions_by_url_and_by_connection(folder: Path) -> None:
    server = ensure_running(folder)
    versions = check_server(server.url())
    assert check_server(server.url().replace("postgresql+psycopg2", "postgres")) == versions
    assert versions.postgres.startswith("18.")
    assert versions.pgvector == "0.8.5"
    with connected(server, "postgres") as cursor:
        assert check_server(cursor.connection) == versions


def test_check_of_a_dead_server_names_the_setting_and_no_password() -> None:
    with pytest.raises(DatabaseUnusable, match="PENUMBRA_DATABASE_URL") as caught:
        check_server("postgresql+psycopg2://someone:secret@127.0.0.1:9/penumbra")
    assert "secret" not in str(caught.value)


class FakeConnection:
    """Answers the two questions of `check_server`, in order."""

    def __init__(self, *answers: tuple[object, ...] | None) -> None:
        self.answers = list(answers)

    def cursor(self) -> "FakeConnection":
        return self

    def __enter__(self) -> "FakeConnection":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def execute(self, query: str) -> None:
        return None

    def fetchone(self) -> tuple[object, ...] | None:
        return self.answers.pop(0)


@pytest.mark.parametrize(
    ("version", "extension", "remedy"),
    [
        (("15.9", 15), ("0.8.5", "0.8.5"), "Postgres 15.9 is too old; upgrade"),
        (("16.2", 16), None, "no pgvector; install pgvector 0.8.4"),
        (("16.2", 16), ("0.7.0", "0.8.4"), "ALTER EXTENSION vector UPDATE"),
        (("16.2", 16), (None, "0.8.3"), "pgvector 0.8.3 is too old; install 0.8.4"),
    ],
)
def test_check_refuses_with_the_remedy(version: Any, extension: Any, remedy: str) -> None:
    with pytest.raises(DatabaseUnusable, match=remedy):
        check_server(FakeConnection(version, extension))  # type: ignore[arg-type]


@pytest.mark.parametrize("extension", [("0.8.4", "0.8.4"), (None, "0.10.0"), ("0.8.4", "1.0")])
def test_check_accepts_this_and_newer(extension: Any) -> None:
    fake = FakeConnection(("16.0", 16), extension)
    assert check_server(fake).postgres == "16.0"  # type: ignore[arg-type]


def test_processor_without_fma_is_refused_before_anything_starts() -> None:
    with pytest.raises(
        DatabaseUnusable, match="lacks fma, which the embedded pgvector needs; set PENUMBRA_DATABASE_URL"
    ):
        require_processor("x86_64", PGVECTOR_NEEDS - {"fma"})


@pytest.mark.parametrize(
    ("machine", "flags"), [("x86_64", PGVECTOR_NEEDS), ("x86_64", frozenset()), ("aarch64", {"fp"})]
)
def test_processor_that_suits_or_cannot_tell_is_left_to_the_probe(machine: str, flags: frozenset[str]) -> None:
    require_processor(machine, frozenset(flags))


def test_processor_flags_are_read_and_their_absence_is_no_error(tmp_path: Path) -> None:
    told = tmp_path / "cpuinfo"
    told.write_text("processor\t: 0\nflags\t\t: fpu avx2 fma\nprocessor\t: 1\nflags\t\t: fpu\n")
    assert processor_flags(told) == {"fpu", "avx2", "fma"}
    assert processor_flags(tmp_path / "absent") == frozenset()


def test_backend_that_dies_of_an_illegal_instruction_is_a_clear_error(folder: Path) -> None:
    with connected(ensure_running(folder)) as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        backend = cursor.fetchone()[0]

        def execute(query: str) -> None:
            os.kill(backend, signal.SIGILL)
            cursor.execute(query)

        with pytest.raises(DatabaseUnusable, match="built for another processor; set PENUMBRA_DATABASE_URL"):
            probe_vector(execute)
