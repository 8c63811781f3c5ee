"""Exact limits for shares, and the number of misses that a promise may contain. NumPy, and SciPy inside functions."""

from math import ceil, log

import numpy as np
import numpy.typing as npt

from app.heads.arrays import Float64


def lower_limit(hits: float, n: float, confidence: float) -> float:
    """Return the one-sided Clopper-Pearson limit that a share is above with `confidence`, having seen `hits` of `n`.

    Clopper and Pearson, Biometrika 26 (1934). Counts may be fractions: effective sample sizes are (`effective_n`).
    """
    from scipy.special import betaincinv  # noqa: PLC0415

    return float(betaincinv(hits, n - hits + 1, 1 - confidence)) if hits > 0 else 0.0


def upper_limit(hits: float, n: float, confidence: float) -> float:
    """Return the limit that a share is below with `confidence`, as `lower_limit` does for the other side."""
    return 1.0 - lower_limit(n - hits, n, confidence)


def clopper_pearson(hits: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Return the two-sided exact interval of a share; (0, 1) where nothing was seen."""
    if n <= 0:
        return 0.0, 1.0
    return lower_limit(hits, n, (1 + level) / 2), upper_limit(hits, n, (1 + level) / 2)


def effective_n(groups: npt.NDArray[np.generic] | None, rows: int) -> float:
    """Return how many independent rows `rows` of some subjects are worth, if a subject's rows were all alike.

    n / (1 + (m - 1) rho) with the greatest correlation, rho = 1, is (sum m)^2 / sum m^2 for subjects of m rows:
    Kish, Survey Sampling (1965), put into exact limits by Korn and Graubard, Survey Methodology 24 (1998). It needs
    no estimate and never exceeds the number of subjects.
    """
    if groups is None or rows == 0:
        return float(rows)
    sizes = np.unique(groups, return_counts=True)[1].astype(np.float64)
    return float(sizes.sum() ** 2 / (sizes**2).sum())


def most_misses(n: int, effective: float, target: float, confidence: float) -> int | None:
    """Return the most misses among `n` rows that still promise a share of `target`; None if not even none do.

    It depends on counts alone. So the (misses + 1)-th smallest score is chosen before any score is seen, and the share
    of fresh scores above it is at least `target` with `confidence` for every continuous distribution: Wilks, Ann.
    Math. Statist. 12 (1941), whose bound is Clopper and Pearson's lower limit for n - misses of n.
    """
    from scipy.special import betainc  # noqa: PLC0415

    misses: Float64 = np.arange(int(n * (1 - target)) + 1, dtype=np.float64)
    if not n:
        return None
    # The lower limit is >= target exactly where a Beta(hits, misses + 1) lies below it with 1 - confidence or less.
    kept = betainc(effective * (n - misses) / n, effective * misses / n + 1, target) <= 1 - confidence
    return int(np.flatnonzero(kept)[-1]) if kept.any() else None


def rows_needed(target: float, confidence: float) -> int:
    """Return how many independent rows without a miss promise `target`: 299 for 0.99 with 0.95."""
    return ceil(round(log(1 - confidence) / log(target), 9))
