"""Every error is a problem document with a status of its own; a lost database is a pause, not a failure."""

import errno
import socket
from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import URL

from app.api.errors import STATUS, problem
from app.db import make_engine, make_sessions
from app.errors import AppError, InvalidInput, Unusable, UnusableImage
from tests.conftest import TestStore
from tests.integration.calls import is_problem, scan, stored


def family(error: type[AppError]) -> Iterator[type[AppError]]:
    yield error
    for child in error.__subclasses__():
        yield from family(child)


@pytest.mark.parametrize("error", sorted(set(family(AppError)), key=lambda e: e.__name__))
def test_every_error_has_a_status(error: type[AppError]) -> None:
    assert error in STATUS


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [error.code for error in set(family(AppError))]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("reason", Unusable)
def test_an_unusable_image_says_its_reason(reason: Unusable) -> None:
    document = problem(UnusableImage(reason, "Send another."))
    assert document["reason"] == reason
    assert document["status"] in (413, 415, 422)


def test_a_problem_has_the_members_of_the_standard(client: TestClient) -> None:
    document = is_problem(client.get(f"/v1/images/{uuid4()}"), 404)
    assert document["type"] == "urn:penumbra:problem:not-found"
    assert document["title"] == "Not Found"


def test_an_invalid_request_names_each_place(client: TestClient) -> None:
    document = is_problem(client.get("/v1/images", params={"limit": 0, "cursor": "x"}), 422)
    assert {error["where"] for error in document["errors"]} == {"query.limit", "query.cursor"}


def test_an_unknown_path_is_a_problem(client: TestClient) -> None:
    is_problem(client.get("/v1/nothing"), 404)


def test_a_wrong_method_is_told_every_right_one(client: TestClient) -> None:
    answer = client.patch(f"/v1/images/{uuid4()}")
    is_problem(answer, 405)
    assert answer.headers["Allow"] == "DELETE, GET"


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b"[" * 100_000, b'{"name": ' + b"9" * 5_000 + b"}"])
def test_a_body_that_is_no_json_is_refused(client: TestClient, body: bytes) -> None:
    is_problem(client.post("/v1/tasks", content=body, headers={"Content-Type": "application/json"}), 422)


def test_half_a_surrogate_pair_is_refused(client: TestClient) -> None:
    body = rb'{"name": "a", "question": "\ud800", "classes": ["b", "c"], "positive": "b"}'
    is_problem(client.post("/v1/tasks", content=body, headers={"Content-Type": "application/json"}), 422)


@pytest.mark.parametrize("path", ["/v1/images?subject=%00", "/v1/feature-sets/%00/retry", "/v1/tasks/%00/heads"])
def test_a_nul_character_is_refused_before_the_database_sees_it(client: TestClient, path: str) -> None:
    method = "POST" if path.endswith("retry") else "GET"
    is_problem(client.request(method, path), 422)


def test_a_failure_of_our_own_is_a_problem_without_its_details(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("app.services.tasks.every", fail)
    document = is_problem(client.get("/v1/tasks"), 500)
    assert "secret" not in document["detail"]


def test_an_error_raised_while_a_body_is_read_keeps_its_status() -> None:
    from starlette.exceptions import HTTPException

    from app.api.errors import _http_error

    wrapped = HTTPException(400)
    wrapped.__cause__ = InvalidInput("Send less.")
    app = FastAPI()
    answer = _http_error(_request(app), wrapped)
    assert answer.status_code == 422


def _request(app: FastAPI) -> object:
    from fastapi import Request

    return Request({"type": "http", "app": app, "path": "/", "method": "GET", "headers": []})


# A task that two requests create at once.


def test_the_loser_of_a_race_is_told_to_look_again(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    body = {"name": "a", "question": "?", "classes": ["b", "c"], "positive": "b"}
    assert client.post("/v1/tasks", json=body).status_code == 201
    monkeypatch.setattr("sqlalchemy.orm.Session.get", lambda *_: None)  # as if the other had not committed yet
    is_problem(client.post("/v1/tasks", json=body), 409)


# The database is away.


@pytest.fixture
def dead_port() -> Iterator[int]:
    """A port that refuses connections."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def cut_off(client: TestClient, dead_port: int) -> Iterator[TestClient]:
    """A running service whose database has gone away."""
    app = client.app
    assert isinstance(app, FastAPI)
    engine = make_engine(URL.create("postgresql+psycopg2", "penumbra", "x", "127.0.0.1", dead_port, "penumbra"))
    parts = app.state.parts
    app.state.parts = replace(parts, engine=engine, sessions=make_sessions(engine))
    yield client
    app.state.parts = parts
    engine.dispose()


@pytest.mark.parametrize("path", ["/v1/images", "/v1/stats", "/metrics"])
def test_without_a_database_a_caller_is_asked_to_come_back(cut_off: TestClient, path: str) -> None:
    answer = cut_off.get(path)
    is_problem(answer, 503)
    assert int(answer.headers["Retry-After"]) > 0


def test_without_a_database_an_upload_is_not_acknowledged(cut_off: TestClient) -> None:
    is_problem(cut_off.post("/v1/images", files={"files": ("a.png", scan())}), 503)


def test_without_a_database_the_process_is_alive_and_not_ready(cut_off: TestClient) -> None:
    assert cut_off.get("/healthz").json() == {"status": "ok"}
    answer = cut_off.get("/readyz")
    assert answer.status_code == 503
    assert "does not answer" in answer.json()["checks"]["database"]


def test_without_a_worker_the_service_says_so(client: TestClient) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["database"] == "ok"
    assert "worker" in answer.json()["checks"]["workers"]


def test_with_a_worker_the_service_is_ready(client: TestClient, worker: object) -> None:
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["ready"]) == (200, True)


def test_connections_that_the_server_dropped_cost_no_answer(client: TestClient, store: TestStore) -> None:
    stored(client, scan())
    store.scalar(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    assert client.get("/v1/images").status_code == 200


def test_metrics_name_routes_and_count_images(client: TestClient) -> None:
    stored(client, scan(1), scan(2))
    text = client.get("/metrics").text
    assert "penumbra_images 2.0" in text
    assert 'method="POST",route="/v1/images",status="201"' in text


def test_a_full_disk_is_said_in_words_and_nothing_is_stored(
    client: TestClient, store: TestStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("app.blobs.os.fsync", full)
    answer = client.post("/v1/images", files=[("files", ("a.jpg", scan(1)))])
    assert answer.status_code == 503
    assert "disk" in answer.json()["detail"]
    assert store.scalar("SELECT count(*) FROM image") == 0
