"""The search: nothing measured twice, nothing leaked, budgets kept, winners chosen."""

import time
from collections.abc import Sequence

import numpy as np
import pytest

from app.errors import Cancelled, InvalidInput, NotTrainable
from app.heads.algorithms import Algorithm, Space
from app.heads.pooling import Pooling
from app.heads.recipe import Combination, HeadRecipe, Method, Search
from app.heads.table import AugmentedRows
from app.heads.trainers import evaluation
from app.heads.trainers.base import Run
from app.heads.trainers.evaluation import FoldResult
from app.heads.trainers.fold_rows import held_rows, row_weights, training_rows
from app.heads.trainers.logistic import LogisticTrainer
from app.heads.trainers.search import search

RUN = Run(0, lambda: None)
GRID = HeadRecipe.single(params={"C": [1e-3, 1e-1]}, folds=3)


class Log:
    """A trial log in memory."""

    def __init__(self, known: Sequence[FoldResult] = ()) -> None:
        self.results = list(known)
        self.recorded = 0

    def known(self):
        return list(self.results)

    def record(self, result):
        self.results.append(result)
        self.recorded += 1


def searched(table, recipe, log=None, run=RUN):
    return search(table, recipe, run, lambda *_: None, log)


def test_every_candidate_is_measured_on_every_fold_once(table):
    log = Log()
    found = searched(table, GRID, log)
    assert sorted((one.candidate.params["C"], one.fold) for one in log.results) == [
        (c, fold) for c in (1e-3, 1e-1) for fold in range(3)
    ]
    assert [one.candidate.params["C"] for one in found.tried] == [1e-3, 1e-1]
    assert found.stopped_by == "all candidates"


def test_a_killed_search_goes_on_where_it_was_and_ends_the_same(table):
    whole = Log()
    first = searched(table, GRID, whole)
    log = Log(whole.results[:4])
    second = searched(table, GRID, log)
    assert log.recorded == 2
    assert second.winners[0].candidate == first.winners[0].candidate
    # Alone a candidate starts elsewhere than behind its neighbours, and ends as near to the optimum.
    for one, other in zip(second.tried, first.tried, strict=True):
        assert one.fold_auc == pytest.approx(other.fold_auc, abs=5e-3)


def test_a_search_that_was_done_but_not_stored_only_fits_its_winner_again(table, monkeypatch):
    log = Log()
    first = searched(table, GRID, log)
    fitted = []

    class Spy(LogisticTrainer):
        def search(self, rows, held, candidates, run):
            fitted.extend(candidates)
            return super().search(rows, held, candidates, run)

    monkeypatch.setattr(evaluation, "trainer_for", lambda _: Spy())
    second = searched(table, GRID, Log(log.results))
    assert fitted == [first.winners[0].candidate.params] * 3
    assert second.winners[0].scores == pytest.approx(first.winners[0].scores, abs=0.1)


def test_every_row_is_scored_by_models_that_never_saw_its_subject(table, monkeypatch):
    seen = []

    class Spy(LogisticTrainer):
        def search(self, rows, held, candidates, run):
            seen.append((set(rows.groups.tolist()), len(held)))
            return super().search(rows, held, candidates, run)

    monkeypatch.setattr(evaluation, "trainer_for", lambda _: Spy())
    found = searched(table, GRID)
    assert sum(count for _, count in seen) == len(table.y)
    for number, fold in enumerate(found.folds):
        assert (found.fold_of[fold.validation] == number).all()
        held = set(table.group_codes[fold.validation].tolist())
        assert any(held.isdisjoint(groups) for groups, _ in seen)
        assert held.isdisjoint(table.group_codes[fold.train].tolist())


def test_many_spaces_are_searched_and_the_best_wins(table):
    spaces = (
        Space(Algorithm.LOGISTIC_REGRESSION, (Pooling.AVG, Pooling.BOTH), {"C": [1e-2]}),
        Space(Algorithm.K_NEAREST, (Pooling.MAX,), {"k": [1]}),
    )
    found = searched(table, HeadRecipe(spaces=spaces, folds=3))
    assert len(found.tried) == 3
    assert found.winners[0].tried.auc >= max(one.auc for one in found.tried) - 0.02
    assert found.winners[0].candidate.algorithm is Algorithm.LOGISTIC_REGRESSION


def test_an_ensemble_takes_the_winner_of_each_space(table):
    spaces = (Space(pooling=(Pooling.AVG,), params={"C": [1e-3, 1e-1]}), Space(pooling=(Pooling.MAX,)))
    found = searched(table, HeadRecipe(spaces=spaces, folds=3, ensemble=Combination.AVERAGE))
    assert [one.candidate.pooling for one in found.winners] == [Pooling.AVG, Pooling.MAX]


def test_an_ensemble_of_one_is_refused(table):
    spaces = (Space(params={"C": [0.1]}), Space(params={"C": [0.1]}))
    with pytest.raises(NotTrainable, match="single member"):
        searched(table, HeadRecipe(spaces=spaces, folds=3, ensemble=Combination.AVERAGE))


