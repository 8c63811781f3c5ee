"""The house keeps its shape: who may import whom, what the service loads, how long things get, what is locked."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text

from app.services import schema
from tests.conftest import TestStore

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted([*(ROOT / "app").rglob("*.py"), *(ROOT / "workers").rglob("*.py")])
LOCKS = sorted([*ROOT.glob("*.lock"), *(ROOT / "requirements").glob("*.lock")])
PICKLERS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
HEAVY = ("tensorflow", "keras", "openvino", "sklearn", "skl2onnx", "tf2onnx", "jax", "torch")
LONGEST_FILE, LONGEST_FUNCTION = 300, 45


def short(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Names and lengths in lines, without decorators."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout


def test_imports_point_down() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    ended = subprocess.run([linter, "--no-cache"], capture_output=True, text=True, cwd=ROOT, check=False)
    assert ended.returncode == 0, ended.stdout
    assert "3 kept, 0 broken" in ended.stdout


@pytest.mark.parametrize("module", ["app.main", "app.cli"])
def test_the_service_and_the_command_line_load_no_training_framework(module: str) -> None:
    """Import contracts see what is written; this sees what is loaded, third parties' imports too."""
    loaded = set(python(f"import sys, {module}; print(' '.join(sys.modules))").split())
    assert module in loaded
    assert loaded.isdisjoint(HEAVY)


def test_the_command_line_waits_for_no_web_framework() -> None:
    """It calls the API by HTTP; FastAPI and all routes would cost each command half a second."""
    loaded = set(python("import sys, app.cli; print(' '.join(sys.modules))").split())
    assert "app.cli" in loaded
    assert loaded.isdisjoint({"fastapi", "starlette", "uvicorn", "sklearn"})


def test_the_extraction_worker_loads_neither_tensorflow_nor_scikit_learn() -> None:
    loaded = set(python("import sys, workers.extract; print(' '.join(sys.modules))").split())
    assert loaded.isdisjoint({"tensorflow", "keras", "sklearn"})


def test_importing_the_service_reads_no_setting_and_opens_nothing() -> None:
    code = """
import os, socket
def refuse(*a, **k): raise AssertionError("work at import")
socket.socket.connect = refuse
os.environ["PENUMBRA_LEASE_SECONDS"] = "not a number"
import app.main, app.cli, workers.extract
"""
    python(code)


def test_files_and_functions_fit_their_bounds() -> None:
    long_files = {short(path) for path in MODULES if len(path.read_text().splitlines()) > LONGEST_FILE}
    long_functions = {
        f"{short(path)}: {name}" for path in MODULES for name, lines in functions(path) if lines > LONGEST_FUNCTION
    }
    assert (long_files, long_functions) == (set(), set())


def imported(path: Path) -> set[str]:
    """Top-level packages that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return {name.split(".")[0] for name in names}


def test_nothing_is_pickled() -> None:
    assert MODULES
    assert {short(path) for path in MODULES if imported(path) & PICKLERS} == set()
    assert {short(path) for path in MODULES if "allow_pickle=True" in path.read_text()} == set()


def test_only_config_reads_the_environment() -> None:
    """The others hand it on to processes that they start."""
    readers = {short(path) for path in MODULES if re.search(r"os\.(environ|getenv)", path.read_text())}
    assert readers <= {"app/config.py", "app/cli/serve.py", "app/features/engines/environment.py", "app/supervisor.py"}


@pytest.mark.parametrize("path", LOCKS, ids=short)
def test_locks_name_hashes_and_no_addresses(path: Path) -> None:
    content = path.read_text()
    assert "://" not in content
    assert not re.search(r"^\s*(-i|--(extra-)?index-url|--find-links|--trusted-host)", content, re.MULTILINE)
    pinned = re.findall(r"^([a-zA-Z0-9][a-zA-Z0-9._-]*(?:\[[^\]]*\])?)==", content, re.MULTILINE)
    assert pinned
    blocks = re.split(r"^(?=[a-zA-Z0-9])", content, flags=re.MULTILINE)
    assert not [block.splitlines()[0] for block in blocks if "==" in block and "--hash=sha256:" not in block]


# Migrations


def alembic(store: TestStore, ask: str, *words: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "migrations"))
    with store.engine.begin() as connection:
        config.attributes["connection"] = connection
        getattr(command, ask)(config, *words)


def test_the_migrations_make_what_the_models_say(store: TestStore) -> None:
    alembic(store, "check")


def tables(store: TestStore) -> set[str]:
    with store.engine.connect() as connection:
        return set(connection.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")))


def test_the_schema_can_be_taken_down_and_built_again(store: TestStore) -> None:
    before = tables(store)
    assert {"image", "region", "embedding", "job", "head", "prediction", "label", "audit_event"} < before
    alembic(store, "downgrade", "base")
    assert tables(store) == {"alembic_version"}
    alembic(store, "upgrade", "head")
    alembic(store, "check")
    partitions = {name for name in before if name.startswith("embedding_fs")}
    assert tables(store) == before - partitions


def test_migrating_twice_changes_nothing(store: TestStore) -> None:
    assert schema.migrate(store.engine) == schema.migrate(store.engine)
    schema.check_current(store.engine)
