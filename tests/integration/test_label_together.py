"""One class for many scans at once."""

from uuid import uuid4

from fastapi.testclient import TestClient

from app.models import Role
from tests.conftest import TestStore
from tests.integration.calls import is_problem, scan, stored

PATH = "/v1/tasks/empty-container/labels"


def test_many_scans_get_one_class_and_what_is_missing_or_said_already_is_told(client: TestClient) -> None:
    ids = [stored(client, scan(seed))[0]["id"] for seed in range(3)]
    client.put(f"/v1/images/{ids[2]}/labels/empty-container", json={"class": "loaded"})
    gone = str(uuid4())
    told = client.post(PATH, json={"images": [*ids, gone, ids[0]], "class": "loaded", "reason": "alike"}).json()
    assert {one["image_id"] for one in told["labels"]} == set(ids[:2])
    assert (told["known"], told["missing"]) == ([ids[2]], [gone])
    history = client.get(f"/v1/images/{ids[0]}/labels").json()
    assert [(one["class"], one["source"], one["reason"], one["effective"]) for one in history] == [
        ("loaded", "review", "alike", True)
    ]


def test_labels_made_together_are_taken_back_together(client: TestClient) -> None:
    ids = [stored(client, scan(seed))[0]["id"] for seed in range(2)]
    made = client.post(PATH, json={"images": ids, "class": "empty"}).json()["labels"]
    back = client.post("/v1/labels/withdrawals", json={"ids": [one["id"] for one in made]}).json()
    assert back == {"withdrawn": 2}
    assert not any(one["effective"] for one in client.get(f"/v1/images/{ids[0]}/labels").json())
    assert len(client.post(PATH, json={"images": ids, "class": "empty"}).json()["labels"]) == 2


def test_another_persons_same_word_is_a_label_of_its_own(client: TestClient, store: TestStore) -> None:
    image = stored(client, scan())[0]["id"]
    body = {"images": [image], "class": "empty"}
    client.post(PATH, json=body)
    other = {"Authorization": f"Bearer {store.key(Role.INSPECTOR, 'ana')}"}
    assert len(client.post(PATH, json=body, headers=other).json()["labels"]) == 1
    assert client.post(PATH, json=body, headers=other).json()["known"] == [image]


def test_a_class_of_another_task_is_refused_and_nothing_is_stored(client: TestClient) -> None:
    image = stored(client, scan())[0]["id"]
    is_problem(client.post(PATH, json={"images": [image], "class": "pneumonia"}), 422)
    is_problem(client.post("/v1/tasks/none/labels", json={"images": [image], "class": "a"}), 404)
    assert client.get(f"/v1/images/{image}/labels").json() == []
