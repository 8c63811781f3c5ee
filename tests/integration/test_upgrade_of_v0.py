"""A store of the release with v0 is migrated, goes on as it was, and moves to the network that took v0's place."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from typer.testing import CliRunner

from app.cli import app
from app.db import transaction
from app.features.spec import FeatureSetSpec
from app.features.weights import KNOWN, resolve, resolve_spec
from app.features.weights.resolution import BUNDLE
from app.models import FeatureSet
from app.services import feature_sets, schema, tasks
from tests.conftest import FakeExtractor, TestStore, calling, extracting, training
from tests.integration.calls import scan, stored
from tests.integration.outdated import outdate

PLAIN, V0 = "densenet121-xray", "densenet121-xray-v0"


@pytest.fixture
def former(store: TestStore) -> FeatureSetSpec:
    """The store as that release left it: v0's set has the plain name."""
    return outdate(store, replace(KNOWN[V0].spec, name=PLAIN))


@pytest.fixture
def judged(store: TestStore, former: FeatureSetSpec) -> list[dict[str, Any]]:
    """Scans that v0's heads have judged; then the schema is at 0004 again, which the present API refuses to serve."""
    with calling(store) as client, extracting(store, FakeExtractor(former)):
        images = stored(client, *(scan(seed) for seed in range(4)), wait=60)
    with transaction(store.sessions) as session:
        session.execute(text("UPDATE alembic_version SET version_num = '0004'"))
    return images


@pytest.fixture
def house(store: TestStore, judged: list[dict[str, Any]]) -> Iterator[TestClient]:
    """The present release on that store, migrated, with both workers."""
    schema.migrate(store.engine)
    with transaction(store.sessions) as session:
        schema.seed(session, resolve(PLAIN).spec)
    both = (FakeExtractor(KNOWN[name].spec) for name in (PLAIN, V0))
    with calling(store) as client, extracting(store, *both), training(store):
        yield client


def used(store: TestStore) -> dict[str, str]:
    with transaction(store.sessions) as session:
        return {
            one.name: session.get_one(FeatureSet, one.feature_set_id).name
            for one in tasks.every(session)
            if one.feature_set_id is not None
        }


def test_after_the_migration_everything_is_as_it_was_but_for_the_name(
    store: TestStore, judged: list[dict[str, Any]], house: TestClient
) -> None:
    assert set(used(store).values()) == {V0}
    with transaction(store.sessions) as session:
        assert [one.name for one in feature_sets.every(session)] == [V0]
        spec = FeatureSetSpec.from_dict(feature_sets.named(session, V0).spec)
    assert resolve_spec(spec).path == BUNDLE / "penumbra_densenet121_v0.npz"
    assert spec == KNOWN[V0].spec
    said = house.get(f"/v1/images/{judged[0]['id']}/predictions").json()
    assert {row["feature_set"] for row in said} == {V0}
    assert [row["probabilities"] for row in said] == [row["probabilities"] for row in judged[0]["predictions"]]
    assert {row["feature_set"] for row in stored(house, scan(9), wait=60)[0]["predictions"]} == {V0}


def test_one_command_moves_it_to_the_present_network(
    store: TestStore, house: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENUMBRA_DATABASE_URL", store.url)
    monkeypatch.setenv("PENUMBRA_DATA_DIR", str(store.settings.data_dir))
    ended = CliRunner().invoke(app, ["features", "upgrade", "--wait", "--yes", "--json"])
    assert ended.exit_code == 0, ended.output
    assert {row["state"] for row in json.loads(ended.stdout)["tasks"]} == {"switched"}
    assert set(used(store).values()) == {PLAIN}
    assert store.scalar("SELECT count(*) FROM embedding") == 8
    assert CliRunner().invoke(app, ["features", "drop", V0, "--yes"]).exit_code == 0
    assert {row["feature_set"] for row in stored(house, scan(9), wait=60)[0]["predictions"]} == {PLAIN}
