"""Datasets from the command line."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from typer.testing import CliRunner

from app.cli import app
from app.errors import AppError
from tests.conftest import TestStore
from tests.integration.labelled import TASK, delete, fill

FREEZE = ("dataset", "freeze", "port", "--task", TASK)


@dataclass(frozen=True)
class Terminal:
    """Runs commands on a store of twenty subjects with two images each, in an empty folder."""

    store: TestStore
    ids: list[UUID]

    def run(self, *words: str) -> str:
        ended = CliRunner().invoke(app, words)
        assert ended.exit_code == 0, ended.output
        return ended.stdout

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json"))

    def error(self, *words: str) -> str:
        ended = CliRunner().invoke(app, words)
        assert isinstance(ended.exception, AppError), ended.output
        return ended.exception.message

    def split_csv(self, key: str, tested: range, *, delimiter: str = ",") -> str:
        names = {"id": map(str, self.ids), "file": (f"scan-{i}.png" for i in range(len(self.ids)))}[key]
        lines = [f"{name}{delimiter}{'test' if i in tested else 'train'}" for i, name in enumerate(names)]
        Path("splits.csv").write_text("\n".join([f"{key}{delimiter}split", *lines]))
        return "splits.csv"


@pytest.fixture
def terminal(store: TestStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Terminal:
    monkeypatch.setenv("PENUMBRA_DATABASE_URL", store.url)
    monkeypatch.setenv("PENUMBRA_DATA_DIR", str(store.settings.data_dir))
    monkeypatch.chdir(tmp_path)
    return Terminal(store, fill(store, 40, per_subject=2))


def test_a_dataset_is_frozen_listed_and_shown(terminal: Terminal) -> None:
    frozen = terminal.json(*FREEZE, "--test", "0.5", "--train", "0.5")
    assert frozen["counts"]["test"] == {"empty": 10, "loaded": 10}
    assert [row["digest"] for row in terminal.json("dataset", "list")] == [frozen["digest"]]
    shown = terminal.json("dataset", "show", "port")
    assert (shown["id"], shown["lost"], shown["consulted_by"]) == (frozen["id"], 0, [])
    for words in (("dataset", "list"), ("dataset", "show", "port@1"), FREEZE):
        assert "port@" in terminal.run(*words)


def test_a_dataset_that_lost_rows_says_so(terminal: Terminal) -> None:
    terminal.run(*FREEZE)
    delete(terminal.store, terminal.ids[:3])
    assert "3 of 40 rows were deleted" in terminal.run("dataset", "show", "port")


@pytest.mark.parametrize(("key", "delimiter"), [("id", ","), ("file", ";"), ("file", "\t")])
def test_splits_come_from_a_csv(terminal: Terminal, key: str, delimiter: str) -> None:
    path = terminal.split_csv(key, range(8), delimiter=delimiter)
    frozen = terminal.json(*FREEZE, "--given", path)
    assert frozen["counts"]["test"] == {"empty": 4, "loaded": 4}


def test_a_leak_is_refused_moved_or_allowed(terminal: Terminal) -> None:
    given = ("--given", terminal.split_csv("id", range(7)))
    assert "--together" in terminal.error(*FREEZE, *given)
    assert terminal.json(*FREEZE, *given, "--together")["findings"]["moved"] == 1
    assert "1 subjects (2 rows)" in terminal.run(*FREEZE, *given, "--allow-leaks")


def test_a_dataset_is_divided_as_another(terminal: Terminal) -> None:
    first = terminal.json(*FREEZE, "--seed", "3")
    assert terminal.json(*FREEZE, "--like", "port@1")["digest"] == first["digest"]


def test_filters_limit_and_cut(terminal: Terminal) -> None:
    frozen = terminal.json(
        *FREEZE, "--captured-from", "2026-01-03", "--captured-until", "2026-01-31T00:00:00+00:00", "--limit", "25",
        "--split", "time", "--cut", "2026-01-15T00:00:00Z", "--label-source", "import",
    )  # fmt: skip
    assert frozen["rows"] == 25
    assert frozen["selection"]["sources"] == ["import"]
    assert frozen["split"]["cut"].startswith("2026-01-15")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("name;split\na;test", "it needs split, and id or sha256 or file"),
        ("file,class\na,test", "it needs split"),
        ("file,split\na,exam", "line 2: the split must be"),
        ("file,split\na", "line 2: the split must be"),
        ("file,split\na,test\na,train", "line 3: a is in test already"),
        ('file,split\n"a,test', "no CSV"),
        ("", "it needs split"),
    ],
)
def test_a_list_of_splits_that_cannot_be_used_is_refused(terminal: Terminal, content: str, says: str) -> None:
    Path("splits.csv").write_text(content)
    assert says in terminal.error(*FREEZE, "--given", "splits.csv")


def test_a_list_that_is_no_text_is_refused(terminal: Terminal) -> None:
    Path("splits.csv").write_bytes(b"file,split\n\xff\xfe,test")
    assert "no CSV in UTF-8" in terminal.error(*FREEZE, "--given", "splits.csv")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--cut", "yesterday", "--split", "time"), "is no time"),
        (("--label-source", "rumour"), "is no source of labels"),
        (("--source", "nowhere"), "widen the selection"),
        (("--train", "0"), "some to train"),
        (("--like", "nothing"), "There is no dataset nothing"),
    ],
)
def test_what_cannot_be_frozen_is_refused(terminal: Terminal, words: tuple[str, ...], says: str) -> None:
    assert says in terminal.error(*FREEZE, *words)


@pytest.mark.parametrize("form", ["parquet", "npz"])
def test_a_dataset_is_exported_and_imported(terminal: Terminal, form: str) -> None:
    frozen = terminal.json(*FREEZE)
    told = terminal.json("dataset", "export", "port@1", "--out", f"port.{form}")
    assert (told["rows"], told["bytes"]) == (40, Path(f"port.{form}").stat().st_size)
    got = terminal.json("dataset", "import", f"port.{form}")
    assert (got["id"], got["filled"], got["skipped"]) == (frozen["id"], 0, 0)
    assert terminal.json("dataset", "import", f"port.{form}", "--name", "harbour")["digest"] == frozen["digest"]
    assert "0 vectors came from the file" in terminal.run("dataset", "import", f"port.{form}")
    assert [path.name for path in Path().iterdir() if "port" in path.name] == [f"port.{form}"]


def test_an_export_that_fails_leaves_no_file(terminal: Terminal) -> None:
    assert "There is no dataset" in terminal.error("dataset", "export", "port", "--out", "port.npz")
    terminal.run(*FREEZE)
    assert "neither in .parquet nor in .npz" in terminal.error("dataset", "export", "port", "--out", "port.csv")
    delete(terminal.store, terminal.ids[:1])
    assert "1 of 40 rows" in terminal.error("dataset", "export", "port", "--out", "port.npz")
    assert [path.name for path in Path().iterdir() if "port" in path.name] == []


def test_a_file_that_is_no_dataset_is_refused(terminal: Terminal) -> None:
    Path("notes.npz").write_text("Dear sir")
    assert "neither Parquet nor .npz" in terminal.error("dataset", "import", "notes.npz")


def test_a_head_sees_the_test_rows_once(terminal: Terminal) -> None:
    terminal.run(*FREEZE)
    assert "has no head version 9" in terminal.error("test", TASK, "9", "--dataset", "port")
    said = terminal.json("test", TASK, "1", "--dataset", "port")
    assert (said["repeated"], said["consultations"], said["figures"]["rows"]) == (False, 1, 8)
    again = terminal.json("test", TASK, "1", "--dataset", "port@1")
    assert (again["repeated"], again["figures"]) == (True, said["figures"])
    assert "this is that answer" in terminal.run("test", TASK, "1", "--dataset", "port")
    assert "test rows seen by version 1" in terminal.run("dataset", "show", "port")
