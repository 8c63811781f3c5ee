"""Promotion one may trust: every check listed, a replay first, overrides and rollbacks in the audit trail."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.db import transaction
from app.heads.evidence import Evidence
from app.models import Dataset, Head, Stage, TestScore
from tests.conftest import TestStore, calling
from tests.integration.calls import is_problem
from tests.integration.fabricated import CLASSES, TASK, Archive, Rule, archive, register, vectors
from tests.integration.rows import add_numbered, embed
from tests.integration.teaching import replay

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/bad-input.md"
ROWS = 200
GOOD, WORSE, NOISY = Rule(0.5), Rule(0.55), Rule(0.5, threshold=0.9)
CHECKS = [
    "golden", "feature-set", "classes", "polarity", "parity", "policy", "policy-on-test", "auc", "balanced-accuracy"
]  # fmt: skip


@pytest.fixture
def filled(store: TestStore) -> Archive:
    found = archive(store, ROWS)
    found.label()
    return found


def gate(client: TestClient, head: UUID) -> dict[str, dict[str, Any]]:
    """The gate's checks by name."""
    answer = client.get(f"/v1/heads/{head}/gate")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["passed"] == all(check["passed"] is not False for check in body["checks"])
    assert [check["name"] for check in body["checks"]] == CHECKS or not body["checks"][0]["passed"]
    return {check["name"]: check for check in body["checks"]}


def results(client: TestClient, head: UUID) -> dict[str, bool | None]:
    return {name: check["passed"] for name, check in gate(client, head).items()}


def failed(client: TestClient, head: UUID) -> set[str]:
    return {name for name, passed in results(client, head).items() if passed is False}


def promote(client: TestClient, head: UUID, **body: Any) -> Any:
    return client.post(f"/v1/heads/{head}/promote", json=body)


