"""A task holds the policy that its next heads decide by."""

import json
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from app.cli.application import app
from app.db import transaction
from app.errors import InvalidInput
from app.models import Image, Task
from app.services import tasks
from app.services.filters import ImageFilter
from app.services.images import ImageView, PredictionView
from tests.conftest import TestStore
from tests.integration.calls import is_problem

URL = "/v1/tasks/empty-container"


def test_a_policy_is_set_shown_and_taken_back(client: TestClient) -> None:
    said = {"policy": "recall(loaded)>=99%@95%", "abstain": "false-alarms<=0.01@0.95", "prevalence": 0.02}
    changed = client.patch(URL, json=said).json()
    assert changed["policy"] == "recall(loaded)>=0.99@0.95"
    assert (changed["abstain"], changed["prevalence"]) == ("false-alarms<=0.01@0.95", 0.02)
    shown = {task["name"]: task for task in client.get("/v1/tasks").json()}
    assert shown["empty-container"] == changed
    assert shown["pneumonia"]["policy"] is None
    kept = client.patch(URL, json={"abstain": None}).json()
    assert (kept["policy"], kept["abstain"], kept["prevalence"]) == ("recall(loaded)>=0.99@0.95", None, 0.02)


def test_a_change_of_policy_is_audited_with_what_was_before(client: TestClient) -> None:
    client.patch(URL, json={"policy": "fixed=0.5"})
    client.patch(URL, json={"policy": "recall>=0.9"})
    newest = client.get("/v1/audit").json()["items"][0]
    assert newest["action"] == "task.decide"
    assert newest["detail"] == {"before": {"policy": "fixed=0.5"}, "after": {"policy": "recall>=0.9"}}


@pytest.mark.parametrize(
    "said",
    [
        {"policy": "never be wrong"},
        {"policy": "recall(full)>=0.9"},
        {"abstain": "review<=2"},
        {"policy": "recall>=0.9", "abstain": "recall>=0.99"},
        {"policy": "cost: miss=9, false-alarm=1, review=0.1", "abstain": "review<=0.1"},
        {"prevalence": 1},
        {"threshold": 0.5},
    ],
)
def test_what_cannot_be_decided_by_is_refused_and_changes_nothing(client: TestClient, said: dict[str, object]) -> None:
    before = client.get("/v1/tasks").json()
    assert is_problem(client.patch(URL, json=said), 422)
    assert client.get("/v1/tasks").json() == before


def test_a_task_that_is_not_there_has_no_policy(client: TestClient) -> None:
    assert is_problem(client.patch("/v1/tasks/nothing", json={"policy": "fixed=0.5"}), 404)


def test_no_class_can_be_named_review(client: TestClient) -> None:
    body = {"name": "new", "question": "?", "classes": ["review", "fine"], "positive": "fine"}
    assert is_problem(client.post("/v1/tasks", json=body), 422)


def test_a_recipe_that_says_nothing_takes_the_task_s_policy() -> None:
    task = Task(name="t", classes=["empty", "loaded"], positive="loaded", policy="recall>=0.9", abstain="review<=0.1")
    task.prevalence = 0.02
    assert tasks.decide_by(task, {"seed": 3}) == {
        "seed": 3, "policy": "recall>=0.9", "abstain": "review<=0.1", "prevalence": 0.02,
    }  # fmt: skip
    own = tasks.decide_by(task, {"policy": "fixed=0.5", "prevalence": 0.5})
    assert own == {"policy": "fixed=0.5", "prevalence": 0.5}
    with pytest.raises(InvalidInput, match="full is no class"):
        tasks.decide_by(task, {"policy": "recall(full)>=0.9"})


def test_images_can_be_filtered_by_the_decision_review(store: TestStore) -> None:
    with transaction(store.sessions) as session:
        ImageFilter(task="empty-container", decision="review").check(session)
        with pytest.raises(InvalidInput):
            ImageFilter(task="empty-container", label="review").check(session)


def test_a_scan_left_to_a_person_is_no_discrepancy() -> None:
    def view(decision: str) -> ImageView:
        said = PredictionView(
            "t", 1, (0, 0, 9, 9), uuid4(), 1, {"empty": 0.4, "loaded": 0.6}, decision, 0.5, "set", datetime.now(UTC),
            positive="loaded",
        )  # fmt: skip
        return ImageView(Image(), "ready", None, {"t": "empty"}, [said])

    assert view("loaded").discrepancies == ["t"]
    assert view("review").discrepancies == view("empty").discrepancies == []


def test_the_command_line_sets_and_shows(store: TestStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENUMBRA_DATABASE_URL", store.url)

    def said(*words: str) -> dict[str, object]:
        result = CliRunner().invoke(app, ["task", "pneumonia", *words, "--json"])
        assert result.exit_code == 0, result.output
        shown: dict[str, object] = json.loads(result.stdout)
        return shown

    assert said("--policy", "recall>=0.99@0.95", "--prevalence", "0.1")["policy"] == "recall>=0.99@0.95"
    assert said()["prevalence"] == 0.1
    assert said("--policy", "", "--prevalence", "0")["policy"] is None
    assert "pneumonia" in CliRunner().invoke(app, ["task"]).stdout