def test_seconds_end_a_search_and_what_was_tried_counts(table):
    recipe = HeadRecipe(search=Search(Method.RANDOM, seconds=0.5), folds=2)
    started = time.monotonic()
    found = searched(table, recipe)
    assert found.stopped_by == "seconds"
    assert len(found.tried) >= 1
    assert time.monotonic() - started < 10
    assert all(len(one.fold_auc) == 2 for one in found.tried)


def test_random_and_tpe_stop_at_their_trials(table):
    for method in (Method.RANDOM, Method.TPE):
        found = searched(table, HeadRecipe(search=Search(method, trials=5), folds=2))
        assert len(found.tried) <= 5
        assert found.stopped_by == "trials"


def test_a_cancelled_search_stops_every_fold(table):
    asked = []

    def checkpoint():
        asked.append(1)
        if len(asked) > 2:
            raise Cancelled("stop")

    log = Log()
    with pytest.raises(Cancelled):
        searched(table, GRID, log, Run(0, checkpoint))
    assert log.recorded < 6


def test_fits_that_run_away_are_refused(table, monkeypatch):
    class Diverging(LogisticTrainer):
        def search(self, rows, held, candidates, run):
            for _ in candidates:
                yield np.full((len(held), 2), np.inf)

    monkeypatch.setattr(evaluation, "trainer_for", lambda _: Diverging())
    with pytest.raises(NotTrainable, match="diverged"):
        searched(table, GRID)


def test_what_many_threads_measure_is_what_one_measures(table, monkeypatch):
    many = searched(table, GRID)
    monkeypatch.setattr(evaluation, "MOST_THREADS", 1)
    assert [one.fold_auc for one in searched(table, GRID).tried] == [one.fold_auc for one in many.tried]


@pytest.fixture
def copied(make_table):
    """A table with two copies of each row: the first is the row plus 1, the second the row plus 2."""
    plain = make_table()
    of = np.repeat(np.arange(len(plain.y)), 2)[::-1].copy()
    shift = np.tile([2.0, 1.0], len(plain.y)).astype(np.float32)[:, None]
    copies = AugmentedRows(plain.avg[of] + shift, plain.max[of] + shift, of)
    return make_table(augmented=copies)


def test_copies_join_the_rows_they_copy_and_no_others(copied):
    recipe = HeadRecipe(augmentation="soft")
    index = np.array([5, 3, 100])
    scaling, rows = training_rows(copied, recipe, Pooling.AVG, index, seed=0)
    assert len(rows.x) == 9
    expected = np.concatenate([copied.avg[index], copied.avg[index] + 1, copied.avg[index] + 2])
    found = {tuple(row) for row in rows.x.round(4).tolist()}
    assert found == {tuple(row) for row in scaling(expected.astype(np.float32)).round(4).tolist()}
    assert rows.weight == pytest.approx(1 / 3)
    assert set(rows.groups.tolist()) == set(copied.group_codes[index].tolist())


def test_copies_are_left_out_unless_asked_for(copied):
    _, rows = training_rows(copied, HeadRecipe(), Pooling.AVG, np.array([5, 3]), seed=0)
    assert len(rows.x) == 2


def test_held_rows_are_originals_alone(copied):
    scaling, _ = training_rows(copied, HeadRecipe(augmentation="soft"), Pooling.BOTH, np.arange(20), seed=0)
    assert len(held_rows(copied, Pooling.BOTH, np.arange(20, 30), scaling)) == 10


def test_balanced_sampling_repeats_the_rarer_class(table):
    index = np.concatenate([np.flatnonzero(table.y == 0)[:30], np.flatnonzero(table.y == 1)[:10]])
    _, rows = training_rows(table, HeadRecipe(sampling="balanced"), Pooling.AVG, index, seed=0)
    assert np.bincount(rows.y).tolist() == [30, 30]


def test_a_rows_own_weight_multiplies_its_classes(make_table):
    base = make_table()
    weight = np.linspace(1, 2, len(base.y))
    table = make_table(weight=weight)
    _, rows = training_rows(
        table, HeadRecipe(class_weight={"loaded": 3.0}), Pooling.AVG, np.arange(len(weight)), seed=0
    )
    assert rows.weight == pytest.approx(weight * np.where(table.y == 1, 3.0, 1.0))


def test_a_slice_of_the_rows_may_weigh_less(make_table):
    source = np.array(["port", "simulator"] * 120)
    table = make_table(slices={"source": source})
    recipe = HeadRecipe(sample_weight={"source": {"simulator": 0.2}})
    assert row_weights(table, recipe) == pytest.approx(np.where(source == "simulator", 0.2, 1.0))


@pytest.mark.parametrize("weights", [{"colour": {"red": 2.0}}, {"source": {"harbour": 2.0}}])
def test_a_weight_of_a_slice_that_no_row_is_in_is_refused(make_table, weights):
    table = make_table(slices={"source": np.array(["port", "simulator"] * 120)})
    with pytest.raises(InvalidInput, match=r"colour|harbour"):
        row_weights(table, HeadRecipe(sample_weight=weights))