def promoted(client: TestClient, head: UUID, **body: Any) -> dict[str, Any]:
    """Replay where a head is live, and promote."""
    if any(one["stage"] == "live" for one in client.get(f"/v1/tasks/{TASK}/heads").json()):
        assert replay(client, {"id": head})["state"] == "succeeded"
    answer = promote(client, head, **body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def audit(client: TestClient, action: str) -> list[dict[str, Any]]:
    events = client.get("/v1/audit", params={"limit": 500}).json()["items"]
    return [event["detail"] for event in events if event["action"] == action]


PROMISE = {
    "metric": "recall", "class": "light", "target": 0.95, "confidence": 0.95, "n": 100, "effective_n": 100.0,
    "misses": 1, "seen": 1, "bound": 0.953, "method": "Clopper-Pearson",
}  # fmt: skip


def contract(**changes: Any) -> dict[str, Any]:
    return {"sentence": "recall of light >= 0.95 with 95 % confidence, n = 100", "promises": [PROMISE | changes]}


# What passes


def test_a_sound_head_passes_every_check_that_can_be_measured(
    client: TestClient, store: TestStore, filled: Archive
) -> None:
    register(store, GOOD, stage=Stage.LIVE, evidence=filled.evidence(GOOD))
    head = register(store, GOOD, evidence=filled.evidence(GOOD), contract=contract())
    found = gate(client, head)
    assert {name: one["passed"] for name, one in found.items()} == dict.fromkeys(CHECKS, True) | {
        "policy-on-test": None
    }
    assert found["polarity"]["measured"] == 1.0
    assert found["auc"]["bound"] == -0.005
    assert 0 <= found["golden"]["measured"] <= found["golden"]["bound"]


def test_looking_at_the_gate_promotes_nothing(client: TestClient, store: TestStore, filled: Archive) -> None:
    head = register(store, GOOD)
    gate(client, head)
    assert client.get(f"/v1/heads/{head}").json()["stage"] == "candidate"


def test_what_cannot_be_measured_stops_nothing_and_says_so(client: TestClient, store: TestStore) -> None:
    archive(store, 10)  # without a label
    head = register(store, GOOD)
    assert {name for name, passed in results(client, head).items() if passed is None} == {
        "polarity", "policy", "policy-on-test", "auc", "balanced-accuracy"
    }  # fmt: skip
    promoted(client, head)


# What does not, one check at a time


def damaged(store: TestStore) -> UUID:
    return register(store, Rule(0.5).artifact(store.feature_set())[:500])


def of_other_features(store: TestStore) -> UUID:
    return register(store, Rule(0.5).artifact(store.feature_set(), feature_set="f" * 64))


def of_swapped_classes(store: TestStore) -> UUID:
    """Its graph and its metadata agree on the order of the classes, but its golden decisions and the task do not."""
    return register(store, Rule(0.5, direction=-1).artifact(store.feature_set(), classes=("light", "dark")))


def inverted(store: TestStore) -> UUID:
    return register(store, Rule(0.5, direction=-1))


def diverged(store: TestStore) -> UUID:
    return register(store, GOOD, parity={"rows": 8, "max_difference": 0.14, "decisions_changed": 3})


def without_parity(store: TestStore) -> UUID:
    return register(store, GOOD, parity=None)


def that_misses_more(store: TestStore) -> UUID:
    return register(store, GOOD, contract=contract(seen=2))


def that_proves_less(store: TestStore) -> UUID:
    return register(store, GOOD, contract=contract(bound=0.94))


@pytest.mark.parametrize(
    ("make", "check"),
    [
        (damaged, {"golden"}),
        (of_other_features, {"feature-set"}),
        (of_swapped_classes, {"golden", "classes"}),
        (inverted, {"polarity"}),
        (diverged, {"parity"}),
        (without_parity, {"parity"}),
        (that_misses_more, {"policy"}),
        (that_proves_less, {"policy"}),
    ],
)
def test_each_fault_fails_its_own_check_and_the_refusal_names_it(
    client: TestClient, store: TestStore, filled: Archive, make: Callable[[TestStore], UUID], check: set[str]
) -> None:
    head = make(store)
    assert failed(client, head) == check
    problem = is_problem(promote(client, head), 409)
    assert problem["type"].endswith("head-refused")
    assert all(name in problem["detail"] for name in check)
    assert client.get(f"/v1/heads/{head}").json()["stage"] == "candidate"


def test_an_artifact_whose_metadata_swaps_the_classes_is_inverted(
    client: TestClient, store: TestStore, filled: Archive
) -> None:
    """The names are the task's, their order is not: what it calls light is dark."""
    swapped = Rule(0.5).artifact(store.feature_set(), classes=("light", "dark"), positive="light")
    head = register(store, swapped)
    assert {"golden", "classes", "polarity"} & failed(client, head) >= {"classes", "polarity"}
    assert promote(client, head, override="we are in a hurry").status_code == 409


def test_all_failures_are_listed_not_only_the_first(client: TestClient, store: TestStore, filled: Archive) -> None:
    broken = {"rows": 8, "max_difference": 1.0, "decisions_changed": 0}
    head = register(store, Rule(0.5, direction=-1), parity=broken, contract=contract(seen=9))
    assert failed(client, head) == {"polarity", "parity", "policy"}
    detail = is_problem(promote(client, head), 409)["detail"]
    assert "fails polarity (0, bound 0.6), parity (1, bound 0.0001), policy (9, bound 1)" in detail


# Not worse than the live head


def test_a_head_worse_beyond_the_margin_is_refused_with_both_figures(
    client: TestClient, store: TestStore, filled: Archive
) -> None:
    register(store, GOOD, stage=Stage.LIVE, evidence=filled.evidence(GOOD))
    head = register(store, WORSE, evidence=filled.evidence(WORSE))
    check = gate(client, head)["balanced-accuracy"]
    misses = sum(0.5 < value < 0.55 for value in filled.light) / (ROWS / 2)
    assert check["measured"] == pytest.approx(-misses / 2)
    assert f"1.0000 of version 1 on {ROWS} rows (out-of-fold rows)" in check["says"].replace("against ", "")
    assert failed(client, head) == {"balanced-accuracy"}  # the order of the rows is as good as before


def test_a_worse_order_fails_the_auc(client: TestClient, store: TestStore, filled: Archive) -> None:
    evidence = filled.evidence(GOOD)
    shuffled = evidence.probabilities.copy()
    chosen = np.flatnonzero(np.abs(filled.light - 0.5) < 0.2)
    shuffled[chosen] = np.random.default_rng(0).permutation(shuffled[chosen])
    register(store, GOOD, stage=Stage.LIVE, evidence=evidence)
    worse = Evidence(**{**vars(evidence), "probabilities": shuffled})
    assert failed(client, register(store, GOOD, evidence=worse)) == {"auc", "balanced-accuracy"}


def test_the_margin_is_a_setting(store: TestStore, filled: Archive) -> None:
    register(store, GOOD, stage=Stage.LIVE, evidence=filled.evidence(GOOD))
    head = register(store, WORSE, evidence=filled.evidence(WORSE))
    with calling(store, promotion_margin=0.1) as client:
        assert not failed(client, head)


def test_a_bundled_live_head_answers_from_stored_vectors(client: TestClient, store: TestStore, filled: Archive) -> None:
    register(store, WORSE, stage=Stage.LIVE, starter=True)
    head = register(store, GOOD, evidence=filled.evidence(GOOD))
    check = gate(client, head)["balanced-accuracy"]
    assert check["passed"]
    assert check["measured"] > 0.02
    assert "may have learned" in check["says"]


def test_two_bundled_heads_are_compared_on_what_is_labelled(
    client: TestClient, store: TestStore, filled: Archive
) -> None:
    register(store, GOOD, stage=Stage.LIVE, starter=True)
    head = register(store, WORSE, starter=True)
    check = gate(client, head)["balanced-accuracy"]
    assert (check["passed"], check["overridable"]) == (False, True)
    assert f"on {ROWS} rows (labelled images that neither was trained on here)" in check["says"]
    assert failed(client, head) == {"balanced-accuracy"}


def test_bundled_heads_have_nothing_to_be_compared_on_where_nothing_is_labelled(
    client: TestClient, store: TestStore
) -> None:
    archive(store, 4)
    register(store, GOOD, stage=Stage.LIVE, starter=True)
    assert gate(client, register(store, WORSE, starter=True))["auc"]["passed"] is None


def test_a_live_head_is_not_compared_on_rows_that_it_may_have_learned(
    client: TestClient, store: TestStore, filled: Archive
) -> None:
    register(store, GOOD, stage=Stage.LIVE)
    check = gate(client, register(store, WORSE, evidence=filled.evidence(WORSE)))["balanced-accuracy"]
    assert check["passed"] is None
    assert "penumbra test" in check["says"]


def test_a_relabelled_row_counts_as_it_is_labelled_today(client: TestClient, store: TestStore, filled: Archive) -> None:
    """The live head is right by the labels of today, the candidate by those that it learned from."""
    filled.label(["light" if value > 0.55 else "dark" for value in filled.light.tolist()])
    register(store, WORSE, stage=Stage.LIVE, evidence=filled.evidence(WORSE))
    assert failed(client, register(store, GOOD, evidence=filled.evidence(GOOD))) == {"balanced-accuracy"}


# The locked test


def consulted(store: TestStore, filled: Archive, head: UUID, evidence: Evidence, dataset: UUID | None = None) -> UUID:
    """Keep answers of a head on a dataset's test rows, as the evaluation does."""
    with transaction(store.sessions) as session:
        if dataset is None:
            made = Dataset(
                name=f"set-{uuid4().hex[:8]}", version=1, task=TASK, feature_set_id=store.feature_set().id,
                classes=list(CLASSES), positive="light", digest="0" * 64, author="test",
            )  # fmt: skip
            session.add(made)
            session.flush()
            dataset = made.id
        session.add(
            TestScore(dataset_id=dataset, head_id=head, figures={}, evidence=evidence.to_bytes(), author="test")
        )
    return dataset


def test_test_rows_that_contradict_the_promise_refuse_the_head(
    client: TestClient, store: TestStore, filled: Archive
) -> None:
    head = register(store, GOOD, evidence=filled.evidence(GOOD), contract=contract())
    consulted(store, filled, head, filled.evidence(Rule(0.7)))
    check = gate(client, head)["policy-on-test"]
    assert not check["passed"]
    assert check["measured"] < check["bound"] == 0.95
    assert failed(client, head) == {"policy-on-test"}


def test_test_rows_that_only_look_worse_by_chance_do_not(client: TestClient, store: TestStore, filled: Archive) -> None:
    head = register(store, GOOD, contract=contract(target=0.98))
    consulted(store, filled, head, filled.evidence(Rule(0.515)))  # 3 of 100 missed
    assert gate(client, head)["policy-on-test"]["passed"]


def test_a_test_that_both_heads_were_scored_on_is_the_ground_of_the_comparison(
    client: TestClient, store: TestStore, filled: Archive
) -> None:
    live = register(store, GOOD, stage=Stage.LIVE, evidence=filled.evidence(GOOD))
    head = register(store, GOOD, evidence=filled.evidence(GOOD))
    dataset = consulted(store, filled, live, filled.evidence(GOOD))
    assert "out-of-fold rows" in gate(client, head)["auc"]["says"]
    consulted(store, filled, head, filled.evidence(WORSE), dataset)
    found = gate(client, head)
    assert "the shared test" in found["auc"]["says"]
    assert not found["balanced-accuracy"]["passed"]


# Overrides


def test_a_stated_reason_passes_the_margin_over_and_stays_in_the_audit_trail(
    client: TestClient, store: TestStore, filled: Archive, trainer: object
) -> None:
    register(store, GOOD, stage=Stage.LIVE, evidence=filled.evidence(GOOD))
    head = register(store, WORSE, evidence=filled.evidence(WORSE))
    assert "`override`" in is_problem(promote(client, head), 409)["detail"]
    promoted(client, head, override="fewer false alarms matter more here")
    (detail,) = audit(client, "head.promote")
    assert detail["override"]["reason"] == "fewer false alarms matter more here"
    assert [check["name"] for check in detail["override"]["checks"]] == ["balanced-accuracy"]


@pytest.mark.parametrize("make", [inverted, damaged, diverged, of_other_features])
def test_no_reason_makes_a_broken_or_inverted_head_live(
    client: TestClient, store: TestStore, filled: Archive, make: Callable[[TestStore], UUID]
) -> None:
    head = make(store)
    assert "`override`" not in is_problem(promote(client, head, override="I know better"), 409)["detail"]


@pytest.mark.parametrize("body", [{"override": "   "}, {"override": "a\x00b"}, {"override": "x" * 2000}])
def test_an_empty_reason_is_none(client: TestClient, store: TestStore, filled: Archive, body: dict[str, Any]) -> None:
    is_problem(client.post(f"/v1/heads/{register(store, GOOD)}/promote", json=body), 422)


def test_bad_requests_are_answered_as_documented(client: TestClient, store: TestStore, filled: Archive) -> None:
    heads = {
        "LIVE": register(store, GOOD, stage=Stage.LIVE), "CANDIDATE": register(store, GOOD),
        "INVERTED": inverted(store), "NOBODY": uuid4(),
    }  # fmt: skip
    section = DOCUMENT.read_text().partition("## Replays and promotion")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (GET|POST) (\w+)/(\S+) \| (.*?) ?\| .+? \| (\d+) \|$", section, re.MULTILINE)
    assert len(rows) == 15
    for method, head, rest, body, status in rows:
        answer = client.request(method, f"/v1/heads/{heads[head]}/{rest}", json=json.loads(body) if body else None)
        assert answer.status_code == int(status), (method, head, rest, body, answer.text)
        is_problem(answer, int(status))


# The replay before a promotion


@pytest.fixture
def two(store: TestStore, filled: Archive) -> tuple[UUID, UUID]:
    """A live head and a candidate."""
    return register(store, GOOD, stage=Stage.LIVE), register(store, Rule(0.502))


def test_a_promotion_without_a_replay_is_refused_with_the_remedy(
    client: TestClient, store: TestStore, two: tuple[UUID, UUID]
) -> None:
    problem = is_problem(promote(client, two[1]), 409)
    assert problem["type"].endswith("conflict")
    assert f"POST /v1/heads/{two[1]}/replay" in problem["detail"]
    assert "penumbra replay bright 2" in problem["detail"]
    assert client.get(f"/v1/heads/{two[0]}").json()["stage"] == "live"


def test_the_first_head_of_a_task_needs_no_replay(client: TestClient, store: TestStore, filled: Archive) -> None:
    assert promote(client, register(store, GOOD)).json()["previous"] is None
    assert audit(client, "head.promote")[0]["replay"] is None


def test_the_audit_trail_names_the_replay_and_its_counts(
    client: TestClient, store: TestStore, two: tuple[UUID, UUID], trainer: object
) -> None:
    promoted(client, two[1])
    said = client.get(f"/v1/heads/{two[1]}/replay").json()
    (detail,) = audit(client, "head.promote")
    assert detail["replay"] == {name: said[name] for name in ("id", "regions", "flipped", "flips", "newcomers")}
    assert detail["previous"] == 1


def test_a_replay_against_a_head_that_is_live_no_more_is_out_of_date(
    client: TestClient, store: TestStore, two: tuple[UUID, UUID], trainer: object
) -> None:
    third = register(store, GOOD)
    replay(client, {"id": third})
    promoted(client, two[1])
    said = client.get(f"/v1/heads/{third}/replay").json()
    assert (said["current"], said["outdated"]) == (False, "another head went live since")
    assert "out of date (another head went live since)" in is_problem(promote(client, third), 409)["detail"]
    promoted(client, third)


@pytest.mark.parametrize(("newcomers", "current"), [(ROWS // 20, True), (ROWS // 20 + 1, False)])
def test_a_few_newcomers_are_counted_and_many_make_a_replay_out_of_date(
    client: TestClient, store: TestStore, two: tuple[UUID, UUID], trainer: object, newcomers: int, current: bool
) -> None:
    replay(client, {"id": two[1]})
    ids = add_numbered(store.sessions, newcomers, start=10_000)
    embed(store, store.feature_set(), ids, vectors(store.feature_set(), np.full(newcomers, 0.9)))
    said = client.get(f"/v1/heads/{two[1]}/replay").json()
    assert (said["newcomers"], said["current"]) == (newcomers, current)
    assert promote(client, two[1]).status_code == (200 if current else 409)


def test_a_rollback_is_one_call_without_a_replay_and_both_are_in_the_audit_trail(
    client: TestClient, store: TestStore, filled: Archive, trainer: object
) -> None:
    first, second = register(store, GOOD), register(store, Rule(0.502))
    promoted(client, first)
    promoted(client, second)
    back = client.post(f"/v1/tasks/{TASK}/rollback")
    assert (back.status_code, back.json()["head"]["version"]) == (200, 1)
    assert [event["version"] for event in audit(client, "head.promote")] == [2, 1]
    assert [event["version"] for event in audit(client, "head.rollback")] == [1]
    with transaction(store.sessions) as session:
        assert session.get_one(Head, second).stage == "archived"
        history = session.execute(text("SELECT head_id, rollback FROM promotion WHERE task = 'bright' ORDER BY id"))
        assert history.all() == [(first, False), (second, False), (first, True)]


def test_a_head_that_is_not_there_has_no_gate(client: TestClient) -> None:
    for answer in (client.get(f"/v1/heads/{uuid4()}/gate"), promote(client, uuid4())):
        is_problem(answer, 404)
