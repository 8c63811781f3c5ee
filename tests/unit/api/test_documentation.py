"""The API's reference for people, and that an app which nobody uses any more goes."""

import gc
import weakref

from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.config import Settings
from app.main import create_app


def test_the_page_finds_its_files_and_the_document_behind_a_proxy_that_adds_a_path() -> None:
    page = TestClient(create_app(Settings()), root_path="/penumbra").get("/docs").text
    for file in ("openapi.json", "static-offline-docs/swagger-ui-bundle.js", "static-offline-docs/swagger-ui.css"):
        assert f"/penumbra/{file}" in page
    assert "https://" not in page


def test_an_app_that_has_answered_is_freed_when_nobody_uses_it_any_more() -> None:
    def answered() -> weakref.ref[FastAPI]:
        app = create_app(Settings())
        caller = TestClient(app)
        assert [caller.get(path).status_code for path in ("/docs", "/sign-in", "/openapi.json")] == [200, 200, 200]
        return weakref.ref(app)

    apps = [answered() for _ in range(2)]
    gc.collect()
    assert [app() for app in apps] == [None, None]
