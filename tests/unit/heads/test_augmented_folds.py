"""Augmented copies are learned from beside their own row, and never beside the judgement of it."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from app.errors import NotTrainable
from app.heads.arrays import Float32, Float64
from app.heads.convert import Graph
from app.heads.pooling import Pooling
from app.heads.recipe import HeadRecipe
from app.heads.table import AugmentedRows
from app.heads.trainers import evaluation, learning_curve, train
from app.heads.trainers.base import Fit, Rows, Run
from app.heads.trainers.fold_rows import training_rows
from app.heads.trainers.logistic import LogisticTrainer
from app.heads.trainers.scaling import Scaling
from app.heads.trainers.search import search

COPIES = 3
RECIPE = HeadRecipe.single(pooling=Pooling.AVG, params={"C": [1e-2, 1e-1]}, augmentation="soft", folds=4)
# The first channel tells the row's number, the second whether it is a copy; the others are to learn from.
ROW, IS_COPY = 0, 1


@dataclass
class Seen:
    """What a trainer was given: (rows to learn from, rows held out) of each call."""

    calls: list[tuple[Rows, Float32]] = field(default_factory=list)
    fits: list[Rows] = field(default_factory=list)


@dataclass
class Watched:
    """A fit that tells what it is asked to judge."""

    fitted: Fit
    rows: Rows
    seen: Seen

    def scores(self, x: Float32) -> Float64:
        self.seen.calls.append((self.rows, x))
        return self.fitted.scores(x)

    def emit(self, graph: Graph, x: str) -> str:
        return self.fitted.emit(graph, x)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """A spy in the place of the trainer; features arrive unscaled, so that it can tell rows apart."""
    seen = Seen()

    class Spy(LogisticTrainer):
        def search(self, rows, held, candidates, run):
            seen.calls.append((rows, held))
            return super().search(rows, held, candidates, run)

        def fit(self, rows, params, run):
            fitted = super().fit(rows, params, run)
            seen.fits.append(rows)
            return Watched(fitted, rows, seen)

    def unscaled(x: Float32) -> Scaling:
        return Scaling(np.zeros(x.shape[1], np.float32), np.ones(x.shape[1], np.float32))

    for module in (evaluation, learning_curve):
        monkeypatch.setattr(module, "trainer_for", lambda _: Spy())
    monkeypatch.setattr(Scaling, "fit", unscaled)
    return seen


@pytest.fixture
def marked(make_table):
    """Rows that say who they are, each with three copies that say the same."""
    plain = make_table(subjects=60, films=3)
    avg = plain.avg / 10
    avg[:, ROW], avg[:, IS_COPY] = np.arange(len(avg)) / 1000, 0
    of = np.random.default_rng(0).permutation(np.repeat(np.arange(len(avg)), COPIES))
    copies = avg[of] + np.random.default_rng(1).normal(0, 0.01, (len(of), avg.shape[1])).astype(np.float32)
    copies[:, ROW], copies[:, IS_COPY] = of / 1000, 1
    augmented = AugmentedRows(copies, plain.max[of], of)
    return make_table(subjects=60, films=3, avg=avg, augmented=augmented)


def numbers(x: Float32) -> np.ndarray:
    return np.round(x[:, ROW] * 1000).astype(int)


def check_apart(rows: Rows, held: Float32, groups: np.ndarray) -> None:
    """No copy is held out, and nothing of a held-out row's subject is learned from."""
    assert not held[:, IS_COPY].any()
    learned, judged = set(groups[numbers(rows.x)]), set(groups[numbers(held)])
    assert not learned & judged
    assert np.array_equal(rows.groups, groups[numbers(rows.x)])


def test_a_search_sees_no_copy_of_a_held_out_row_and_holds_out_no_copy(marked, seen: Seen) -> None:
    search(marked, RECIPE, Run(0, lambda: None), lambda *_: None)
    assert len(seen.calls) == RECIPE.folds
    for rows, held in seen.calls:
        check_apart(rows, held, marked.group_codes)
    judged = np.concatenate([numbers(held) for _, held in seen.calls])
    assert sorted(judged) == list(range(len(marked.y)))


