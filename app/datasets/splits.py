"""Which rows are trained on, looked at, and tested on."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidInput

Codes = NDArray[np.int64]

# In this order everywhere: a row that may not stay where it is goes to the last split that claims it.
SPLITS = ("train", "validation", "test")
TRAIN, VALIDATION, TEST = range(3)


class Method(StrEnum):
    SUBJECT = "subject"  # subjects whole, classes as even as that allows
    STRATIFIED = "stratified"  # images by class, whoever was scanned
    TIME = "time"  # the oldest to train, the newest to test
    GIVEN = "given"  # as a list says
    NONE = "none"  # everything to train


@dataclass(frozen=True, kw_only=True)
class SplitSpec:
    """How rows are divided. Shares are of the rows, and are scaled to a sum of 1.

    `cut`: with `time`, what was taken from then on is tested on, and nothing is validated on. `given` names the split
    of images by id, SHA-256 or file name; `rest` is the split of those that it does not name, or `omit`.
    Raises InvalidInput.
    """

    method: Method = Method.SUBJECT
    train: float = 0.8
    validation: float = 0.0
    test: float = 0.2
    seed: int = 0
    cut: datetime | None = None
    given: Mapping[str, str] = field(default_factory=dict)
    rest: str | None = None

    def __post_init__(self) -> None:
        if any(not 0 <= share <= 1 for share in self._raw) or not self.train or not 0 < sum(self._raw) < 3.001:
            raise InvalidInput(
                f"Shares of train {self.train}, validation {self.validation}, test {self.test}: give numbers from 0 "
                "to 1, and some to train."
            )
        if not 0 <= self.seed < 2**32:
            raise InvalidInput(f"Seed {self.seed}: give a whole number from 0 to 2^32 - 1.")
        if self.cut is not None and (self.method is not Method.TIME or self.cut.tzinfo is None):
            raise InvalidInput("A cut is a time with its zone, and belongs to the split by time.")
        if bool(self.given) != (self.method is Method.GIVEN):
            raise InvalidInput("Say which image is in which split, and only with the split 'given'.")
        unknown = next((split for split in self.given.values() if split not in SPLITS), None)
        if unknown is not None:
            raise InvalidInput(f"'{unknown}' is no split; say {', '.join(SPLITS)}.")
        if self.rest not in (None, "omit", *SPLITS):
            raise InvalidInput(f"The rest cannot go to '{self.rest}'; say {', '.join(SPLITS)} or omit.")

    @property
    def _raw(self) -> tuple[float, float, float]:
        return self.train, self.validation, self.test

    @property
    def shares(self) -> tuple[float, ...]:
        return tuple(share / sum(self._raw) for share in self._raw)

    def to_json(self) -> dict[str, Any]:
        """What was said, and no more: a list of images by its length and SHA-256, the rows know their splits."""
        said: dict[str, Any] = {"method": self.method.value}
        if self.method in (Method.SUBJECT, Method.STRATIFIED, Method.TIME) and self.cut is None:
            said |= dict(zip(SPLITS, self._raw, strict=True))
        if self.method in (Method.SUBJECT, Method.STRATIFIED):
            said["seed"] = self.seed
        if self.cut is not None:
            said["cut"] = self.cut.isoformat()
        if self.given:
            listed = json.dumps(sorted(self.given.items())).encode()
            said |= {"listed": len(self.given), "sha256": hashlib.sha256(listed).hexdigest(), "rest": self.rest}
        return said


def by_units(y: Codes, units: Codes, shares: Sequence[float], seed: int) -> Codes:
    """Return the split (n,) of each row; rows of one unit (subject, image) stay together.

    `y` and `units` (n,) are class indexes and unit numbers. Largest units first, in an order that `seed` shuffles,
    each goes where it leaves rows by split and class nearest to their shares. Then a class that a split lacks gets
    the smallest unit that can be spared elsewhere.
    """
    _, units = np.unique(units, return_inverse=True)
    classes = int(y.max()) + 1
    table = np.zeros((int(units.max()) + 1, classes))
    np.add.at(table, (units, y), 1)
    total = table.sum(axis=0)
    target = np.outer(shares, total)
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(table))
    order = shuffled[np.argsort(-table[shuffled].sum(axis=1), kind="stable")]
    chosen, filled = _fill(table, order, target, np.maximum(total, 1), open_=np.asarray(shares) > 0)
    _complete(table, order, chosen, filled, open_=np.asarray(shares) > 0)
    return np.asarray(chosen[units])


def _fill(
    table: NDArray[np.float64],
    order: Codes,
    target: NDArray[np.float64],
    total: NDArray[np.float64],
    *,
    open_: NDArray[np.bool_],
) -> tuple[Codes, NDArray[np.float64]]:
    """Put each unit, in order, into the split whose squared distance from its target it makes least greater."""
    filled = np.zeros_like(target)
    chosen = np.zeros(len(table), np.int64)
    for unit in order:
        rows = table[unit]
        # (filled + rows - target)^2 - (filled - target)^2, each class by its own size.
        worse = (rows * (2 * (filled - target) + rows) / total**2).sum(axis=1)
        split = int(np.where(open_, worse, np.inf).argmin())
        chosen[unit] = split
        filled[split] += rows
    return chosen, filled


def _complete(
    table: NDArray[np.float64], order: Codes, chosen: Codes, filled: NDArray[np.float64], *, open_: NDArray[np.bool_]
) -> None:
    """Give each split a unit of each class that it lacks, where that takes no other's last one."""
    smallest_first = order[::-1]
    for split in np.flatnonzero(open_):
        for name in np.flatnonzero(filled[split] == 0):
            for unit in smallest_first[table[smallest_first, name] > 0]:
                giver, rows = chosen[unit], table[unit]
                if filled[split, name] == 0 and (filled[giver] - rows)[rows > 0].min() > 0:
                    filled[giver] -= rows
                    filled[split] += rows
                    chosen[unit] = split


