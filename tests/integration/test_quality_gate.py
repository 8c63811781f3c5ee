"""What nobody can judge is answered with `cannot_judge` and the reason: from the upload to the archive judged again."""

import json
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from sqlalchemy import text

from app import jobs
from app.db import transaction
from app.errors import InvalidInput
from app.features.spec import FeatureSetSpec
from app.heads.familiarity import Familiarity
from app.heads.policy_words import CANNOT_JUDGE, REVIEW, badness
from app.models import FeatureSet, Kind, Stage
from app.services import tasks, unjudgeable
from tests.conftest import FakeExtractor, TestStore, calling, extracting, training
from tests.integration.calls import encode, picture, scan, stored
from tests.integration.fabricated import CLASSES, Rule, archive, register, vectors
from tests.integration.rows import add_numbered, embed, second_feature_set
from tests.integration.teaching import ended
from tests.waiting import eventually

TASK, PREDICT = "shown", "/v1/predict/shown"
POSITIVE = Rule(-1.0)  # says `light` of everything
NEGATIVE = Rule(30)  # says `dark` of everything


def live(store: TestStore, rule: Rule | bytes = POSITIVE, *, feature_set: FeatureSet | None = None) -> UUID:
    with transaction(store.sessions) as session:
        tasks.create(session, TASK, "Is it?", list(CLASSES), "light", author="test")
    return register(store, rule, stage=Stage.LIVE, task=TASK, feature_set=feature_set)


def dark(seed: int = 0) -> bytes:
    """A scan of two per cent of its exposure."""
    return encode(darkened(seed))


