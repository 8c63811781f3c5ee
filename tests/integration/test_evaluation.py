"""Heads on held-out rows: on test rows once, and never on what they learned from."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app import embedded
from app.db import transaction
from app.errors import Conflict, InvalidInput
from app.heads.evidence import Evidence
from app.models import Dataset, Split
from app.services import datasets, evaluation
from tests.conftest import TestStore, calling, new_store, training
from tests.integration.calls import is_problem
from tests.integration.labelled import CLASSES, TASK, embed_both, fill, vectors_like
from tests.integration.teaching import ended

ROWS = 120
RECIPE = {"params": {"C": 0.01}, "folds": 2, "pooling": "avg"}


@dataclass(frozen=True)
class Lab:
    """A store with a dataset in three splits; a head that learned from it, and one that learned from every row."""

    store: TestStore
    client: TestClient
    dataset: dict[str, Any]
    head: str
    greedy: str

    def score(self, head: str, **query: str) -> Any:
        return self.client.post(f"/v1/heads/{head}/test", params={"dataset": "port", **query})


def teach(client: TestClient, **asked: Any) -> str:
    answer = client.post(f"/v1/tasks/{TASK}/heads", json=RECIPE | asked)
    assert answer.status_code == 202, answer.text
    job = ended(client, answer.json()["job"]["id"])
    assert job["state"] == "succeeded", job
    return str(answer.json()["head"]["id"])


def separable(store: TestStore, ids: list[UUID]) -> None:
    """Vectors that tell the classes apart, not without error."""
    avg, max_ = vectors_like(store, len(ids))
    loaded = np.array([CLASSES.index(CLASSES[i // 2 % 2]) for i in range(len(ids))])
    avg[:, :40] += 0.4 * loaded[:, None]
    embed_both(store, ids, avg.astype(np.float32), max_)


@pytest.fixture(scope="module")
def lab(server: embedded.EmbeddedServer, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with (
        new_store(server, template, tmp_path_factory.mktemp("lab")) as store,
        training(store),
        calling(store) as client,
    ):
        separable(store, fill(store, ROWS, per_subject=2, embedded=False))
        split = {"train": 0.5, "validation": 0.25, "test": 0.25}
        dataset = client.post("/v1/datasets", json={"name": "port", "task": TASK, "split": split}).json()
        yield Lab(store, client, dataset, teach(client, dataset="port@1"), teach(client))


def test_a_trained_head_has_seen_the_test_rows_once(lab: Lab) -> None:
    first, second = lab.score(lab.head).json(), lab.score(lab.head).json()
    assert first == second
    assert (first["repeated"], first["consultations"], first["split"]) == (True, 1, "test")
    figures = first["figures"]
    assert (figures["dataset"], figures["digest"]) == ("port@1", lab.dataset["digest"])
    assert figures["rows"] == sum(lab.dataset["counts"]["test"].values())
    assert figures["auc"] > 0.8


def test_who_looked_at_the_test_rows_is_shown(lab: Lab) -> None:
    lab.score(lab.head)
    shown = lab.client.get(f"/v1/datasets/{lab.dataset['id']}").json()
    assert shown["consultations"] == 1
    assert [looked["head"]["id"] for looked in shown["consulted_by"]] == [lab.head]
    assert lab.client.get("/v1/datasets", params={"name": "port"}).json()["items"][0]["consultations"] == 1


def test_validation_rows_may_be_looked_at_freely(lab: Lab) -> None:
    for _ in range(2):
        answer = lab.score(lab.head, split="validation").json()
        assert (answer["repeated"], answer["figures"]["split"]) == (False, "validation")
    assert lab.store.scalar("SELECT count(*) FROM test_score") == 1


def test_a_head_is_not_scored_on_what_it_learned_from(lab: Lab) -> None:
    problem = is_problem(lab.score(lab.greedy), 409)
    held = sum(lab.dataset["counts"]["test"].values())
    assert f"learned from {held} of the images in test of port@1" in problem["detail"]
    is_problem(lab.score(lab.head, split="train"), 422)


def test_a_head_whose_rows_are_unknown_is_scored_with_a_note(lab: Lab) -> None:
    """As one is that came with Penumbra."""
    head = lab.client.get(f"/v1/tasks/{TASK}/heads").json()[-1]
    assert head["version"] == 1
    answer = lab.score(head["id"], split="validation").json()
    assert "not known" in answer["figures"]["notes"][0]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"dataset": "harbour"}, 404),
        ({"dataset": "port@9"}, 404),
        ({"dataset": "Port"}, 422),
        ({"split": "exam"}, 422),
    ],
)
def test_what_cannot_be_scored_on_is_refused(lab: Lab, query: dict[str, str], status: int) -> None:
    is_problem(lab.score(lab.head, **query), status)


def test_a_dataset_without_test_rows_is_refused(lab: Lab) -> None:
    is_problem(lab.score(lab.head, dataset=f"{TASK}-training"), 409)


def frozen(lab: Lab) -> Dataset:
    with transaction(lab.store.sessions) as session:
        return datasets.named(session, "port@1")


def test_the_answers_behind_the_figures_are_kept(lab: Lab) -> None:
    with transaction(lab.store.sessions) as session:
        score = evaluation.known(session, frozen(lab), UUID(lab.head))
        assert score is not None
        evidence = Evidence.from_bytes(score.evidence)
        held = {str(row.image_id) for row in datasets.rows(session, frozen(lab), limit=500, split="test")}
    assert set(evidence.image_ids) == held
    assert (evidence.fold_of == -1).all()
    assert evidence.probabilities.shape == (len(held), 2)


def test_a_second_record_changes_nothing(lab: Lab) -> None:
    with transaction(lab.store.sessions) as session:
        dataset = datasets.named(session, "port@1")
        before = evaluation.known(session, dataset, UUID(lab.head))
        assert before is not None
        evidence = Evidence.from_bytes(before.evidence)
        again = evaluation.record(session, dataset, UUID(lab.head), {"auc": 1.0}, evidence, "forger")
        assert (again.id, again.author, again.figures) == (before.id, before.author, before.figures)


def test_two_that_ask_at_once_get_one_answer(lab: Lab) -> None:
    body = {"name": "copy", "task": TASK, "split": {"method": "given", "like": "port@1"}}
    assert lab.client.post("/v1/datasets", json=body).status_code == 201
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: lab.score(lab.head, dataset="copy").json(), range(4)))
    assert sorted(answer["repeated"] for answer in answers) == [False, True, True, True]
    assert all(answer["figures"] == answers[0]["figures"] for answer in answers)


def test_subjects_that_the_head_knows_are_told(lab: Lab) -> None:
    """New images of subjects that the head learned from, in another dataset's test rows."""
    ids = fill(lab.store, 4, start=10_000, embedded=False)
    separable(lab.store, ids)
    with transaction(lab.store.sessions) as session:
        known = next(r.subject for r in datasets.rows(session, frozen(lab), limit=500, split="train"))
        session.execute(text("UPDATE image SET subject = :known WHERE id = :id"), {"known": known, "id": ids[0]})
    body = {
        "name": "later", "task": TASK,
        "split": {"method": "given", "given": dict.fromkeys(map(str, ids), "test"), "rest": "omit"},
    }  # fmt: skip
    assert lab.client.post("/v1/datasets", json=body).status_code == 201
    notes = lab.score(lab.head, dataset="later").json()["figures"]["notes"]
    assert "other images of 1 of these subjects" in notes[-1]


def test_rows_of_another_task_are_refused(lab: Lab) -> None:
    with transaction(lab.store.sessions) as session:
        session.execute(
            text(
                "INSERT INTO label (image_id, task, class_name, author, source) SELECT image_id, 'pneumonia', "
                "CASE class_name WHEN 'empty' THEN 'normal' ELSE 'pneumonia' END, author, source FROM label"
            )
        )
        dataset = datasets.freeze(session, "films", "pneumonia", lab.store.feature_set(), author="test")
    with transaction(lab.store.sessions) as session, pytest.raises(InvalidInput, match="answers empty-container"):
        evaluation.score(session, UUID(lab.head), dataset, Split.TEST, author="test")


def test_a_head_without_artifact_is_refused(lab: Lab) -> None:
    with transaction(lab.store.sessions) as session:
        head = session.scalar(
            text(
                "INSERT INTO head (id, task, version, stage, feature_set_id, algorithm, author) VALUES "
                "(gen_random_uuid(), 'empty-container', 99, 'failed', 1, 'none', 'test') RETURNING id"
            )
        )
        with pytest.raises(Conflict, match="no artifact"):
            evaluation.score(session, head, frozen(lab), Split.TEST, author="test")
