"""Bad requests about labels get their documented answers, and change nothing."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app import embedded
from app.db import transaction
from tests.conftest import TestStore, calling, new_store
from tests.integration.calls import is_problem
from tests.integration.labelled import fill
from tests.integration.suspects import doubting

PAGE = Path(__file__).resolve().parents[2] / "docs/bad-input.md"
SECTION = PAGE.read_text().partition("## Labels, label errors, comparisons")[2].partition("\n## ")[0]
ROWS = re.findall(r"^\| (GET|POST) (\S+) \| (.*?) ?\| .*? \| (\d+) \|$", SECTION, re.MULTILINE)


@dataclass(frozen=True)
class Place:
    store: TestStore
    client: TestClient
    names: dict[str, str]

    def counts(self) -> list[object]:
        return [self.store.scalar(f"SELECT count(*) FROM {name}") for name in ("label", "audit_event", "test_score")]


@pytest.fixture(scope="module")
def place(server: embedded.EmbeddedServer, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with new_store(server, template, tmp_path_factory.mktemp("bad-labels")) as store, calling(store) as client:
        ids = fill(store, 20)
        head, bare = doubting(store, ids, (3, 8)), doubting(store, ids, (), version=8)
        with transaction(store.sessions) as session:
            session.execute(text("UPDATE head SET evidence = NULL WHERE id = :id"), {"id": bare})
        yield Place(store, client, {"HEAD": str(head), "BARE": str(bare), "NOBODY": str(uuid4())})


def test_the_table_is_read() -> None:
    assert len(ROWS) == SECTION.count("\n| GET ") + SECTION.count("\n| POST ") >= 25


@pytest.mark.parametrize(("method", "path", "body", "status"), ROWS)
def test_each_bad_request_gets_its_documented_answer_and_changes_nothing(
    place: Place, method: str, path: str, body: str, status: str
) -> None:
    for name, value in place.names.items():
        path, body = path.replace(name, value), body.replace(name, value)
    before = place.counts()
    if body.startswith("{"):
        answer = place.client.request(method, path, json=json.loads(body))
    else:
        content = "" if body == "(nothing)" else body.replace("\\n", "\n")
        headers = {"Content-Type": "text/csv"} if method == "POST" else {}
        answer = place.client.request(method, path, content=content.encode() or None, headers=headers)
    is_problem(answer, int(status))
    assert place.counts() == before
