"""The same recipe on the same images in two feature sets: one table, the same folds, every two row by row."""

import json
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from typer.testing import CliRunner

from app import vectors
from app.cli import app
from app.datasets.splits import SplitSpec
from app.db import transaction
from app.errors import InvalidInput, NotFound, NotTrainable
from app.models import FeatureSet, FeatureStage
from app.services import datasets, set_comparison
from app.services.set_comparison import Compared
from tests.conftest import TestStore, training
from tests.integration.calls import is_problem
from tests.integration.fabricated import TASK, Archive, archive
from tests.integration.rows import embed
from tests.integration.second import SECOND, registered
from tests.integration.teaching import ended

FIRST = "densenet121-xray"
RECIPE = {"params": {"C": [1.0], "max_iter": [300]}, "folds": 2, "pooling": ["avg"]}
URL = f"/v1/tasks/{TASK}/feature-set-comparisons"
BODY = RECIPE | {"feature_sets": [FIRST, SECOND.name]}


def noisy(feature_set: FeatureSet, light: Any, noise: float) -> vectors.Vectors:
    """Vectors that tell light from dark the worse, the noisier they are."""
    rng = np.random.default_rng(1)
    found = rng.random((len(light), feature_set.avg_dim)).astype(np.float32) * np.float32(0.01)
    found[:, 0] = light + rng.normal(0, noise, len(light))
    return found


@pytest.fixture
def lit(store: TestStore) -> Archive:
    """Sixty labelled images that both sets describe; the second sees them through noise."""
    made = archive(store, 60)
    made.label()
    embed(store, registered(store), made.images, noisy(registered(store), made.light, 0.3))
    return made


def compare(store: TestStore, *names: str, **given: Any) -> Compared:
    with transaction(store.sessions) as session:
        return set_comparison.compare(session, TASK, names or (FIRST, SECOND.name), RECIPE, author="test", **given)


def by_api(client: TestClient, **changes: Any) -> dict[str, Any]:
    """Ask, wait for the trainings, ask again."""
    answer = client.post(URL, json=BODY | changes)
    assert answer.status_code == 202, answer.text
    assert len(answer.json()["pending"]) == 2
    for job in answer.json()["pending"]:
        assert ended(client, job["id"])["state"] == "succeeded"
    again = client.post(URL, json=BODY | changes)
    assert again.status_code == 200, again.text
    return dict(again.json())


def test_one_table_on_the_same_images_in_the_same_folds(
    store: TestStore, client: TestClient, lit: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    with transaction(store.sessions) as session:
        session.execute(text("DELETE FROM embedding WHERE region_id = :id"), {"id": int(lit.regions[0])})
        session.execute(
            text("DELETE FROM embedding WHERE region_id = :id AND feature_set_id = :fs"),
            {"id": int(lit.regions[1]), "fs": store.feature_set().id},
        )
        # A test split, so that it is scored as well.
        frozen = datasets.freeze(
            session, "base", TASK, registered(store), split=SplitSpec(test=0.5, train=0.5), author="test",
            duplicate_bound=None,
        )  # fmt: skip
    with training(store):
        found = by_api(client, dataset=frozen.full_name)
    assert (found["images"], found["missing"], found["unclear"], found["same_folds"]) == (58, 1, 0, True)
    first, second = found["rows"]
    assert (first["lacking"], second["lacking"]) == (1, 0)
    assert (first["dimensions"], second["dimensions"]) == (2048, 128)
    assert first["out_of_fold"]["auc"] > second["out_of_fold"]["auc"]
    assert first["out_of_fold"]["rows"] + first["test"]["rows"] == 58
    assert second["out_of_fold"]["per_class"]["light"]["recall"] is not None
    assert first["seconds"] > 0
    contests = found["contests"]
    assert [(one["heads"], one["rows_of"]) for one in contests] == [
        ([FIRST, SECOND.name], "training rows, out of fold"), ([FIRST, SECOND.name], "test rows")
    ]  # fmt: skip
    assert contests[0]["auc_difference"]["value"] == pytest.approx(
        first["out_of_fold"]["auc"] - second["out_of_fold"]["auc"]
    )
    # Asked again nothing is trained again; the command prints the same table.
    monkeypatch.setenv("PENUMBRA_DATABASE_URL", store.url)
    words = ["features", "compare", TASK, "--feature-sets", f"{FIRST},{SECOND.name}", "--pooling", "avg",
             "--folds", "2", "--param", "C=1.0", "--param", "max_iter=300", "--dataset", frozen.full_name]  # fmt: skip
    told = CliRunner().invoke(app, [*words, "--json"])
    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout)["contests"] == contests
    printed = CliRunner().invoke(app, words).stdout
    assert "58 images that all the sets describe; left out: 1 lacking in a set" in printed
    assert printed.count("McNemar's exact p") == 2
    assert store.scalar("SELECT count(*) FROM head WHERE task = :task", task=TASK) == 2


