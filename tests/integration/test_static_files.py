"""What the desk's pages load: kept for good under the name of its content, small on the way."""

import gzip

import pytest
from fastapi.testclient import TestClient

from app.web import languages, static


@pytest.mark.parametrize(("path", "kind"), [("desk.js", "text/javascript"), ("work/work.css", "text/css")])
def test_texts_are_compressed_for_whoever_reads_it(client: TestClient, path: str, kind: str) -> None:
    stored = (static.FOLDER / path).read_bytes()
    plain = client.get(static.url(path), headers={"Accept-Encoding": "identity"})
    assert (plain.content, plain.headers.get("content-encoding")) == (stored, None)
    assert plain.headers["content-type"].partition(";")[0] == kind
    with client.stream("GET", static.url(path), headers={"Accept-Encoding": "gzip"}) as answer:
        raw = b"".join(answer.iter_raw())
    assert (answer.headers["content-encoding"], answer.headers["vary"]) == ("gzip", "Accept-Encoding")
    assert gzip.decompress(raw) == stored
    assert len(raw) < 0.6 * len(stored)


def test_only_the_name_of_today_is_kept_for_good(client: TestClient) -> None:
    assert client.get(static.url("desk.js")).headers["cache-control"] == static.FOR_GOOD
    old = client.get("/static/000000000000/desk.js")
    assert (old.status_code, old.headers["cache-control"]) == (200, "no-cache")


@pytest.mark.parametrize("path", ["../static.py", "..%2fstatic.py", "%2e%2e/__init__.py", "no-such.js", "viewer"])
def test_nothing_else_of_the_package_is_served(client: TestClient, path: str) -> None:
    assert client.get(f"/static/{static.digest()}/{path}").status_code == 404


def test_translations_come_as_modules_read_them(client: TestClient) -> None:
    url = f"/static/{static.digest()}/messages"
    assert client.get(f"{url}/pt.json").json() == languages.messages("pt")
    assert client.get(f"{url}/en.json").json() == {}
    assert client.get(f"{url}/xx.json").status_code == 404
