"""Which documented path a request went to."""

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.api import paths
from app.config import Settings
from app.main import create_app


@pytest.fixture(scope="module")
def app() -> FastAPI:
    """The service, without its database."""
    return create_app(Settings())


def test_documented_paths_and_their_methods_are_those_of_the_document(app: FastAPI) -> None:
    told = {path: sorted(method.upper() for method in item) for path, item in app.openapi()["paths"].items()}
    assert len(told) > 50
    filled = {path: path.replace("{", "").replace("}", "") for path in told}
    assert {path: paths.methods_of(app, at) for path, at in filled.items()} == told
    assert {path: paths.template_of(app, at) for path, at in filled.items()} == {path: path for path in told}


@pytest.mark.parametrize("path", ["/", "/sign-in", "/docs", "/openapi.json", "/v1/nothing", "/v1/images/a/b/c/d"])
def test_another_path_is_none_of_them(app: FastAPI, path: str) -> None:
    assert paths.template_of(app, path) is None
    assert paths.methods_of(app, path) == []


def test_no_answer_waits_for_the_document() -> None:
    app = create_app(Settings())
    assert TestClient(app).get("/sign-in").status_code == 200
    assert TestClient(app).put("/v1/tasks").status_code == 405
    assert app.openapi_schema is None
