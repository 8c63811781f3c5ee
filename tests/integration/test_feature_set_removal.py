"""The end of a feature set: retired it keeps what it has; dropped, nothing of it is left but records."""

from dataclasses import replace
from uuid import UUID

import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, text

from app import vectors
from app.db import transaction
from app.errors import Conflict, NotFound, Unavailable
from app.models import FeatureSet, FeatureStage, Head, Stage
from app.services import (
    backfill,
    datasets,
    feature_set_removal,
    feature_sets,
    feeding,
    gate,
    reconciling,
    registry,
    replay,
    stats,
    tasks,
    training,
)
from app.services.feeding import Laps
from tests.conftest import TestStore
from tests.integration.fabricated import CLASSES, POSITIVE, TASK, Rule, archive, register
from tests.integration.rows import add_numbered, embed
from tests.integration.second import SECOND, registered

FIRST = "densenet121-xray"


def drop(store: TestStore, name: str = SECOND.name, *, configured: str | None = None) -> feature_set_removal.Dropped:
    with transaction(store.sessions) as session:
        return feature_set_removal.drop(session, name, configured=configured, author="test")


def retire(store: TestStore, name: str = SECOND.name, *, configured: str | None = None) -> FeatureSet:
    with transaction(store.sessions) as session:
        return feature_set_removal.retire(session, name, configured=configured, author="test")


def filled(store: TestStore, count: int = 4, **columns: object) -> tuple[FeatureSet, list[UUID]]:
    """The second set with vectors of some images, a finding each, and jobs of all kinds."""
    second = registered(store, **columns)
    ids = add_numbered(store.sessions, count)
    if second.cut != "frame":
        with transaction(store.sessions) as session:
            session.execute(
                text("INSERT INTO region (image_id, cut, x, y, width, height) SELECT id, :cut, 0, 0, 9, 9 FROM image"),
                {"cut": second.cut},
            )
    with transaction(store.sessions) as session:
        regions = session.scalars(text("SELECT id FROM region WHERE cut = :cut ORDER BY id"), {"cut": second.cut}).all()
        ones = np.ones((count, second.avg_dim), np.float32)
        vectors.copy_in(session, second, vectors.Rows(np.array(regions), ones, ones), engine="test")
        session.execute(
            text(
                "INSERT INTO preparation (region_id, feature_set_id, findings) "
                "SELECT id, :fs, '{}' FROM region WHERE cut = :cut"
            ),
            {"fs": second.id, "cut": second.cut},
        )
    add_numbered(store.sessions, 2, start=count)
    with transaction(store.sessions) as session:
        feeding.feed(session, Laps())
    return second, ids


def count(store: TestStore, table: str, feature_set: FeatureSet) -> int:
    return int(str(store.scalar(f"SELECT count(*) FROM {table} WHERE feature_set_id = :id", id=feature_set.id)))


def test_a_dropped_set_leaves_nothing_behind_and_says_what_went(store: TestStore) -> None:
    second, _ = filled(store)
    assert count(store, "job", second) == 2
    gone = drop(store)
    assert (gone.vectors, gone.jobs, gone.preparations, gone.recorded) == (4, 2, 4, False)
    assert gone.bytes_freed > 0
    for table in ("job", "embedding", "preparation"):
        assert count(store, table, second) == 0
    assert store.scalar("SELECT to_regclass(:name)", name=vectors.partition(second.id)) is None
    assert store.scalar("SELECT count(*) FROM region WHERE cut = 'frame'") == 6
    with transaction(store.sessions) as session:
        assert [one.name for one in feature_sets.every(session)] == [FIRST]
        with pytest.raises(NotFound):
            feature_sets.named(session, SECOND.name)
    assert store.scalar("SELECT count(*) FROM audit_event WHERE action = 'feature_set.drop'") == 1
    # The name is free again.
    assert registered(store).stage == FeatureStage.FILLING


def test_the_set_beside_it_is_untouched(store: TestStore) -> None:
    first = store.feature_set()
    _, ids = filled(store)
    embed(store, first, ids, np.ones((4, first.avg_dim), np.float32))
    drop(store)
    assert count(store, "embedding", first) == 4
    with transaction(store.sessions) as session:
        assert stats.gather(session, within_seconds=10).embeddings == {FIRST: 4}


def test_what_uses_a_set_is_named_and_keeps_it(store: TestStore) -> None:
    second, _ = filled(store)
    with transaction(store.sessions) as session:
        session.execute(text("UPDATE task SET feature_set_id = :id WHERE name = 'pneumonia'"), {"id": second.id})
    for act in (drop, retire):
        with pytest.raises(Conflict, match="task pneumonia need"):
            act(store)
    with transaction(store.sessions) as session:
        session.execute(text("UPDATE task SET feature_set_id = NULL"))
        tasks.create(session, TASK, "Is it?", list(CLASSES), POSITIVE, author="test")
    register(store, Rule(0.5), stage=Stage.LIVE, feature_set=second)
    for act in (drop, retire):
        with pytest.raises(Conflict, match="live head bright version 1"):
            act(store)
    assert count(store, "embedding", second) == 4


def test_the_set_of_the_settings_is_kept(store: TestStore) -> None:
    filled(store)
    for act in (drop, retire):
        with pytest.raises(Conflict, match="PENUMBRA_FEATURE_SET"):
            act(store, configured=SECOND.name)


