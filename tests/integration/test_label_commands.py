"""Labels and their errors from the command line."""

import csv
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from app.cli import app
from app.db import transaction
from app.errors import AppError
from tests.conftest import TestStore
from tests.integration.labelled import TASK, fill
from tests.integration.rows import keep_file
from tests.integration.suspects import doubting


@dataclass(frozen=True)
class Terminal:
    """Runs commands on a store, in an empty folder."""

    store: TestStore
    ids: list[UUID]

    def run(self, *words: str, status: int = 0) -> str:
        ended = CliRunner().invoke(app, words)
        assert ended.exit_code == status, ended.output
        return ended.stdout

    def json(self, *words: str, status: int = 0) -> Any:
        return json.loads(self.run(*words, "--json", status=status))

    def error(self, *words: str) -> str:
        ended = CliRunner().invoke(app, words)
        assert isinstance(ended.exception, AppError), ended.output
        return ended.exception.message


@pytest.fixture
def terminal(store: TestStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Terminal:
    monkeypatch.setenv("PENUMBRA_DATABASE_URL", store.url)
    monkeypatch.setenv("PENUMBRA_DATA_DIR", str(store.settings.data_dir))
    monkeypatch.chdir(tmp_path)
    return Terminal(store, fill(store, 20))


@pytest.fixture
def write() -> Callable[[str], str]:
    def written(content: str) -> str:
        Path("labels.csv").write_text(content)
        return "labels.csv"

    return written


def test_an_import_says_what_it_did_and_what_it_refused(terminal: Terminal, write: Callable[[str], str]) -> None:
    file = write("file;class;mood\nscan-0.png;loaded;good\nscan-1.png;purple;bad\n")
    said = terminal.run("labels", "import", file, "--task", TASK)
    assert "2 lines: 1 labels stored, 0 known, 1 lines refused." in said
    assert "mood" in said
    assert re.search(r"3 +purple is no class of empty-container", said)
    again = terminal.json("labels", "import", file, "--task", TASK)
    assert (again["stored"], again["known"]) == (0, 1)
    assert again["refused"][0]["line"] == 3


def test_a_dry_run_stores_nothing(terminal: Terminal, write: Callable[[str], str]) -> None:
    file = write("file,class\nscan-0.png,loaded\n")
    said = terminal.run("labels", "import", file, "--task", TASK, "--source", "review", "--dry-run")
    assert "1 labels would be stored" in said
    assert terminal.json("labels", "list", "--source", "review") == []


def test_all_refused_lines_go_into_a_file_and_into_json(terminal: Terminal, write: Callable[[str], str]) -> None:
    file = write("file,class\n" + "".join(f"no-{n}.png,empty\n" for n in range(1_500)))
    said = terminal.run("labels", "import", file, "--task", TASK, "--refused", "refused.csv", status=1)
    assert "... and 1480 more; all are in refused.csv." in said
    with Path("refused.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 1_500
    assert rows[-1] == {
        "line": "1501", "reason": "No image came from a file no-1499.png.", "text": "no-1499.png, empty",
    }  # fmt: skip
    assert len(terminal.json("labels", "import", file, "--task", TASK, status=1)["refused"]) == 1_500


def test_a_file_or_task_that_cannot_be_is_said(terminal: Terminal, write: Callable[[str], str]) -> None:
    assert "needs a column `class`" in terminal.error("labels", "import", write("a,b\n"), "--task", TASK)
    assert "no task weather" in terminal.error("labels", "import", write("file,class\n"), "--task", "weather")


def test_labels_history_and_conflicts_are_listed(terminal: Terminal, write: Callable[[str], str]) -> None:
    file = write("file,class,source,author\nscan-0.png,loaded,review,ann\nscan-1.png,empty,declared,papers\n")
    terminal.run("labels", "import", file, "--task", TASK)
    [listed] = terminal.json("labels", "list", "--task", TASK, "--author", "ann")
    assert (listed["class"], listed["counts"], listed["image"]) == ("loaded", "yes", str(terminal.ids[0]))
    assert len(terminal.json("labels", "list", "--limit", "7")) == 7
    assert terminal.json("labels", "list", "--from", "2999-01-01") == []
    assert "--until" in terminal.error("labels", "list", "--until", "soon")
    history = terminal.json("labels", "history", str(terminal.ids[0]))
    assert [(one["source"], one["counts"]) for one in history] == [("review", "yes"), ("import", "")]
    assert "outranked by a review" in terminal.run("labels", "history", str(terminal.ids[0]))
    both = terminal.json("labels", "conflicts", "--task", TASK)
    assert {one["image"]: one["settled"] for one in both} == {str(terminal.ids[0]): True, str(terminal.ids[1]): False}
    assert str(terminal.ids[1]) in terminal.run("labels", "conflicts", "--task", TASK, "--open")


@pytest.fixture
def doubts(terminal: Terminal) -> list[UUID]:
    """The suspects of head version 7, most suspect first."""
    doubting(terminal.store, terminal.ids, (3, 10, 8))
    return [terminal.ids[row] for row in (3, 10, 8)]


def test_suspects_are_listed_and_decided_one_by_one(terminal: Terminal, doubts: list[UUID]) -> None:
    words = ("label-errors", TASK, "7")
    assert "3 suspects among 20 rows of head empty-container v7, 3 likely errors" in terminal.run(*words)
    found = terminal.json(*words, "--accept", str(doubts[0]), "--reject", f"{doubts[1]},{doubts[2]}")
    assert [one["state"] for one in found["items"]] == ["accepted", "confirmed", "confirmed"]
    assert [one["stored"] for one in found["decided"]] == [1, 2]
    assert terminal.json(*words, "--state", "open")["items"] == []


def test_bulk_is_counted_first(terminal: Terminal, doubts: list[UUID]) -> None:
    words = ("label-errors", TASK, "7")
    said = terminal.run(*words, "--accept-first", "2", "--dry-run")
    assert "Decided on 2 suspects (1 loaded -> empty, 1 empty -> loaded): 2 review labels would be stored." in said
    assert {one["state"] for one in terminal.json(*words)["items"]} == {"open"}
    found = terminal.json(*words, "--accept-below", "0.025")
    assert [one["state"] for one in found["items"]] == ["accepted", "accepted", "open"]
    assert terminal.json(*words, "--accept-likely")["decided"][0]["suspects"] == 1


def test_what_cannot_be_decided_is_said(terminal: Terminal, doubts: list[UUID]) -> None:
    words = ("label-errors", TASK, "7")
    assert "image ids" in terminal.error(*words, "--accept", "scan-1.png")
    assert "one bound" in terminal.error(*words, "--accept-first", "1", "--accept-likely")
    assert "none of the 3 suspects" in terminal.error(*words, "--accept", str(terminal.ids[0]))
    assert "version 8" in terminal.error("label-errors", TASK, "8")


def test_a_contact_sheet_is_one_file_with_its_pictures_inside(
    terminal: Terminal, doubts: list[UUID], sample: Callable[..., bytes]
) -> None:
    """All scans but one have an original; that one says why it has no picture."""
    import hashlib

    with transaction(terminal.store.sessions) as session:
        for seed, image in enumerate(image for image in terminal.ids if image != doubts[2]):
            content = sample(seed)
            keep_file(terminal.store, content)
            session.execute(
                text("UPDATE image SET sha256 = :sha WHERE id = :id"),
                {"sha": hashlib.sha256(content).digest(), "id": image},
            )
        session.execute(text("UPDATE image SET file_name = '<script>alert(1)</script>.png'"))
    assert terminal.json("label-errors", TASK, "7", "--html", "sheet.html")["written"] == "sheet.html"
    page = Path("sheet.html").read_text()
    assert page.startswith("<!doctype html>")
    assert page.count("<article") == 3
    assert page.count("data:image/jpeg;base64,") >= 15
    assert not re.search(r"https?://|<script|src=\"[^d]", page)
    assert page.count("&lt;script&gt;") == 15
    assert all(str(image) in page for image in doubts)
    assert "5 neighbours are" in page
    assert np.all([f'id="rank-{rank}"' in page for rank in (1, 2, 3)])
