"""The rows that a head learns from. Light: the service builds one, a worker trains on it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from app.errors import InvalidInput, NotTrainable
from app.heads.arrays import Bools, Float32, Float64, Ints, feature_matrix
from app.heads.pooling import Pooling


@dataclass(frozen=True)
class AugmentedRows:
    """Augmented copies: `avg` and `max` float32 (m, dimensions), and `of` (m,), the row that each is a copy of.

    They are trained on with the rows that they copy, and never scored.
    """

    avg: Float32
    max: Float32
    of: Ints


@dataclass(frozen=True, kw_only=True)
class TrainingTable:
    """Labelled training rows of one feature set, never a test row.

    `avg` float32 (n, avg dimensions), `max` float32 (n, max dimensions), `y` (n,) indexes of `classes`. `groups` (n,)
    names each row's subject: rows of one group stay on one side of every split; None makes each row its own.
    `image_ids` (n,) go into the digest; `region_ids` (n,) name the rows. `weight` (n,), positive, multiplies a row's
    errors. `slices` names a value a row by which figures are split, such as the source. Raises `NotTrainable`, with
    the remedy, for rows that cannot train.
    """

    task: str
    classes: tuple[str, ...]
    positive: str
    feature_set: str  # digest
    feature_set_name: str
    avg: Float32
    max: Float32
    y: Ints
    groups: np.ndarray | None = None
    image_ids: tuple[str, ...] | None = None
    region_ids: Ints | None = None
    weight: Float64 | None = None
    augmented: AugmentedRows | None = None
    slices: Mapping[str, np.ndarray] = field(default_factory=dict)
    dataset: str | None = None  # digest of the frozen dataset that the rows are of

    def __post_init__(self) -> None:
        if self.positive not in self.classes:
            raise NotTrainable(f"Positive class '{self.positive}' is not one of {', '.join(self.classes)}")
        for name in ("avg", "max"):
            object.__setattr__(self, name, _checked(name, getattr(self, name)))
        object.__setattr__(self, "y", np.asarray(self.y))
        self._check_lengths()
        self._check_classes()
        self._check_augmented()

    def _check_lengths(self) -> None:
        lengths = {name: len(getattr(self, name)) for name in ("avg", "max", "y")}
        for name in ("groups", "image_ids", "region_ids", "weight"):
            if getattr(self, name) is not None:
                lengths[name] = len(getattr(self, name))
        if len(set(lengths.values())) != 1 or not lengths["y"]:
            raise NotTrainable(f"The columns have {lengths} rows; give one or more, as many in each")

    def _check_classes(self) -> None:
        if self.y.ndim != 1 or self.y.dtype.kind not in "iu":
            raise NotTrainable(f"'y' has shape {self.y.shape} and type {self.y.dtype}; give class indexes (n,)")
        if self.y.min() < 0 or self.y.max() >= len(self.classes):
            raise NotTrainable(f"A label is none of the task's classes {', '.join(self.classes)}; correct it")
        missing = [name for name, count in self.class_counts.items() if not count]
        if missing:
            raise NotTrainable(f"No row has the class {' or '.join(missing)}; label some before training")

    def _check_augmented(self) -> None:
        if self.weight is not None and not (np.isfinite(self.weight).all() and (self.weight > 0).all()):
            raise NotTrainable("A row's weight is not a positive number; correct it")
        copies = self.augmented
        if copies is None:
            return
        widths = (copies.avg.shape[1:], copies.max.shape[1:]) == (self.avg.shape[1:], self.max.shape[1:])
        if not widths or not len(copies.avg) == len(copies.max) == len(copies.of):
            raise NotTrainable("Augmented rows have other dimensions than the rows they copy; extract them again")
        if len(copies.of) and not 0 <= copies.of.min() <= copies.of.max() < len(self.y):
            raise NotTrainable("An augmented row copies no row of this table; load them together")

    @property
    def class_counts(self) -> dict[str, int]:
        counts = np.bincount(self.y, minlength=len(self.classes))
        return {name: int(count) for name, count in zip(self.classes, counts, strict=True)}

    @property
    def positive_index(self) -> int:
        return self.classes.index(self.positive)

    @property
    def is_positive(self) -> Bools:
        return np.asarray(self.y == self.positive_index)

    @cached_property
    def group_codes(self) -> Ints:
        """Each row's subject as a whole number from 0."""
        if self.groups is None:
            return np.arange(len(self.y))
        return np.unique(np.asarray(self.groups), return_inverse=True)[1].astype(np.int64)

    def features(self, pooling: Pooling) -> Float32:
        return pooling.combine(self.avg, self.max)

    @cached_property
    def digest(self) -> str:
        """The frozen dataset's digest; of rows without one, SHA-256 of what they say and the feature set."""
        if self.dataset is not None:
            return self.dataset
        ids = self.image_ids or [
            hashlib.sha256(a.tobytes() + m.tobytes()).hexdigest() for a, m in zip(self.avg, self.max, strict=True)
        ]
        pairs = sorted(zip(map(str, ids), (self.classes[label] for label in self.y), strict=True))
        return hashlib.sha256(json.dumps([self.feature_set, pairs]).encode()).hexdigest()


def _checked(name: str, values: Float32) -> Float32:
    try:
        return feature_matrix(name, values, np.shape(values)[-1] if np.ndim(values) else 0)
    except InvalidInput as error:
        raise NotTrainable(error.message) from error
