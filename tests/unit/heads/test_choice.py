"""Which of the tried candidates is chosen."""

from app.heads.algorithms import Algorithm, Candidate
from app.heads.pooling import Pooling
from app.heads.trainers.choice import Tried, choose


def tried(
    *aucs: float,
    algorithm: Algorithm = Algorithm.LOGISTIC_REGRESSION,
    pooling: Pooling = Pooling.BOTH,
    **params: float | str,
) -> Tried:
    return Tried(Candidate(algorithm, pooling, params), aucs, 1.0)


def test_the_more_regularised_wins_within_one_standard_error() -> None:
    # The best has mean 0.96 and standard error 0.01: 0.955 lies within it, 0.93 does not.
    grid = [tried(0.93, 0.93, C=0.001), tried(0.955, 0.955, C=0.01), tried(0.95, 0.97, C=1.0)]
    assert choose(grid) == 1


def test_a_clear_winner_wins_however_little_it_is_regularised() -> None:
    assert choose([tried(0.90, 0.91, C=0.01), tried(0.99, 0.991, C=1.0)]) == 1


def test_the_smoother_kernel_wins_among_equals() -> None:
    assert choose([tried(0.9, 0.9, C=1.0, gamma=1.0), tried(0.9, 0.9, C=1.0, gamma=0.3)]) == 1


def test_candidates_without_a_penalty_are_chosen_by_the_figure_alone() -> None:
    mlp = Algorithm.MLP
    assert choose([tried(0.9, 0.92, algorithm=mlp, units=8), tried(0.905, 0.925, algorithm=mlp, units=64)]) == 1


def test_a_penalty_says_nothing_about_other_algorithms_poolings_and_kinds() -> None:
    best = tried(0.95, 0.97, C=1.0, penalty="l2")
    others = [
        tried(0.955, 0.955, C=0.01, penalty="l1"),
        tried(0.955, 0.955, C=0.01, penalty="l2", pooling=Pooling.AVG),
        tried(0.955, 0.955, C=0.01, penalty="l2", algorithm=Algorithm.LINEAR_SVM),
    ]
    assert choose([best, *others]) == 0
