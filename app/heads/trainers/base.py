"""What an algorithm offers to the search."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from app.heads.algorithms import Params
from app.heads.arrays import Float32, Float64, Ints
from app.heads.convert import Step


@dataclass(frozen=True)
class Rows:
    """Scaled training rows: `x` float32 (n, d), `y` (n,), `weight` float64 (n,), `groups` (n,)."""

    x: Float32
    y: Ints
    weight: Float64
    groups: Ints
    classes: int


class Fit(Step, Protocol):
    """A fitted model as its own library computes it, and as nodes."""

    def scores(self, x: Float32) -> Float64:
        """Return (n, classes): column k rises with class k."""
        ...


@dataclass(frozen=True)
class Run:
    """What every fit of one training shares."""

    seed: int
    checkpoint: Callable[[], None]  # raises Cancelled once the job was cancelled


class Trainer(Protocol):
    """One algorithm, for the length of one training: it may keep what the folds have in common (threads share it)."""

    @property
    def log_odds(self) -> bool:
        """Whether scores are log-odds already; if not, they are calibrated out of fold."""
        ...

    def search(self, rows: Rows, held: Float32, candidates: list[Params], run: Run) -> Iterator[Float64]:
        """Yield each candidate's scores (held rows, classes), in order; work that they share is done once."""
        ...

    def fit(self, rows: Rows, params: Params, run: Run) -> Fit: ...
