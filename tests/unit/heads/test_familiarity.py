import json

import numpy as np
import onnx
import pytest

from app.errors import HeadRefused
from app.heads.artifact import FAMILIARITY_KEY, HeadMetadata
from app.heads.familiarity import ALLOWANCE, FARTHEST, FEWEST_ROWS, LEAST_LIMIT, REFERENCES, Familiarity
from app.heads.scoring import Head
from tests.unit.heads.test_artifact import altered, replace_text

DIMENSIONS = 64


def cloud(seed, rows, *, around=0, spread=0.3):
    """Rows around a direction of their own: features of one kind of scan."""
    centre = np.random.default_rng(1_000 + around).random(DIMENSIONS)
    return np.abs(centre + spread * np.random.default_rng(seed).normal(size=(rows, DIMENSIONS))).astype(np.float32)


@pytest.fixture(scope="module")
def known():
    return Familiarity.fit(cloud(0, 600))


def test_rows_like_the_training_rows_are_near(known):
    rows, _ = known.strangers(cloud(1, 500))
    assert len(rows) == 0
    assert known.limit == pytest.approx(ALLOWANCE * known.usual)
    assert len(known.references) == REFERENCES


def test_rows_of_another_kind_are_strangers_with_their_distance(known):
    far = -np.ones((3, DIMENSIONS), np.float32)
    mixed = np.concatenate([cloud(2, 5), far, cloud(3, 4)])
    rows, distances = known.strangers(mixed)
    assert rows.tolist() == [5, 6, 7]
    np.testing.assert_allclose(distances, known.distances(mixed)[5:8], atol=1e-6)
    assert (distances > 1).all()


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_shortcut_finds_the_strangers_that_every_distance_shows(known, scale):
    rows = scale * (cloud(4, 400) - np.linspace(0, 2, 400)[:, None])
    found, distances = known.strangers(rows.astype(np.float32))
    every = known.distances(rows.astype(np.float32))
    assert found.tolist() == np.flatnonzero(every > known.limit).tolist()
    assert 0 < len(found) < 400
    np.testing.assert_allclose(distances, every[found], rtol=1e-5, atol=1e-6)


def test_a_row_without_any_feature_is_a_stranger(known):
    rows, distances = known.strangers(np.zeros((1, DIMENSIONS), np.float32))
    assert rows.tolist() == [0]
    assert distances.tolist() == [1.0]


def test_a_group_on_both_sides_would_make_the_limit_too_narrow():
    """Ten near-copies of each subject: by single rows all would look alike."""
    subjects = cloud(5, 60, spread=0.5)
    rows = np.repeat(subjects, 10, axis=0)
    rows = (rows + 0.001 * np.random.default_rng(0).random(rows.shape)).astype(np.float32)
    alone, grouped = Familiarity.fit(rows), Familiarity.fit(rows, np.repeat(np.arange(60), 10))
    assert alone.limit == LEAST_LIMIT
    assert grouped.limit > LEAST_LIMIT
    assert len(grouped.strangers(cloud(6, 200, spread=0.5))[0]) == 0


def test_few_rows_or_one_subject_say_nothing():
    assert Familiarity.fit(cloud(0, FEWEST_ROWS - 1)) is None
    assert Familiarity.fit(cloud(0, FEWEST_ROWS), np.zeros(FEWEST_ROWS, np.int64)) is None
    assert Familiarity.fit(cloud(0, FEWEST_ROWS)) is not None


def test_rows_that_have_nothing_in_common_make_nothing_a_stranger():
    """Vectors in all directions: what is usual, times the allowance, would lie beyond the farthest there is."""
    scattered = Familiarity.fit(np.random.default_rng(0).normal(size=(60, DIMENSIONS)).astype(np.float32))
    assert ALLOWANCE * scattered.usual > FARTHEST == scattered.limit
    assert Familiarity.from_json(scattered.to_json()).limit == FARTHEST
    assert len(scattered.strangers(-scattered.references)[0]) == 0


def test_it_reads_back_as_it_was_written(known):
    again = Familiarity.from_json(known.to_json())
    np.testing.assert_array_equal(again.references, known.references)
    assert (again.limit, again.usual) == (known.limit, known.usual)


@pytest.mark.parametrize("change", [
    {"float16": "?"}, {"shape": [3, 3]}, {"shape": [REFERENCES * DIMENSIONS]}, {"limit": 0}, {"limit": "wide"},
    {"limit": float("nan")}, {"float16": "", "shape": [0, DIMENSIONS]},
])  # fmt: skip
def test_what_is_no_familiarity_is_refused(known, change):
    with pytest.raises(HeadRefused, match="familiar"):
        Familiarity.from_json(json.dumps(json.loads(known.to_json()) | change))


def test_a_trained_head_carries_it_and_an_older_artifact_does_without(logistic):
    head = Head.load(logistic.artifact)
    assert head.familiarity is not None
    assert head.familiarity.references.shape[1] == head.metadata.avg_dimensions

    def forget(model):
        texts = {entry.key: entry.value for entry in model.metadata_props if entry.key != FAMILIARITY_KEY}
        del model.metadata_props[:]
        onnx.helper.set_model_props(model, texts)

    older = altered(altered(logistic.artifact, forget), replace_text("penumbra.golden", "avg", "avg"))
    assert Head.load(older).familiarity is None
    assert isinstance(Head.load(older).metadata, HeadMetadata)
    with pytest.raises(HeadRefused, match="edited"):
        Head.load(altered(logistic.artifact, forget))


def test_an_edited_limit_is_noticed(logistic):
    with pytest.raises(HeadRefused, match="edited"):
        Head.load(altered(logistic.artifact, replace_text(FAMILIARITY_KEY, '"limit": ', '"limit": 1', seal=False)))


def test_vectors_of_another_width_are_refused(logistic):
    head = Head.load(logistic.artifact)
    other = Familiarity.fit(cloud(0, 100))
    change = replace_text(FAMILIARITY_KEY, head.familiarity.to_json(), other.to_json())
    with pytest.raises(HeadRefused, match="another width"):
        Head.load(altered(logistic.artifact, change))
