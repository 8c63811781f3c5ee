"""Rows held out of a fit to stop it early: by subject, as every split is."""

from app.errors import NotTrainable
from app.heads.arrays import Ints
from app.heads.trainers.base import Rows
from app.heads.trainers.folds import make_folds

STOPPING_FOLDS = 6  # one part in this many is held out


def stopping_split(rows: Rows, seed: int) -> tuple[Rows, Rows]:
    """Return rows to fit on and rows to stop by. Raises `NotTrainable` where subjects are too few."""
    names = tuple(str(label) for label in range(rows.classes))
    try:
        fold = make_folds(rows.y, rows.groups, folds=STOPPING_FOLDS, seed=seed, names=names)[0]
    except NotTrainable as error:
        raise NotTrainable(
            "Too few subjects to hold some out for early stopping; label more, or train a logistic regression"
        ) from error
    return _part(rows, fold.train), _part(rows, fold.validation)


def _part(rows: Rows, index: Ints) -> Rows:
    return Rows(rows.x[index], rows.y[index], rows.weight[index], rows.groups[index], rows.classes)