def test_heads_and_datasets_of_a_dropped_set_stay_as_records(store: TestStore) -> None:
    second = registered(store, stage=FeatureStage.LIVE)
    archive(store, 20, feature_set=second).label()
    head_id = register(store, Rule(0.5), feature_set=second)
    with transaction(store.sessions) as session:
        frozen = datasets.freeze(session, "kept", TASK, second, author="test", duplicate_bound=None)
    gone = drop(store)
    assert (gone.heads, gone.datasets, gone.recorded) == (1, 1, True)
    with transaction(store.sessions) as session:
        head = session.get_one(Head, head_id)
        assert registry.artifact(session, head_id)
        assert datasets.named(session, "kept").rows == frozen.rows
        for refused in (
            lambda: gate.checks(session, head),
            lambda: registry.promote(session, head_id, author="test"),
            lambda: replay.request(session, head_id, author="test"),
            lambda: training.request(session, TASK, second, {}, author="test", dataset=frozen),
            lambda: datasets.lost_rows(session, frozen),
            lambda: feature_sets.named(session, SECOND.name),
        ):
            with pytest.raises(NotFound, match="was dropped"):
                refused()
        assert SECOND.name in {one.name for one in feature_sets.every(session)}
        assert reconciling.reconcile(session, max_attempts=3, everything=True) >= 0


def test_the_same_weights_bring_a_dropped_set_back_with_its_records(store: TestStore) -> None:
    second = registered(store, stage=FeatureStage.LIVE)
    filled_again = archive(store, 10, feature_set=second)
    head_id = register(store, Rule(0.5), feature_set=second)
    drop(store)
    again = registered(store)
    assert (again.id, again.stage) == (second.id, FeatureStage.FILLING)
    embed(store, again, filled_again.images, np.ones((10, 64), np.float32))
    with transaction(store.sessions) as session:
        assert backfill.coverage(session, again).pending == 0
        assert gate.checks(session, session.get_one(Head, head_id))


def test_regions_that_nothing_else_describes_go_with_the_set_but_for_judged_ones(store: TestStore) -> None:
    second, ids = filled(store, cut="container-1")
    with transaction(store.sessions) as session:
        tasks.create(session, TASK, "Is it?", list(CLASSES), POSITIVE, author="test")
    head = register(store, Rule(0.5), feature_set=second)
    with transaction(store.sessions) as session:
        session.execute(
            text(
                """
                INSERT INTO prediction (image_id, region_id, task, head_id, probabilities, decision, threshold, risk)
                SELECT image_id, id, 'bright', :head, '{}', 'dark', 0.5, 0 FROM region
                WHERE cut = 'container-1' AND image_id = :image
                """
            ),
            {"head": head, "image": ids[0]},
        )
    gone = drop(store)
    assert (gone.regions, gone.regions_kept) == (3, 1)
    assert store.scalar("SELECT count(*) FROM region WHERE cut = 'container-1'") == 1
    assert store.scalar("SELECT count(*) FROM prediction") == 1


def test_regions_that_another_set_describes_stay(store: TestStore) -> None:
    filled(store, cut="container-1")
    registered(store, replace(SECOND, name="third", weights_digest="7" * 64), cut="container-1")
    assert drop(store).regions == 0
    assert store.scalar("SELECT count(*) FROM region WHERE cut = 'container-1'") == 4


def test_a_training_on_the_set_ends_with_it(store: TestStore) -> None:
    second = registered(store, stage=FeatureStage.LIVE)
    archive(store, 20, feature_set=second).label()
    with transaction(store.sessions) as session:
        job, head = training.request(session, TASK, second, {}, author="test")
    drop(store)
    assert store.scalar("SELECT state FROM job WHERE id = :id", id=job.id) == "cancelled"
    assert store.scalar("SELECT stage FROM head WHERE id = :id", id=head.id) == "failed"


def test_a_set_that_is_being_read_is_not_dropped_by_force(store: TestStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_set_removal, "_LOCK_SECONDS", 0.2)
    second, _ = filled(store)
    with store.sessions() as reading:
        reading.execute(text(f"SELECT count(*) FROM {vectors.partition(second.id)}"))
        with pytest.raises(Unavailable, match="Try again"):
            drop(store)
    assert count(store, "embedding", second) == 4
    assert drop(store).vectors == 4


def test_a_retired_set_keeps_its_vectors_and_gets_no_more(store: TestStore) -> None:
    second, _ = filled(store)
    assert retire(store).stage == FeatureStage.RETIRED
    assert retire(store).stage == FeatureStage.RETIRED
    assert (count(store, "job", second), count(store, "embedding", second)) == (0, 4)
    with transaction(store.sessions) as session:
        feeding.feed(session, Laps())
        assert session.scalar(select(FeatureSet.stage).where(FeatureSet.id == second.id)) == FeatureStage.RETIRED
    assert count(store, "job", second) == 0
    assert store.scalar("SELECT count(*) FROM audit_event WHERE action = 'feature_set.retire'") == 1


def test_dropping_by_api(client: TestClient, store: TestStore) -> None:
    filled(store)
    assert client.delete(f"/v1/feature-sets/{FIRST}").status_code == 409
    gone = client.delete(f"/v1/feature-sets/{SECOND.name}").json()
    assert (gone["vectors"], gone["heads"]) == (4, 0)
    assert client.get(f"/v1/feature-sets/{SECOND.name}").status_code == 404
    assert client.delete(f"/v1/feature-sets/{SECOND.name}").status_code == 404