def test_every_training_row_brings_all_of_its_copies_with_its_class_and_its_weight(marked, seen: Seen) -> None:
    search(marked, RECIPE, Run(0, lambda: None), lambda *_: None)
    for rows, held in seen.calls:
        copy = rows.x[:, IS_COPY] == 1
        originals = numbers(rows.x[~copy])
        assert len(originals) + len(held) == len(marked.y)
        assert sorted(numbers(rows.x[copy])) == sorted(np.repeat(originals, COPIES))
        assert np.array_equal(rows.y, marked.y[numbers(rows.x)])
        assert np.bincount(numbers(rows.x), rows.weight)[originals] == pytest.approx(1.0)


def test_whatever_a_whole_training_fits_before_the_last_it_fits_apart(marked, seen: Seen) -> None:
    """The search, the calibration, the learning curve."""
    trained = train(marked, RECIPE)
    assert [len(rows.x) for rows in seen.fits] == [(1 + COPIES) * len(marked.y)]
    apart = [(rows, held) for rows, held in seen.calls if not any(rows is one for one in seen.fits)]
    assert len(apart) > RECIPE.folds
    for rows, held in apart:
        check_apart(rows, held, marked.group_codes)
    assert len(trained.evidence.y) == len(trained.out_of_fold) == len(marked.y)


def test_balanced_sampling_repeats_rows_with_their_copies_and_none_that_is_held_out(marked, seen: Seen) -> None:
    recipe = HeadRecipe.single(
        pooling=Pooling.AVG, params={"C": 0.1}, augmentation="soft", sampling="balanced", folds=3
    )  # fmt: skip
    search(marked, recipe, Run(0, lambda: None), lambda *_: None)
    for rows, held in seen.calls:
        check_apart(rows, held, marked.group_codes)
        counts = np.bincount(rows.y)
        assert counts[0] == counts[1]


def test_copies_are_left_alone_when_the_recipe_does_not_ask_for_them(marked, seen: Seen) -> None:
    plain = HeadRecipe.single(pooling=Pooling.AVG, params={"C": 0.1}, folds=3)
    search(marked, plain, Run(0, lambda: None), lambda *_: None)
    assert not any(rows.x[:, IS_COPY].any() for rows, _ in seen.calls)


def test_the_scaling_is_fitted_on_originals_alone(marked) -> None:
    index = np.arange(0, len(marked.y), 2)
    alone, _ = training_rows(marked, HeadRecipe.single(), Pooling.AVG, index, seed=0)
    with_copies, rows = training_rows(marked, RECIPE, Pooling.AVG, index, seed=0)
    assert len(rows.x) == (1 + COPIES) * len(index)
    assert np.array_equal(alone.mean, with_copies.mean)
    assert np.array_equal(alone.factor, with_copies.factor)


def test_a_copy_of_a_row_that_the_table_does_not_have_is_refused(make_table) -> None:
    """Such as one of a test row, which no training table holds."""
    plain = make_table()
    stray = AugmentedRows(plain.avg[:2], plain.max[:2], np.array([0, len(plain.y)]))
    with pytest.raises(NotTrainable, match="copies no row of this table"):
        make_table(augmented=stray)


def test_a_leak_would_be_seen(marked, seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    """The spy itself can fail: copies that ignore the folds are noticed."""
    everywhere = training_rows(marked, RECIPE, Pooling.AVG, np.arange(len(marked.y)), seed=0)
    monkeypatch.setattr(evaluation, "training_rows", lambda *_, **__: everywhere)
    search(marked, RECIPE, Run(0, lambda: None), lambda *_: None)
    with pytest.raises(AssertionError):
        check_apart(*seen.calls[0], marked.group_codes)