def darkened(seed: int) -> Image.Image:
    return picture(seed).point(lambda value: value // 50)


def pages(*pictures: Image.Image) -> bytes:
    return encode(pictures[0], "TIFF", save_all=True, append_images=list(pictures[1:]))


def asked(client: TestClient, content: bytes) -> dict[str, Any]:
    answer = client.post(PREDICT, files=[("files", ("scan", content))])
    assert answer.status_code in (200, 201), answer.text
    return dict(answer.json())


def listed(client: TestClient, decision: str) -> list[str]:
    return [i["id"] for i in client.get("/v1/images", params={"task": TASK, "decision": decision}).json()["items"]]


def test_a_dark_scan_is_not_judged_but_its_probabilities_are_kept(
    client: TestClient, store: TestStore, worker: object
) -> None:
    live(store)
    good, bad = asked(client, scan()), asked(client, dark())
    assert (good["predictions"][0]["decision"], good["predictions"][0]["reason"]) == ("light", None)
    (said,) = bad["predictions"]
    assert said["decision"] == CANNOT_JUDGE
    assert said["reason"].startswith("too dark: grey values from 0.0")
    assert said["probabilities"]["light"] > 0.9
    assert bad["image"]["decisions"] == {TASK: CANNOT_JUDGE} | {
        name: CANNOT_JUDGE for name in bad["image"]["decisions"] if name != TASK
    }
    assert listed(client, CANNOT_JUDGE) == [bad["image"]["id"]]
    assert listed(client, "light") == [good["image"]["id"]]
    assert client.get("/v1/stats").json()["cannot_judge"]["too-dark"] == 1


def test_what_cannot_be_judged_contradicts_no_declaration(client: TestClient, store: TestStore, worker: object) -> None:
    live(store)
    good, bad = stored(client, scan(), dark(), wait=60, metadata=json.dumps([{"declared": {TASK: "dark"}}] * 2))
    assert (good["discrepancies"], bad["discrepancies"]) == ([TASK], [])


def test_the_worst_region_decides_and_a_loaded_one_beside_a_dark_one_is_loaded(
    client: TestClient, store: TestStore, worker: object
) -> None:
    live(store)
    both = asked(client, pages(picture(1), darkened(2)))
    assert [said["decision"] for said in both["predictions"]] == ["light", CANNOT_JUDGE]
    assert both["image"]["decisions"][TASK] == "light"
    assert listed(client, "light") == [both["image"]["id"]]
    assert listed(client, CANNOT_JUDGE) == []


def test_an_empty_region_beside_a_dark_one_leaves_the_image_unjudged(
    client: TestClient, store: TestStore, worker: object
) -> None:
    live(store, NEGATIVE)
    both = asked(client, pages(picture(1), darkened(2)))
    assert [said["decision"] for said in both["predictions"]] == ["dark", CANNOT_JUDGE]
    assert both["image"]["decisions"][TASK] == CANNOT_JUDGE
    assert (listed(client, CANNOT_JUDGE), listed(client, "dark")) == ([both["image"]["id"]], [])


def test_python_and_sql_agree_on_what_is_worst() -> None:
    order = sorted(["dark", REVIEW, CANNOT_JUDGE, "light"], key=lambda word: badness(word, "light"))
    assert order == ["light", CANNOT_JUDGE, REVIEW, "dark"]


def test_no_class_may_have_the_name(store: TestStore) -> None:
    with transaction(store.sessions) as session, pytest.raises(InvalidInput, match=CANNOT_JUDGE):
        tasks.create(session, "odd", "?", [CANNOT_JUDGE, "other"], "other", author="test")


# Unlike what a head was trained on


def only_along(feature_set: FeatureSet) -> Familiarity:
    """Of a head that was trained on vectors that point along the first dimension."""
    return Familiarity(np.eye(1, feature_set.avg_dim, dtype=np.float32), 0.1, 0.04)


def strange(feature_set: FeatureSet, count: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Vectors that a head of `only_along` has never seen the like of."""
    return np.roll(vectors(feature_set, np.linspace(0.2, 0.8, count)), 1, axis=1)


def test_a_scan_unlike_all_training_scans_is_not_judged(client: TestClient, store: TestStore) -> None:
    feature_set = store.feature_set()
    filled = archive(store, 10)
    ids = add_numbered(store.sessions, 3, start=900)
    embed(store, feature_set, ids, strange(feature_set, 3))
    live(store, POSITIVE.artifact(feature_set, familiarity=only_along(feature_set)))
    for image, decision in ((filled.images[0], "light"), (ids[0], CANNOT_JUDGE)):
        (said,) = client.post(PREDICT, json={"image_id": str(image)}).json()["predictions"]
        assert said["decision"] == decision
    assert said["reason"] == (
        "unlike anything this head was trained on (distance 1.00, limit 0.10): is it the right kind of scan?"
    )
    assert client.get("/v1/stats").json()["cannot_judge"] == {"unfamiliar": 1}


def test_a_head_of_an_older_version_judges_whatever_it_is_given(client: TestClient, store: TestStore) -> None:
    feature_set = store.feature_set()
    (image,) = add_numbered(store.sessions, 1)
    embed(store, feature_set, [image], strange(feature_set, 1))
    live(store)
    (said,) = client.post(PREDICT, json={"image_id": str(image)}).json()["predictions"]
    assert said["decision"] == "light"


def test_an_operator_may_switch_the_gate_off(store: TestStore, spec: FeatureSetSpec) -> None:
    feature_set = store.feature_set()
    live(store, POSITIVE.artifact(feature_set, familiarity=only_along(feature_set)))
    open_ = TestStore(
        store.settings.model_copy(update={"quality_gate": False}), store.engine, store.sessions, store.blobs
    )
    with calling(open_) as client, extracting(open_, FakeExtractor(spec)):
        assert asked(client, dark())["predictions"][0]["decision"] == "light"


# The archive


@pytest.fixture
def mixed(store: TestStore) -> list[UUID]:
    """Three images: a good one, one with a problem in its pixels, one of another kind."""
    feature_set = store.feature_set()
    ids = add_numbered(store.sessions, 3)
    avg = np.concatenate([vectors(feature_set, np.array([0.4, 0.6])), strange(feature_set, 1)])
    regions = embed(store, feature_set, ids, avg)
    with transaction(store.sessions) as session:
        session.execute(
            text("INSERT INTO preparation (region_id, feature_set_id, findings) VALUES (:region, :set, :found)"),
            {
                "region": regions[1], "set": feature_set.id,
                "found": '{"problems": [{"code": "blurred", "message": "too blurred"}, '
                '{"code": "cut-off", "message": "cut off"}]}',
            },
        )  # fmt: skip
    return ids


def said_of(store: TestStore, head: UUID) -> list[tuple[str, str | None]]:
    with transaction(store.sessions) as session:
        statement = "SELECT decision, reason FROM prediction WHERE head_id = :head ORDER BY region_id"
        return [tuple(row) for row in session.execute(text(statement), {"head": head})]


def test_the_archive_judged_again_keeps_what_cannot_be_judged(store: TestStore, mixed: list[UUID]) -> None:
    feature_set = store.feature_set()
    head = live(store, POSITIVE.artifact(feature_set, familiarity=only_along(feature_set)))
    with transaction(store.sessions) as session:  # the bundled heads would judge the archive too
        session.execute(text("UPDATE head SET stage = 'archived' WHERE id <> :head"), {"head": head})
        jobs.enqueue_for_head(session, Kind.RESCORE, head, feature_set.id)
    with training(store):
        eventually(lambda: said_of(store, head), lambda found: len(found) == 3)
    first, second, third = said_of(store, head)
    assert first == ("light", None)
    assert second == (CANNOT_JUDGE, "too blurred; cut off")
    assert third[0] == CANNOT_JUDGE
    assert "distance 1.00" in (third[1] or "")
    with transaction(store.sessions) as session:
        assert unjudgeable.counts(session) == {"blurred": 1, "cut-off": 1, "unfamiliar": 1}


def test_a_replay_calls_no_unjudged_scan_a_right_or_wrong_decision(
    client: TestClient, store: TestStore, mixed: list[UUID]
) -> None:
    live(store, POSITIVE)
    candidate = register(store, NEGATIVE, task=TASK)
    with training(store):
        answer = client.post(f"/v1/heads/{candidate}/replay")
        assert ended(client, answer.json()["id"])["state"] == "succeeded"
    found = client.get(f"/v1/heads/{candidate}/replay").json()
    assert found["flips"] == {"light": {"dark": 2}, CANNOT_JUDGE: {CANNOT_JUDGE: 1}}
    assert found["flipped"] == 2


# Another kind of scan


def test_a_scan_of_another_kind_is_answered_at_once(client: TestClient, store: TestStore) -> None:
    """Its features would never come: the head's feature set does not describe it."""
    chest = second_feature_set(store, profile="chest")
    with transaction(store.sessions) as session:
        live_set = session.get_one(FeatureSet, chest)
    live(store, feature_set=live_set)
    (image,) = add_numbered(store.sessions, 1, profile="container")
    answer = client.post(PREDICT, json={"image_id": str(image)}, headers={"Prefer": "wait=60"})
    assert answer.status_code == 200
    (said,) = answer.json()["predictions"]
    assert (said["decision"], said["probabilities"]) == (CANNOT_JUDGE, {})
    assert said["reason"].startswith("This is a container scan, and shown is a question about chest scans.")
    assert store.scalar("SELECT count(*) FROM prediction") == 0
