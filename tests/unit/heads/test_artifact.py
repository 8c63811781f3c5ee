"""The artifact says what its numbers mean, and shows when somebody has touched it."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper

from app.errors import HeadRefused
from app.heads.artifact import FAMILIARITY_KEY, GOLDEN_KEY, METADATA_KEY, SEAL_KEY, GoldenRows, HeadMetadata
from app.heads.pooling import Pooling
from app.heads.recipe import Algorithm
from app.heads.scoring import CHUNK_ROWS, Head, decide, read_metadata


def metadata_with(**changes):
    fields = {
        "task": "empty-container",
        "classes": ("empty", "loaded"),
        "positive": "loaded",
        "threshold": 0.5,
        "policy": "fixed=0.5",
        "pooling": Pooling.AVG,
        "avg_dimensions": 4,
        "max_dimensions": 4,
        "feature_set": "f",
        "feature_set_name": "test",
        "algorithm": "logistic-regression",
        "params": {"C": 1.0},
        "training_digest": "d",
        "created_at": datetime(2026, 1, 1, tzinfo=UTC),
        "libraries": {"numpy": "2"},
    }
    return HeadMetadata(**(fields | changes))


def altered(content: bytes, change) -> bytes:
    model = onnx.load_from_string(content)
    change(model)
    return model.SerializeToString()


def replace_text(key, old, new, *, seal=True):
    """Edit a text; with `seal`, as somebody would who knows about the seal."""

    def change(model):
        texts = {entry.key: entry.value for entry in model.metadata_props}
        assert old in texts[key]
        texts[key] = texts[key].replace(old, new)
        if seal:
            signed = [texts[one] for one in (METADATA_KEY, GOLDEN_KEY, FAMILIARITY_KEY) if one in texts]
            texts[SEAL_KEY] = hashlib.sha256("\n".join(signed).encode()).hexdigest()
        onnx.helper.set_model_props(model, texts)

    return change


@given(
    threshold=st.floats(0, 1),
    classes=st.lists(st.text(min_size=1), min_size=2, max_size=5, unique=True),
    pooling=st.sampled_from(Pooling),
)
def test_metadata_round_trip(threshold, classes, pooling):
    written = metadata_with(threshold=threshold, classes=tuple(classes), positive=classes[-1], pooling=pooling)
    assert HeadMetadata.from_json(written.to_json()) == written


@pytest.mark.parametrize("algorithm", Algorithm)
def test_metadata_travels_inside_the_artifact(algorithm, heads):
    trained = heads[algorithm]
    assert read_metadata(trained.artifact) == trained.metadata == Head.load(trained.artifact).metadata
    assert trained.metadata.classes == ("empty", "loaded")
    assert trained.metadata.algorithm == algorithm.value


@pytest.mark.parametrize(
    "changes",
    [
        {"classes": ("empty",)},
        {"classes": ("empty", "empty")},
        {"positive": "full"},
        {"threshold": 1.5},
        {"threshold": float("nan")},
        {"format": 99},
    ],
)
def test_metadata_that_contradicts_itself_is_refused(changes):
    with pytest.raises(HeadRefused):
        metadata_with(**changes)


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"format": 1}'])
def test_unreadable_texts_are_refused(text):
    with pytest.raises(HeadRefused):
        HeadMetadata.from_json(text)
    with pytest.raises(HeadRefused):
        GoldenRows.from_json(text)


@pytest.mark.parametrize("content", [b"", b"not onnx", b"\x80\x04pickle"])
def test_bytes_that_are_no_graph_are_refused(content):
    with pytest.raises(HeadRefused, match="ONNX"):
        Head.load(content)


def test_truncated_artifact_is_refused(logistic):
    with pytest.raises(HeadRefused):
        Head.load(logistic.artifact[: len(logistic.artifact) // 2])


def test_foreign_graph_is_refused(logistic):
    with pytest.raises(HeadRefused, match="no head metadata"):
        Head.load(altered(logistic.artifact, lambda model: model.ClearField("metadata_props")))


def test_graph_of_another_width_than_its_metadata_is_refused(logistic):
    change = replace_text(METADATA_KEY, '"avg_dimensions": 12', '"avg_dimensions": 13')
    with pytest.raises(HeadRefused, match="does not describe"):
        Head.load(altered(logistic.artifact, change))


@pytest.mark.parametrize("algorithm", Algorithm)
def test_altered_weight_fails_the_self_check(algorithm, heads):
    def change(model):
        largest = max(model.graph.initializer, key=lambda one: np.prod(one.dims))
        values = numpy_helper.to_array(largest)
        # Not a factor: neighbours by cosine are the same for rows that all became longer.
        largest.CopyFrom(numpy_helper.from_array(np.roll(values, 1).reshape(values.shape), largest.name))

    head = Head.load(altered(heads[algorithm].artifact, change))
    with pytest.raises(HeadRefused, match="golden rows"):
        head.self_check()


def test_swapped_class_names_fail_the_self_check(logistic):
    change = replace_text(METADATA_KEY, '["empty", "loaded"]', '["loaded", "empty"]')
    with pytest.raises(HeadRefused, match="decisions changed"):
        Head.load(altered(logistic.artifact, change)).self_check()


@pytest.mark.parametrize(
    ("key", "old", "new"),
    [
        (METADATA_KEY, '"positive": "loaded"', '"positive": "empty"'),
        (METADATA_KEY, '"feature_set": "f', '"feature_set": "e'),
        (GOLDEN_KEY, '"loaded"', '"empty"'),
    ],
)
def test_edited_text_is_refused_at_load(key, old, new, logistic):
    with pytest.raises(HeadRefused, match="edited after training"):
        Head.load(altered(logistic.artifact, replace_text(key, old, new, seal=False)))


def test_altered_threshold_fails_the_self_check(logistic):
    change = replace_text(METADATA_KEY, f'"threshold": {logistic.threshold}', '"threshold": 0.999')
    with pytest.raises(HeadRefused, match="decisions changed"):
        Head.load(altered(logistic.artifact, change)).self_check()


def test_golden_rows_of_another_shape_are_refused(logistic):
    change = replace_text(GOLDEN_KEY, '"shape": [6, 2]', '"shape": [6, 1]')
    with pytest.raises(HeadRefused, match="golden rows cannot be read"):
        Head.load(altered(logistic.artifact, change))


def test_artifact_runs_on_old_runtimes(logistic):
    model = onnx.load_from_string(logistic.artifact)
    assert model.ir_version == 8
    assert {(one.domain, one.version) for one in model.opset_import} == {("", 17)}


@pytest.mark.parametrize(
    ("probabilities", "decision"),
    [
        ((0.2, 0.5, 0.3), "opacity"),
        ((0.1, 0.3, 0.6), "opacity"),
        ((0.5, 0.29, 0.21), "normal"),
        ((0.3, 0.2, 0.5), "covid"),
    ],
)
def test_threshold_alone_speaks_for_the_positive_class(probabilities, decision):
    metadata = metadata_with(classes=("normal", "opacity", "covid"), positive="opacity", threshold=0.3)
    assert decide(metadata, np.array([probabilities], dtype=np.float64)) == [decision]


def test_positive_below_its_threshold_is_not_chosen_though_most_probable():
    metadata = metadata_with(classes=("normal", "opacity", "covid"), positive="opacity", threshold=0.9)
    assert decide(metadata, np.array([[0.3, 0.5, 0.2]])) == ["normal"]


def test_batches_beyond_a_chunk_score_as_their_parts(logistic, table):
    head = Head.load(logistic.artifact)
    times = CHUNK_ROWS // len(table.y) + 2
    scored = head.probabilities(np.tile(table.avg, (times, 1)), np.tile(table.max, (times, 1)))
    assert scored == pytest.approx(np.tile(head.probabilities(table.avg, table.max), (times, 1)), abs=1e-6)


def test_one_head_serves_many_threads(logistic, table):
    head = Head.load(logistic.artifact)
    expected = head.probabilities(table.avg, table.max)
    with ThreadPoolExecutor(8) as pool:
        scored = list(pool.map(lambda _: head.probabilities(table.avg, table.max), range(64)))
    assert all(np.array_equal(one, expected) for one in scored)


def test_training_digest_ignores_order_and_sees_everything_else(make_table):
    base = make_table()
    order = np.random.default_rng(0).permutation(len(base.y))
    shuffled = make_table(
        **{name: getattr(base, name)[order] for name in ("avg", "max", "y", "groups")},
        image_ids=tuple(base.image_ids[i] for i in order),
    )
    flipped = base.y.copy()
    flipped[[0, -1]] = 1 - flipped[[0, -1]]
    others = [make_table(feature_set="a" * 64), make_table(y=flipped), make_table(image_ids=None)]
    assert base.digest == shuffled.digest
    assert len({base.digest, *(one.digest for one in others)}) == 4
