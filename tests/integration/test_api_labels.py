"""Labels by API: one image's history, files and lists of labels, disagreements."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.models import Role
from tests.conftest import TestStore
from tests.integration.calls import is_problem, scan, stored

TASK = "empty-container"
URL = f"/v1/labels?task={TASK}"


@pytest.fixture
def images(client: TestClient) -> list[dict[str, Any]]:
    return stored(client, *(scan(seed) for seed in range(4)), subject="BOX1")


def put(client: TestClient, image: dict[str, Any], name: str, **more: str) -> dict[str, Any]:
    answer = client.put(f"/v1/images/{image['id']}/labels/{TASK}", json={"class": name, **more})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def send_csv(client: TestClient, content: str, url: str = URL) -> Any:
    return client.post(url, content=content.encode(), headers={"Content-Type": "text/csv"})


def test_the_history_of_an_image_shows_all_and_which_counts(client: TestClient, images: list[dict[str, Any]]) -> None:
    send_csv(client, f"id,class\n{images[0]['id']},empty\n")
    said = put(client, images[0], "loaded", reason="boxes at the door")
    assert (said["effective"], said["why"]) == (True, "the review, which outranks import")
    history = client.get(f"/v1/images/{images[0]['id']}/labels").json()
    assert [(one["source"], one["class"], one["effective"]) for one in history] == [
        ("review", "loaded", True),
        ("import", "empty", False),
    ]
    assert history[0]["reason"] == "boxes at the door"
    assert history[1]["why"] == "outranked by a review"


def test_a_file_of_labels_is_taken_as_a_form_as_text_and_as_json(
    client: TestClient, images: list[dict[str, Any]]
) -> None:
    form = client.post(URL, files={"file": ("labels.csv", b"file;class\r\nscan-0.png;empty\r\n")})
    assert form.json()["stored"] == 1, form.text
    assert send_csv(client, f"sha256,class\n{images[1]['sha256']},loaded\n").json()["stored"] == 1
    lines = [{"id": images[2]["id"], "class": "empty"}, {"file": "scan-9.png", "class": "empty"}]
    listed = client.post(URL, json={"labels": lines}).json()
    assert (listed["stored"], listed["refused_lines"], listed["refused"][0]["line"]) == (1, 1, 2)
    found = client.get(URL).json()["items"]
    assert [(one["name"], one["class"], one["author"]) for one in found] == [
        ("scan-2.png", "empty", "test-admin"),
        ("scan-1.png", "loaded", "test-admin"),
        ("scan-0.png", "empty", "test-admin"),
    ]


def test_a_json_label_keeps_author_source_time_and_reason(client: TestClient, images: list[dict[str, Any]]) -> None:
    line = {
        "subject": "BOX1", "class": "empty", "source": "declared", "author": "papers", "at": "2026-01-01T00:00:00Z",
        "reason": "customs form",
    }  # fmt: skip
    assert client.post(URL, json={"labels": [line]}).json()["stored"] == 4
    first = client.get(URL).json()["items"][0]
    assert (first["source"], first["author"], first["reason"]) == ("declared", "papers", "customs form")
    assert first["at"] == "2026-01-01T00:00:00Z"


def test_refused_lines_say_why_and_good_ones_are_stored(client: TestClient, images: list[dict[str, Any]]) -> None:
    answer = send_csv(client, "file,class,mood\nscan-0.png,empty,good\nscan-1.png,purple,bad\n").json()
    assert (answer["lines"], answer["stored"], answer["ignored_columns"]) == (2, 1, ["mood"])
    [refused] = answer["refused"]
    assert (refused["line"], refused["text"]) == (3, "scan-1.png, purple")
    assert "purple is no class of empty-container" in refused["reason"]


def test_a_dry_run_stores_nothing(client: TestClient, images: list[dict[str, Any]]) -> None:
    answer = send_csv(client, "file,class\nscan-0.png,empty\n", f"{URL}&dry_run=true").json()
    assert (answer["dry_run"], answer["stored"]) == (True, 1)
    assert client.get(URL).json()["items"] == []


def test_labels_are_listed_in_pages(client: TestClient, images: list[dict[str, Any]]) -> None:
    send_csv(client, "subject,class\nBOX1,empty\n")
    first = client.get(f"{URL}&limit=3").json()
    second = client.get(f"{URL}&limit=3&cursor={first['next']}").json()
    assert (len(first["items"]), len(second["items"]), second["next"]) == (3, 1, None)
    assert len({one["image_id"] for one in first["items"] + second["items"]}) == 4


def test_labels_are_filtered(client: TestClient, images: list[dict[str, Any]]) -> None:
    send_csv(client, "file,class,time\nscan-0.png,empty,2026-01-01T00:00:00Z\nscan-1.png,loaded,\n")
    put(client, images[0], "loaded")

    def count(**wanted: str) -> int:
        return len(client.get("/v1/labels", params={"task": TASK, **wanted}).json()["items"])

    assert count() == 3
    assert count(source="review") == 1
    assert count(author="nobody") == 0
    assert count(**{"class": "loaded"}) == 2
    assert count(until="2026-01-02T00:00:00Z") == 1
    assert count(**{"from": "2026-01-02T00:00:00Z"}) == 2


def test_conflicts_are_listed_in_pages_and_marked_when_settled(
    client: TestClient, images: list[dict[str, Any]]
) -> None:
    send_csv(client, "subject,class,source\nBOX1,empty,declared\nBOX1,loaded,import\n")
    put(client, images[0], "loaded")
    url = f"/v1/labels/conflicts?task={TASK}"
    first = client.get(f"{url}&limit=3").json()
    second = client.get(f"{url}&limit=3&cursor={first['next']}").json()
    by_image = {one["image_id"]: one for one in first["items"] + second["items"]}
    assert [by_image[image["id"]]["settled"] for image in images] == [True, False, False, False]
    assert by_image[images[0]["id"]]["classes"] == {"declared": "empty", "import": "loaded", "review": "loaded"}
    assert len(client.get(f"{url}&open=true").json()["items"]) == 3


@pytest.mark.parametrize("body", ["file,class\n", "file\nscan-0.png\n", ""])
def test_a_csv_without_its_columns_is_refused_with_what_it_needs(client: TestClient, body: str) -> None:
    answer = send_csv(client, body)
    if body == "file,class\n":
        assert answer.json()["lines"] == 0
    else:
        assert "needs a column `class`" in is_problem(answer, 422)["detail"]


def test_bodies_that_are_no_labels_are_refused(client: TestClient) -> None:
    is_problem(client.post(URL, content=b"?", headers={"Content-Type": "application/xml"}), 422)
    is_problem(client.post(URL, json={"labels": []}), 422)
    is_problem(client.post(URL, json={"labels": [{"class": "empty", "at": "2026-01-01T00:00:00"}]}), 422)
    is_problem(client.post(URL, files=[("file", ("a.csv", b"x")), ("file", ("b.csv", b"x"))]), 422)
    is_problem(client.post(URL, files={"file": ("a.csv", b"file,class\n")}, data={"subject": "x"}), 422)
    is_problem(client.post("/v1/labels?task=weather", json={"labels": [{"class": "empty"}]}), 404)
    is_problem(send_csv(client, "x" * (2 << 20)), 413)


def test_only_an_administrator_speaks_for_others(client: TestClient, store: TestStore) -> None:
    client.headers["Authorization"] = f"Bearer {store.key(Role.INSPECTOR)}"
    is_problem(send_csv(client, "file,class\n"), 403)
    assert client.get(URL).status_code == 200
