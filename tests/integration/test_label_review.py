"""Suspects of a head: what became of each is told by labels; decisions are labels, counted first, audited."""

from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, text

from app.db import transaction
from app.errors import Conflict, InvalidInput
from app.models import AuditEvent, Label, Role
from app.services import label_review, labelling, suspect_neighbours, tasks
from app.services.label_review import Bound, State
from app.services.labelling import Statement
from tests.conftest import TestStore
from tests.integration.calls import is_problem
from tests.integration.labelled import TASK, delete, embed_both, fill, vectors_like
from tests.integration.rows import add_numbered
from tests.integration.suspects import doubting

DOUBTED = (3, 10, 8)  # given: loaded, empty, empty


@pytest.fixture
def ids(store: TestStore) -> list[UUID]:
    return fill(store, 40)


@pytest.fixture
def head(store: TestStore, ids: list[UUID]) -> UUID:
    return doubting(store, ids, DOUBTED)


def states(store: TestStore, head: UUID) -> list[tuple[int, State, str]]:
    with transaction(store.sessions) as session:
        return [(one.rank, one.state, one.label) for one in label_review.review(session, head).suspects]


def decide(store: TestStore, head: UUID, chosen: list[UUID] | Bound, decision: Any, **options: Any) -> Any:
    with transaction(store.sessions) as session:
        act = label_review.decide_all if isinstance(chosen, Bound) else label_review.decide
        return act(session, head, chosen, decision, **{"author": "ann", **options})  # type: ignore[operator]


def relabel(store: TestStore, image: UUID, class_name: str, source: str) -> None:
    with transaction(store.sessions) as session:
        said = Statement(image_id=image, class_name=class_name, source=source, author="test")
        labelling.state(session, tasks.named(session, TASK), [said], actor="test")


def label_count(store: TestStore) -> object:
    return store.scalar("SELECT count(*) FROM label")


def test_suspects_are_the_doubted_images_most_suspect_first(store: TestStore, ids: list[UUID], head: UUID) -> None:
    with transaction(store.sessions) as session:
        found = label_review.review(session, head)
    assert [one.image_id for one in found.suspects] == [ids[row] for row in DOUBTED]
    first = found.suspects[0]
    assert (first.rank, first.given, first.suggested, first.state) == (1, "loaded", "empty", State.OPEN)
    assert first.self_confidence == pytest.approx(0.01)
    assert first.probabilities == pytest.approx({"empty": 0.99, "loaded": 0.01})
    assert first.likely
    assert (found.rows, found.likely) == (40, 3)
    assert found.noise["empty"]["loaded"] == pytest.approx(1 / (20 - 2 + 1), rel=0.1)


def test_accepting_states_the_suggested_class_with_its_reason(store: TestStore, ids: list[UUID], head: UUID) -> None:
    done = decide(store, head, [ids[3]], "accept")
    assert (done.suspects, done.stored, done.changes) == (1, 1, {"loaded -> empty": 1})
    assert states(store, head) == [
        (1, State.ACCEPTED, "empty"), (2, State.OPEN, "empty"), (3, State.OPEN, "empty"),
    ]  # fmt: skip
    with transaction(store.sessions) as session:
        label = session.scalars(select(Label).where(Label.source == "review")).one()
    assert (label.class_name, label.author) == ("empty", "ann")
    assert label.reason == "label error, rank 1 of head empty-container v7, P(empty)=0.990"


def test_rejecting_confirms_the_given_class(store: TestStore, ids: list[UUID], head: UUID) -> None:
    assert decide(store, head, [ids[3]], "reject").stored == 1
    assert states(store, head)[0] == (1, State.CONFIRMED, "loaded")


def test_a_decision_can_be_taken_back_and_both_stay_in_the_history(
    store: TestStore, ids: list[UUID], head: UUID
) -> None:
    decide(store, head, [ids[3]], "accept")
    decide(store, head, [ids[3]], "reject")
    assert states(store, head)[0] == (1, State.CONFIRMED, "loaded")
    with transaction(store.sessions) as session:
        said = [one.label.class_name for one in labelling.history(session, ids[3])]
    assert said == ["loaded", "empty", "loaded"]


def test_deciding_twice_stores_once(store: TestStore, ids: list[UUID], head: UUID) -> None:
    decide(store, head, [ids[3], ids[3]], "accept")
    again = decide(store, head, [ids[3]], "accept")
    assert (again.suspects, again.stored) == (1, 0)


def test_a_review_that_is_all_there_is_leaves_its_image_open(store: TestStore) -> None:
    """It gave the class that is doubted: nobody has looked again."""
    ids = add_numbered(store.sessions, 8)
    for row, image in enumerate(ids):
        relabel(store, image, ("empty", "loaded")[row % 2], "review")
    head = doubting(store, ids, [2])
    assert states(store, head) == [(1, State.OPEN, "empty")]
    decide(store, head, [ids[2]], "reject")
    assert states(store, head) == [(1, State.CONFIRMED, "empty")]


