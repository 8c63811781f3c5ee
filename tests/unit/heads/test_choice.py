"""Which candidate of a grid is chosen."""

from app.heads.trainers.search import Candidate, choose


def candidate(c: float, *aucs: float, **others: float) -> Candidate:
    return Candidate({"C": c, **others}, aucs)


def test_the_more_regularised_wins_within_one_standard_error() -> None:
    # The best has mean 0.96 and standard error 0.01: 0.955 lies within it, 0.93 does not.
    grid = [candidate(0.001, 0.93, 0.93), candidate(0.01, 0.955, 0.955), candidate(1.0, 0.95, 0.97)]
    assert choose(grid) == 1


def test_a_clear_winner_wins_however_little_it_is_regularised() -> None:
    assert choose([candidate(0.01, 0.90, 0.91), candidate(1.0, 0.99, 0.991)]) == 1


def test_the_smoother_kernel_wins_among_equals() -> None:
    assert choose([candidate(1.0, 0.9, 0.9, gamma=1.0), candidate(1.0, 0.9, 0.9, gamma=0.3)]) == 1


def test_candidates_without_a_penalty_are_chosen_by_the_figure_alone() -> None:
    assert choose([Candidate({"units": 8}, (0.9, 0.92)), Candidate({"units": 64}, (0.905, 0.925))]) == 1
