"""Group-aware, stratified splits: never a subject on two sides."""

from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from app.errors import NotTrainable
from app.heads.arrays import Ints


@dataclass(frozen=True)
class Fold:
    """Row numbers to train on and to score."""

    train: Ints
    validation: Ints


def make_folds(y: Ints, groups: Ints, *, folds: int, seed: int, names: tuple[str, ...]) -> list[Fold]:
    """Return up to `folds` folds that together score every row once, fewer where subjects are few.

    Every class is on both sides of every fold. Raises `NotTrainable`, naming the class and the remedy, where not
    even two such folds exist.
    """
    subjects = [len(np.unique(groups[y == label])) for label in range(len(names))]
    scarcest = int(np.argmin(subjects))
    for count in range(min(folds, subjects[scarcest]), 1, -1):
        splitter = StratifiedGroupKFold(n_splits=count, shuffle=True, random_state=seed)
        made = [Fold(train, held) for train, held in splitter.split(np.zeros(len(y)), y, groups)]
        if all(_every_class(y[part], len(names)) for fold in made for part in (fold.train, fold.validation)):
            return made
    raise NotTrainable(
        f"Class '{names[scarcest]}' has rows of {subjects[scarcest]} subjects, too few to hold some out; "
        "label scans of more subjects (two of each class at the very least)"
    )


def _every_class(y: Ints, classes: int) -> bool:
    return len(np.unique(y)) == classes
