"""Two heads on the same rows: McNemar's exact test against SciPy's binomial one, rows matched by region."""

import json

import numpy as np
import pytest
from scipy.stats import binomtest

from app.errors import InvalidInput
from app.heads.comparison import Judged, compare, mcnemar
from app.heads.evidence import Evidence
from app.heads.metrics import roc_auc


def judged(regions, y, p, name="head", classes=("empty", "loaded"), **changes):
    p = np.asarray(p, dtype=np.float32)
    columns = [1 - p, p] if classes[1] == "loaded" else [p, 1 - p]
    evidence = Evidence(
        classes=classes,
        image_ids=tuple(f"image-{one}" for one in regions),
        region_ids=np.asarray(regions),
        y=np.asarray(y),
        fold_of=np.zeros(len(y), dtype=np.int64),
        probabilities=np.column_stack(columns),
    )
    return Judged(**({"name": name, "evidence": evidence, "positive": "loaded", "threshold": 0.5} | changes))


@pytest.mark.parametrize(("first", "second"), [(0, 0), (1, 0), (9, 2), (58, 24), (30, 30), (0, 400), (3000, 3200)])
def test_mcnemar_equals_the_exact_binomial_test(first, second):
    expected = binomtest(first, first + second, 0.5).pvalue if first + second else 1.0
    assert mcnemar(first, second) == pytest.approx(expected)
    assert mcnemar(first, second) == mcnemar(second, first)


def test_rows_are_matched_by_region_whatever_their_order():
    first = judged([1, 2, 3, 4], [1, 1, 0, 0], [0.9, 0.2, 0.1, 0.2])
    second = judged([4, 3, 2, 9], [0, 0, 1, 1], [0.8, 0.1, 0.7, 0.5])
    found = compare(first, second, rows="out-of-fold")
    assert (found["rows"], found["only_in"]) == (3, [1, 1])
    contradictions = [found[k] for k in ("both_right", "only_first_right", "only_second_right", "both_wrong")]
    assert contradictions == [1, 1, 1, 0]
    assert found["recall"] == [0.0, 1.0]
    assert found["false_alarm_rate"] == [0.0, 0.5]
    json.dumps(found, allow_nan=False)


def test_each_head_decides_at_its_own_threshold():
    first = judged([1, 2], [1, 0], [0.4, 0.1], threshold=0.3)
    second = judged([1, 2], [1, 0], [0.4, 0.1])
    assert compare(first, second, rows="test")["recall"] == [1.0, 0.0]


def test_classes_in_another_order_are_put_into_ours():
    first = judged([1, 2, 3, 4], [1, 1, 0, 0], [0.9, 0.8, 0.1, 0.2])
    second = judged([1, 2, 3, 4], [0, 0, 1, 1], [0.9, 0.8, 0.1, 0.2], classes=("loaded", "empty"))
    found = compare(first, second, rows="test")
    assert (found["relabelled"], found["both_right"], found["auc"]) == (0, 4, [1.0, 1.0])


def test_rows_left_to_review_are_out_of_the_test():
    first = judged([1, 2, 3], [1, 0, 0], [0.45, 0.1, 0.9], review_from=0.4)
    second = judged([1, 2, 3], [1, 0, 0], [0.9, 0.1, 0.1])
    found = compare(first, second, rows="test")
    assert (found["decided_by_both"], found["only_second_right"]) == (2, 1)
    assert found["review_share"] == [pytest.approx(1 / 3), 0.0]


def test_a_class_that_changed_since_is_the_first_heads():
    found = compare(judged([1, 2], [1, 0], [0.9, 0.1]), judged([1, 2], [0, 0], [0.9, 0.1]), rows="test")
    assert (found["relabelled"], found["both_right"]) == (1, 2)


def test_the_interval_of_the_difference_tells_a_better_head_and_no_other():
    rng = np.random.default_rng(0)
    y = np.arange(600) % 2
    good, poor = (1 / (1 + np.exp(-rng.normal(d * (2 * y - 1)))) for d in (1.5, 0.5))
    better = compare(judged(range(600), y, good), judged(range(600), y, poor), rows="test")["auc_difference"]
    assert better["value"] == pytest.approx(roc_auc(y == 1, np.float32(good)) - roc_auc(y == 1, np.float32(poor)))
    assert 0 < better["low"] < better["value"] < better["high"]
    same = compare(judged(range(600), y, good), judged(range(600), y, good), rows="test")["auc_difference"]
    assert (same["low"], same["value"], same["high"]) == (0, 0, 0)


def test_heads_of_other_classes_or_without_a_common_row_are_refused():
    with pytest.raises(InvalidInput, match="no row in common"):
        compare(judged([1, 2], [1, 0], [0.9, 0.1]), judged([3, 4], [1, 0], [0.9, 0.1]), rows="test")
    with pytest.raises(InvalidInput, match="cannot be compared"):
        compare(
            judged([1, 2], [1, 0], [0.9, 0.1]),
            judged([1, 2], [1, 0], [0.9, 0.1], classes=("normal", "loaded")),
            rows="test",
        )
