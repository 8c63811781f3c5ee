"""Confident learning finds what was planted, and says what it cannot judge."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import InvalidInput
from app.heads.evidence import Evidence
from app.heads.label_errors import as_trained, rank

CLASSES = ("empty", "loaded")


def evidence(y: np.ndarray, p: np.ndarray, classes: tuple[str, ...] = CLASSES) -> Evidence:
    n = len(y)
    return Evidence(
        classes=classes,
        image_ids=tuple(f"image-{i}" for i in range(n)),
        region_ids=np.arange(n),
        y=np.asarray(y, np.int64),
        fold_of=np.zeros(n, np.int64),
        probabilities=np.asarray(p, np.float32),
    )


def planted(seed: int, *, rows: int = 1000, share: float = 0.03, classes: int = 2) -> tuple[Evidence, np.ndarray]:
    """Answers of a head that is right in 97 of 100 rows, on labels of which a share was moved to another class."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(classes, size=rows)
    scores = rng.normal(0, 1.0, (rows, classes))
    scores[np.arange(rows), truth] += 6.0
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    flipped = np.zeros(rows, bool)
    flipped[rng.choice(rows, round(share * rows), replace=False)] = True
    y = np.where(flipped, (truth + rng.integers(1, classes, size=rows)) % classes, truth)
    return evidence(y, p, CLASSES if classes == 2 else tuple(f"class-{i}" for i in range(classes))), flipped


@pytest.mark.parametrize("classes", [2, 4])
def test_planted_flips_are_first_in_the_ranking(classes: int) -> None:
    made, flipped = planted(1, classes=classes)
    assert flipped[rank(made).order[: flipped.sum()]].mean() >= 0.9


def test_the_suggestion_for_a_planted_flip_is_the_true_class() -> None:
    made, flipped = planted(2)
    found = rank(made)
    assert (found.suggested[flipped] == 1 - made.y[flipped]).mean() >= 0.95


def test_the_estimated_noise_is_about_what_was_planted() -> None:
    made, flipped = planted(3, rows=5000, share=0.05)
    found = rank(made)
    assert found.estimated_errors == pytest.approx(flipped.sum(), rel=0.15)
    assert found.noise[1, 0] == pytest.approx(0.05, abs=0.015)
    np.testing.assert_allclose(found.noise.sum(axis=0), 1)
    np.testing.assert_allclose(found.joint.sum(axis=1), np.bincount(made.y))


def test_the_figures_of_the_paper_hold_on_rows_worked_by_hand() -> None:
    p_loaded = np.array([0.1, 0.2, 0.9, 0.8, 0.7, 0.05])
    found = rank(evidence(np.array([0, 0, 0, 1, 1, 1]), np.c_[1 - p_loaded, p_loaded]))
    np.testing.assert_allclose(found.thresholds, [(0.9 + 0.8 + 0.1) / 3, (0.8 + 0.7 + 0.05) / 3], atol=1e-6)
    assert found.likely.tolist() == [False, False, True, False, False, True]
    np.testing.assert_allclose(found.joint, [[2, 1], [1, 2]])
    np.testing.assert_allclose(found.self_confidence, [0.9, 0.8, 0.1, 0.8, 0.7, 0.05], atol=1e-6)
    np.testing.assert_allclose(found.margin, [0.8, 0.6, -0.8, 0.6, 0.4, -0.9], atol=1e-6)
    assert found.order[:2].tolist() == [2, 5]
    assert found.suggested.tolist() == [0, 0, 1, 1, 1, 0]


def test_clean_labels_of_a_sure_head_leave_nothing_likely() -> None:
    y = np.arange(100) % 2
    found = rank(evidence(y, np.where(np.eye(2)[y] > 0, 0.99, 0.01)))
    assert not found.likely.any()
    assert found.estimated_errors == 0
    assert (found.suggested == y).all()


def test_equal_rows_keep_their_order() -> None:
    found = rank(evidence(np.array([0, 1] * 5), np.full((10, 2), 0.5)))
    assert found.order.tolist() == list(range(10))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000))
def test_the_order_of_the_rows_does_not_move_the_ranking(seed: int) -> None:
    made, _ = planted(seed, rows=120)
    shuffle = np.random.default_rng(seed).permutation(120)
    moved = replace(made, y=made.y[shuffle], probabilities=made.probabilities[shuffle])
    before, after = rank(made), rank(moved)
    np.testing.assert_allclose(before.self_confidence[before.order], after.self_confidence[after.order])
    np.testing.assert_allclose(before.joint, after.joint)


def test_a_stated_prevalence_is_taken_out_again() -> None:
    made, _ = planted(4)
    own = np.bincount(made.y) / len(made)
    weighted = made.probabilities * (np.array([0.98, 0.02]) / own)
    stated = replace(made, probabilities=(weighted / weighted.sum(axis=1, keepdims=True)).astype(np.float32))
    back = as_trained(stated, "loaded", 0.02)
    np.testing.assert_allclose(back.probabilities, made.probabilities, atol=1e-4)
    assert rank(back).order[:20].tolist() == rank(made).order[:20].tolist()


def test_a_class_without_rows_is_named() -> None:
    with pytest.raises(InvalidInput, match="no row of class loaded"):
        rank(evidence(np.zeros(4), np.full((4, 2), 0.5)))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -0.1, 1.5])
def test_values_that_are_no_probabilities_are_refused(bad: float) -> None:
    p = np.full((4, 2), 0.5)
    p[2, 1] = bad
    with pytest.raises(InvalidInput, match="no probabilities"):
        rank(evidence(np.array([0, 1, 0, 1]), p))


def test_probabilities_of_another_shape_are_refused() -> None:
    with pytest.raises(InvalidInput, match="do not fit"):
        rank(evidence(np.array([0, 1, 0, 1]), np.full((4, 3), 1 / 3)))
