"""A task that a test can teach within a second: is the scan bright?"""

from typing import Any

from fastapi.testclient import TestClient

from tests.integration.calls import scan, stored
from tests.waiting import eventually

TASK = "/v1/tasks/bright"
RECIPE = {"params": {"C": 0.01, "max_iter": 300}, "folds": 2, "pooling": "avg"}
PER_CLASS = 8


def fill(client: TestClient) -> list[dict[str, Any]]:
    """A task of our own (so that no bundled head answers it) and labelled dark and bright scans."""
    body = {"name": "bright", "question": "Is it?", "classes": ["dark", "light"], "positive": "light"}
    assert client.post("/v1/tasks", json=body).status_code == 201
    scans = [scan(seed, light=light) for seed in range(PER_CLASS) for light in (0.3, 0.7)]
    images = stored(client, *scans, wait=60)
    for number, image in enumerate(images):
        label(client, image, ("dark", "light")[number % 2])
    return images


def label(client: TestClient, image: dict[str, Any], name: str) -> None:
    assert client.put(f"/v1/images/{image['id']}/labels/bright", json={"class": name}).status_code == 200


def train(client: TestClient, **changes: Any) -> dict[str, Any]:
    """Ask for a training and wait for its end: the head."""
    answer = client.post(f"{TASK}/heads", json=RECIPE | changes)
    assert answer.status_code == 202, answer.text
    job = ended(client, answer.json()["job"]["id"])
    assert job["state"] == "succeeded", job
    return dict(client.get(f"/v1/heads/{answer.json()['head']['id']}").json())


def ended(client: TestClient, job_id: str) -> dict[str, Any]:
    return eventually(
        lambda: client.get(f"/v1/jobs/{job_id}").json(), lambda job: job["state"] not in ("queued", "running")
    )


def promote(client: TestClient, head: dict[str, Any], **body: Any) -> Any:
    """Promote a head, after a replay where another one is live."""
    if "live" in stages(client).values():
        replay(client, head)
    return client.post(f"/v1/heads/{head['id']}/promote", json=body)


def replay(client: TestClient, head: dict[str, Any]) -> dict[str, Any]:
    """Replay a head and wait for the end: the job, or the problem."""
    answer = client.post(f"/v1/heads/{head['id']}/replay")
    return ended(client, answer.json()["id"]) if answer.status_code == 202 else dict(answer.json())


def stages(client: TestClient) -> dict[int, str]:
    return {head["version"]: head["stage"] for head in client.get(f"{TASK}/heads").json()}