def test_an_import_that_changed_the_class_meanwhile_supersedes_the_suspicion(
    store: TestStore, ids: list[UUID], head: UUID
) -> None:
    relabel(store, ids[3], "empty", "import")
    assert states(store, head)[0] == (1, State.SUPERSEDED, "empty")
    assert decide(store, head, Bound(likely=True), "accept").suspects == 2


@pytest.mark.parametrize(
    ("bound", "expected"),
    [
        (Bound(first=2), 2),
        (Bound(first=99), 3),
        (Bound(below=0.015), 1),
        (Bound(below=0.0), 0),
        (Bound(likely=True), 3),
    ],
)
def test_bulk_is_on_the_open_suspects_within_a_bound(store: TestStore, head: UUID, bound: Bound, expected: int) -> None:
    planned = decide(store, head, bound, "accept", dry_run=True)
    before = label_count(store)
    done = decide(store, head, bound, "accept")
    assert (planned, done.stored) == (replace(done, label_ids=[]), expected)
    assert len(done.label_ids) == expected
    assert label_count(store) == before + expected  # type: ignore[operator]


def test_bulk_leaves_alone_what_was_decided(store: TestStore, ids: list[UUID], head: UUID) -> None:
    decide(store, head, [ids[3]], "reject")
    assert decide(store, head, Bound(likely=True), "accept").changes == {"empty -> loaded": 2}
    assert states(store, head)[0][1] is State.CONFIRMED
    assert decide(store, head, Bound(likely=True), "accept").suspects == 0


def test_a_dry_run_stores_neither_labels_nor_events(store: TestStore, ids: list[UUID], head: UUID) -> None:
    before = (label_count(store), store.scalar("SELECT count(*) FROM audit_event"))
    decide(store, head, Bound(likely=True), "accept", dry_run=True)
    decide(store, head, [ids[3]], "reject", dry_run=True)
    assert (label_count(store), store.scalar("SELECT count(*) FROM audit_event")) == before


def test_a_bulk_decision_is_in_the_audit_trail_with_its_bound(store: TestStore, head: UUID) -> None:
    decide(store, head, Bound(below=0.02), "accept")
    with transaction(store.sessions) as session:
        event = session.scalars(select(AuditEvent).where(AuditEvent.action == "label-errors.accept")).one()
    assert (event.actor, event.object_id) == ("ann", str(head))
    assert event.detail == {"task": TASK, "version": 7, "count": 2, "below": 0.02}


@pytest.mark.parametrize("bounds", [{}, {"first": 1, "likely": True}, {"first": 1, "below": 0.5}])
def test_a_bulk_decision_needs_one_bound(bounds: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="one bound"):
        Bound(**bounds)


def test_an_image_that_is_no_suspect_cannot_be_decided_on(store: TestStore, ids: list[UUID], head: UUID) -> None:
    before = label_count(store)
    for stranger in (ids[0], uuid4()):
        with pytest.raises(InvalidInput, match="none of the 3 suspects"):
            decide(store, head, [ids[3], stranger], "accept")
    assert label_count(store) == before


def test_a_deleted_image_leaves_the_list_and_the_ranks_stay(store: TestStore, ids: list[UUID], head: UUID) -> None:
    delete(store, [ids[3]])
    assert [rank for rank, _, _ in states(store, head)] == [2, 3]


def test_a_stated_prevalence_does_not_make_the_rarer_class_suspect(store: TestStore, ids: list[UUID]) -> None:
    """P(loaded) of a head for a port where 1 in 1,000 is loaded is low for every row that was labelled so."""
    plain, stated = doubting(store, ids, []), doubting(store, ids, [], version=8, prevalence=0.001)
    with transaction(store.sessions) as session:
        from app.heads.evidence import Evidence
        from app.models import Head

        head = session.get_one(Head, stated)
        assert head.evidence is not None
        evidence = Evidence.from_bytes(head.evidence)
        weighted = evidence.probabilities * np.array([0.999 / 0.5, 0.001 / 0.5])
        shifted = Evidence(**{
            **vars(evidence), "probabilities": weighted / weighted.sum(axis=1, keepdims=True),
        })  # fmt: skip
        head.evidence = shifted.to_bytes()
    assert states(store, plain) == states(store, stated) == []


def test_a_head_without_answers_has_no_suspects_to_show(store: TestStore, ids: list[UUID], head: UUID) -> None:
    with transaction(store.sessions) as session:
        session.execute(text("UPDATE head SET evidence = NULL"))
    with pytest.raises(Conflict, match="no stored answers"):
        states(store, head)