def test_images_of_several_regions_count_once_by_their_worst(store: TestStore, client: TestClient) -> None:
    made = archive(store, 60)
    made.label()
    cutting = registered(store, stage=FeatureStage.LIVE, cut="container-1")
    with transaction(store.sessions) as session:
        # Two regions of each dark image, the second a little lighter; one of each light one.
        session.execute(
            text(
                """
                INSERT INTO region (image_id, cut, ordinal, x, y, width, height)
                SELECT l.image_id, 'container-1', n, 0, 0, 9, 9 FROM label l, generate_series(0, 1) n
                WHERE l.task = :task AND (n = 0 OR l.class_name = 'dark') ORDER BY l.image_id, n
                """
            ),
            {"task": TASK},
        )
        rows = session.execute(
            text(
                "SELECT r.id, r.ordinal, f.id AS frame FROM region r JOIN region f ON f.image_id = r.image_id "
                "AND f.cut = 'frame' WHERE r.cut = 'container-1' ORDER BY r.id"
            )
        ).all()
        light = dict(zip(made.regions.tolist(), made.light.tolist(), strict=True))
        avg = noisy(cutting, np.array([light[row.frame] + 0.05 * row.ordinal for row in rows]), 0.05)
        vectors.copy_in(
            session, cutting, vectors.Rows(np.array([row.id for row in rows]), avg, np.zeros_like(avg)), engine="test"
        )
    with training(store):
        found = by_api(client)
    assert found["images"] == 60
    assert {row["out_of_fold"]["rows"] for row in found["rows"]} == {60}
    assert found["contests"][0]["rows"] == 60


def test_what_cannot_be_compared_is_refused(store: TestStore, client: TestClient, lit: Archive) -> None:
    with pytest.raises(InvalidInput, match="1 feature sets"):
        compare(store, FIRST, FIRST)
    with pytest.raises(NotFound, match="no feature set nothing"):
        compare(store, FIRST, "nothing")
    with pytest.raises(NotFound, match="no dataset nothing"):
        compare(store, dataset="nothing")
    with transaction(store.sessions) as session, pytest.raises(InvalidInput, match="without them"):
        set_comparison.compare(
            session, TASK, [FIRST, SECOND.name], RECIPE | {"augmentation": "soft"}, author="test"
        )  # fmt: skip
    with transaction(store.sessions) as session:
        session.execute(text("DELETE FROM embedding WHERE feature_set_id = :id"), {"id": registered(store).id})
    with pytest.raises(NotTrainable, match="fill them first"):
        compare(store)
    is_problem(client.post(URL, json=BODY | {"feature_sets": [FIRST]}), 422)
    is_problem(client.post(URL, json=BODY | {"feature_set": FIRST}), 422)
    assert store.scalar("SELECT count(*) FROM head WHERE task = :task", task=TASK) == 0