def by_time(times: NDArray[np.float64], shares: Sequence[float]) -> Codes:
    """Return the split of each row by its time (seconds): the oldest train, the newest test.

    Rows of one moment stay together. Raises InvalidInput when no moment parts them.
    """
    moments, counts = np.unique(times, return_counts=True)
    ends = np.cumsum(counts)
    wanted = np.cumsum(shares)[:-1] * len(times)
    bounds = [int(np.abs(np.r_[0, ends] - rows).argmin()) for rows in wanted]
    of_moment = np.searchsorted(bounds, np.arange(len(moments)), side="right")
    used = [split for split in range(3) if shares[split] > 0]
    if len(set(of_moment.tolist()) & set(used)) < len(used):
        raise InvalidInput(
            f"The images were taken at {len(moments)} moment(s), which no cut divides into these shares; "
            "state a cut, or split by subject."
        )
    return np.asarray(of_moment[np.searchsorted(moments, times)], np.int64)


def merged(units: Codes, links: Sequence[tuple[int, int]] | NDArray[np.int64]) -> Codes:
    """Return unit numbers (n,) where units that a link (row, row) joins have become one."""
    root: dict[int, int] = {}

    def find(unit: int) -> int:
        while (above := root.get(unit, unit)) != unit:
            root[unit] = root.get(above, above)
            unit = above
        return unit

    for first, second in np.asarray(links, np.int64).reshape(-1, 2).tolist():
        low, high = sorted((find(int(units[first])), find(int(units[second]))))
        root[high] = low
    known = np.unique(units)
    ends = np.array([find(unit) for unit in known.tolist()], np.int64)
    return np.asarray(ends[np.searchsorted(known, units)])


def together(splits: Codes, units: Codes) -> Codes:
    """Return splits where each unit is whole: in test if any of its rows is, else in validation, else in train.

    So nothing that was to be held out is ever learned from; what moves is what would have been trained on.
    """
    _, index = np.unique(units, return_inverse=True)
    most = np.full(int(index.max()) + 1, TRAIN, np.int64)
    np.maximum.at(most, index, splits)
    return np.asarray(most[index])


def straddling(splits: Codes, units: Codes) -> Codes:
    """Return the unit numbers that have rows in two splits or more, ascending."""
    pairs = np.unique(np.stack([units, splits]), axis=1)[0]
    return np.asarray([first for first, second in pairwise(pairs.tolist()) if first == second], np.int64)