def test_the_neighbours_of_a_suspect_are_the_nearest_labelled_images(
    store: TestStore, ids: list[UUID], head: UUID
) -> None:
    bare = add_numbered(store.sessions, 1, start=500)
    avg, max_ = vectors_like(store, 40)
    embed_both(store, bare, avg[3:4], max_[3:4])  # the very vectors of the suspect, but nobody labelled it
    with transaction(store.sessions) as session:
        found = label_review.review(session, head)
        [near] = suspect_neighbours.nearest(session, found.head, found.suspects[:1], count=5)
    unit = avg / np.linalg.norm(avg, axis=1, keepdims=True)
    distance = 1 - unit @ unit[3]
    expected = [int(row) for row in np.argsort(distance) if row != 3][:5]
    assert [one.image_id for one in near] == [ids[row] for row in expected]
    assert [one.class_name for one in near] == [("empty", "loaded")[row % 2] for row in expected]
    np.testing.assert_allclose([one.distance for one in near], distance[expected], atol=1e-5)


# By API


def url(head: UUID) -> str:
    return f"/v1/heads/{head}/label-errors"


def test_label_errors_are_paged_and_filtered(client: TestClient, ids: list[UUID], head: UUID) -> None:
    first = client.get(url(head), params={"limit": 2, "neighbours": 2}).json()
    second = client.get(url(head), params={"limit": 2, "cursor": first["next"]}).json()
    assert [one["rank"] for one in first["items"] + second["items"]] == [1, 2, 3]
    assert second["next"] is None
    top = first["items"][0]
    assert (top["given"], top["suggested"], top["label"], top["state"]) == ("loaded", "empty", "loaded", "open")
    assert top["thumbnail"] == f"/v1/images/{ids[3]}/thumbnail"
    assert [len(one["neighbours"]) for one in first["items"] + second["items"]] == [2, 2, 5]
    assert {"label", "distance", "image_id", "name", "thumbnail"} == set(top["neighbours"][0])
    assert (first["suspects"], first["rows"], first["head"]["version"]) == (3, 40, 7)
    client.post(f"{url(head)}/decisions", json={"decision": "accept", "image_ids": [str(ids[3])]})
    assert [one["rank"] for one in client.get(url(head), params={"state": "open"}).json()["items"]] == [2, 3]


def test_decisions_are_counted_before_they_are_made(client: TestClient, ids: list[UUID], head: UUID) -> None:
    body = {"decision": "accept", "bulk": {"first": 2}, "dry_run": True}
    planned = client.post(f"{url(head)}/decisions", json=body).json()
    assert planned == {
        "decision": "accept", "dry_run": True, "suspects": 2, "stored": 2,
        "changes": {"loaded -> empty": 1, "empty -> loaded": 1}, "label_ids": [],
    }  # fmt: skip
    assert {one["state"] for one in client.get(url(head)).json()["items"]} == {"open"}
    done = client.post(f"{url(head)}/decisions", json=body | {"dry_run": False}).json()
    assert len(done["label_ids"]) == 2
    assert done == planned | {"dry_run": False, "label_ids": done["label_ids"]}


@pytest.mark.parametrize(
    "body",
    [
        {"decision": "accept"},
        {"decision": "accept", "bulk": {}},
        {"decision": "accept", "bulk": {"first": 1, "likely": True}},
        {"decision": "accept", "bulk": {"below": 1.5}},
        {"decision": "accept", "image_ids": []},
        {"decision": "maybe", "bulk": {"likely": True}},
        {"decision": "accept", "image_ids": [str(uuid4())]},
        {"decision": "accept", "image_ids": [str(uuid4())], "bulk": {"likely": True}},
    ],
)
def test_a_decision_that_says_not_what_is_refused(client: TestClient, head: UUID, body: dict[str, Any]) -> None:
    is_problem(client.post(f"{url(head)}/decisions", json=body), 422)


def test_an_inspector_decides_and_an_uploader_does_not(client: TestClient, store: TestStore, head: UUID) -> None:
    body = {"decision": "reject", "bulk": {"likely": True}}
    for role, status in ((Role.INGEST, 403), (Role.INSPECTOR, 200)):
        client.headers["Authorization"] = f"Bearer {store.key(role)}"
        assert client.post(f"{url(head)}/decisions", json=body).status_code == status
    assert client.get(url(uuid4())).status_code == 404


def test_a_decision_sent_twice_names_the_same_labels_and_taking_them_back_opens_the_suspect(
    client: TestClient, ids: list[UUID], head: UUID
) -> None:
    wanted = {"decision": "accept", "image_ids": [str(ids[3])]}
    path = f"/v1/heads/{head}/label-errors"
    first, second = (client.post(f"{path}/decisions", json=wanted).json() for _ in range(2))
    assert (first["stored"], second["stored"]) == (1, 0)
    assert first["label_ids"] == second["label_ids"]
    page = client.get(path, params={"state": "accepted"}).json()
    assert [one["decided"]["label_id"] for one in page["items"]] == first["label_ids"]
    assert page["states"] == {"open": 2, "accepted": 1, "confirmed": 0, "superseded": 0}
    client.post("/v1/labels/withdrawals", json={"ids": first["label_ids"]})
    page = client.get(path).json()
    assert (page["states"]["open"], page["items"][0]["decided"]) == (3, None)
