"""The head by which backbones are compared, the figures of two of them, and what may change a scan."""

from pathlib import Path

import numpy as np
import pytest

from app.errors import NotTrainable
from benchmarks.backbone import change, figures, hard, judging, kept, nuisances, pairs


def rows(count: int, shift: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of two classes, `shift` apart in three of 40 channels, four rows a subject."""
    rng = np.random.default_rng(seed)
    groups = np.arange(count) // 4
    y = (groups % 2).astype(np.int64)
    x = rng.standard_normal((count, 40)).astype(np.float32)
    x[:, :3] += np.float32(shift) * y[:, None]
    return x, y, groups


def test_a_head_finds_what_separates_and_its_penalty_is_on_the_grid() -> None:
    x, y, groups = rows(200, 3.0)
    found = judging.tuned(x, y, groups)
    assert found.head.c in judging.GRID
    assert ((found.head.margins(x) > 0) == (y == 1)).mean() > 0.97
    assert ((found.out_of_fold > 0) == (y == 1)).mean() > 0.95


def test_a_head_is_tuned_once_for_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y, groups = rows(80, 2.0)
    first, crossed = kept.tuned(x, y, groups, tmp_path), kept.cross_validated(x, y, groups, tmp_path)
    other = kept.tuned(x + 1, y, groups, tmp_path)
    for name in ("tuned", "cross_validated"):
        monkeypatch.setattr(judging, name, None)
    again = kept.tuned(x, y, groups, tmp_path)
    assert np.array_equal(again.head.margins(x), first.head.margins(x))
    assert np.array_equal(again.out_of_fold, first.out_of_fold)
    assert again.head.c == first.head.c
    assert not np.array_equal(other.head.scaling.mean, first.head.scaling.mean)
    once_more = kept.cross_validated(x, y, groups, tmp_path)
    assert np.array_equal(once_more.margins, crossed.margins)
    assert once_more.chosen == crossed.chosen


def test_cross_validation_learns_nothing_from_noise_that_subjects_share() -> None:
    """Each subject's rows are alike, and labels are random: a row of the same subject would give it away."""
    rng = np.random.default_rng(3)
    subjects = rng.standard_normal((80, 40)).astype(np.float32)
    groups = np.repeat(np.arange(80), 4)
    y = rng.permutation(np.arange(80) % 2)[groups].astype(np.int64)
    found = judging.cross_validated(subjects[groups], y, groups)
    assert len(found.chosen) == 5
    assert ((found.margins > 0) == (y == 1)).mean() < 0.7


def test_a_difference_of_one_backbone_from_itself_is_nought_without_doubt() -> None:
    x, y, groups = rows(80, 1.0)
    margins = x[:, 0].astype(np.float64)
    found = figures.auc_difference(y == 1, margins, margins, groups)
    assert (found["difference"], found["low"], found["high"]) == (0, 0, 0)


def test_a_difference_is_of_the_first_from_the_second() -> None:
    x, y, groups = rows(200, 2.0)
    found = figures.auc_difference(y == 1, x[:, 0].astype(np.float64), x[:, 10].astype(np.float64), groups)
    assert 0 < found["low"] < found["difference"] < found["high"]


def test_every_backbone_is_held_against_the_first_two() -> None:
    assert pairs.pairs(["a", "b", "c"]) == [("b", "a"), ("c", "a"), ("c", "b")]
    assert pairs.pairs(["a"]) == []


def test_a_scanner_may_have_a_limit_of_its_own() -> None:
    scanners = np.repeat(["far", "near"], 100)
    empties, trained = np.r_[np.arange(100.0), np.arange(100.0) / 10], np.full(50, 3.0)
    found = {way: hard.limits(way, empties, trained, scanners) for way in hard.THRESHOLDS}
    assert found["each"] == {"far": 98, "near": 9.8}
    assert found["own"] == {"far": 97, "near": 97}
    assert found["transferred"] == {"far": 3, "near": 3}
    assert hard.bounds(found["each"], np.array(["near", "far", "new"])).tolist() == [9.8, 98, 98]


def test_at_most_one_empty_of_a_hundred_lies_above_the_limit() -> None:
    empties = np.random.default_rng(0).standard_normal(600)
    assert (empties > hard.limit(empties)).sum() == 6
    assert (np.ones(50) > hard.limit(np.ones(50))).sum() == 0


def test_half_found_is_the_mass_from_which_on_half_are_found() -> None:
    masses = (1.0, 10.0, 100.0)
    assert hard.half_found(masses, (0.0, 0.0, 1.0)) == pytest.approx(10**1.5)
    assert hard.half_found(masses, (0.6, 0.2, 0.8)) == pytest.approx(10**1.5)
    assert hard.half_found(masses, (0.0, 0.1, 0.4)) is None
    assert hard.half_found(masses, (0.5, 0.6, 0.9)) == 1.0


def test_a_nuisance_that_moves_twice_as_far_as_a_load_has_ratio_two() -> None:
    angles = {"base": 0.0, "load": 0.1, "gain": 0.1 * np.sqrt(2), "scene": 1.0, "another scanner": 1.1,
              "held-out scene": 1.0, "a held-out scanner": 1.1}  # fmt: skip
    x = np.array([[np.cos(angle), np.sin(angle)] for angle in angles.values()], np.float32)
    found = change.ratios(change.distances(x, np.array(list(angles)), np.zeros(len(x), int)))
    assert found["ratio"]["gain"] == pytest.approx(2, rel=0.01)
    assert found["ratio"]["another scanner"] == pytest.approx(1, rel=0.01)
    assert found["ratio"]["all"] == pytest.approx(1, rel=0.01)


def test_nuisances_do_what_they_are_named() -> None:
    plane = np.full((200, 300), 0.5, np.float32)
    plane[90:110, 140:160] = 0.1
    assert nuisances.gained(plane, 1.0)[0, 0] == pytest.approx(0.4)
    assert nuisances.gained(plane, -1.0)[0, 0] == pytest.approx(0.625)
    assert nuisances.inverted(plane, 1.0)[100, 150] == pytest.approx(0.9)
    assert nuisances.bent(plane, 1.0)[0, 0] < 0.5 < nuisances.bent(plane, -1.0)[0, 0]
    turned = nuisances.turned(plane, 1.0)
    assert turned.shape == plane.shape
    assert turned[100, 150] == pytest.approx(0.1)  # about the centre
    down, across = np.argwhere(nuisances.shifted(plane, 1.0) < 0.2).mean(axis=0)
    assert (down, across) == pytest.approx((99.5 - 6, 149.5 - 9), abs=0.6)


def test_a_class_of_one_patient_cannot_be_cross_validated() -> None:
    x, y, groups = rows(8, 1.0)
    with pytest.raises(NotTrainable):
        judging.cross_validated(x, y, groups)
