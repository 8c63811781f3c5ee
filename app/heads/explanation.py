"""Where a head's answer comes from: the evidence of each position of the last feature map, in log-odds.

A head reads the average and the maximum of each channel of a map (h, w, channels). Both can be walked back: every
position holds its share of an average, and a maximum belongs to the position that won it (to all of them, in equal
parts, where several are equally high). So evidence on pooled features becomes evidence on positions, and no second
pass through the network is needed.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from app.errors import InvalidInput
from app.heads.arrays import Bools, FeatureRows, Float32, Float64, Floats
from app.heads.pooling import Pooling

Score = Callable[[FeatureRows], Float64]
"""Log-odds of the positive class, float64 (n,), of pooled features."""

# How closely the evidence of all positions and the bias must add up to what the head itself says, to be called exact.
EXACT = 1e-4
# A position's share is made larger and smaller by this much of itself, and by half of it, to measure a slope.
STEP = 0.1
# Two measured slopes that differ by more than this share of the greatest slope belong to no smooth head.
ROUGH = 0.1
# Slopes below this are what float32 makes of nothing.
NOISE = 1e-4
# Positions on a side of what is left out together. Without a single one of 49 a forest says nearly the same: windows of
# 3 x 3 found what mattered in 77 of 100 comparisons, single positions in 64 (60 simulated scans, 2026-11).
WINDOW = 3
LEAST_PROBABILITY = 1e-37  # the smallest that float32 holds with all its digits


class Method(StrEnum):
    CAM = "class-activation-map"
    HIRESCAM = "hirescam"
    OCCLUSION = "occlusion"


@dataclass(frozen=True)
class Explanation:
    """`heat` float32 (h, w): how much each position speaks for (above 0) or against the positive class, in log-odds.

    `log_odds` is what is explained. With `bias` the heat adds up to it: exactly for a class-activation map, along the
    tangent for HiResCAM; occlusion does not add up and has none. `notes` say what a reader should know.
    """

    method: Method
    heat: Float32
    log_odds: float
    bias: float | None
    notes: tuple[str, ...] = ()

    @property
    def hottest(self) -> tuple[int, int]:
        """Row and column of the position that speaks loudest for the positive class."""
        row, column = np.unravel_index(int(self.heat.argmax()), self.heat.shape)
        return int(row), int(column)


@dataclass(frozen=True)
class Linear:
    """A head of two classes before its calibration: `clip(x * scale + shift, low, high) @ weights + offset`.

    `x` (d,) are the features that it reads, joined as its pooling joins them; all arrays are (d,). Clipped features
    say the same wherever they come from, so that their part belongs to no position.
    """

    scale: Float64
    shift: Float64
    low: float
    high: float
    weights: Float64
    offset: float

    def __call__(self, x: Floats) -> Float64:
        """Return the log-odds float64 (n,) of features (n, d)."""
        return np.asarray(np.clip(x * self.scale + self.shift, self.low, self.high) @ self.weights + self.offset)

    def at(self, x: Floats) -> tuple[Float64, float]:
        """Return the weights (d,) of the features as they come, and the rest, for one row `x` (d,)."""
        moved = x * self.scale + self.shift
        free = (moved > self.low) & (moved < self.high)
        held = np.where(free, self.shift, np.clip(moved, self.low, self.high))
        return self.weights * self.scale * free, float(held @ self.weights + self.offset)


@dataclass(frozen=True)
class Shares:
    """What each position holds of the pooled vectors: `avg` and `max` float64 (h * w, channels), by rows of the map.

    Each sums to the pooled vector over the positions.
    """

    avg: Float64
    max: Float64
    shape: tuple[int, int]

    @classmethod
    def of(cls, feature_map: Floats) -> "Shares":
        """Raise `InvalidInput` for anything that is no finite map (h, w, channels)."""
        if feature_map.ndim != 3 or not feature_map.size or not np.isfinite(feature_map).all():
            raise InvalidInput(f"A feature map is finite and (h, w, channels), not {feature_map.shape}")
        h, w, channels = feature_map.shape
        values = np.asarray(feature_map, np.float64).reshape(h * w, channels)
        won = values == values.max(axis=0)
        return cls(values / (h * w), values * won / won.sum(axis=0), (h, w))

    @property
    def pooled(self) -> FeatureRows:
        """Both pooled vectors, each (1, channels)."""
        return rows(self.avg.sum(axis=0)[None], self.max.sum(axis=0)[None])

    def heat(self, avg: Float64 | None, max_: Float64 | None) -> Float64:
        """Return the positions' sum of shares times weights (channels,); None where a head does not read a pooling."""
        total = np.zeros(len(self.avg))
        if avg is not None:
            total += self.avg @ avg
        if max_ is not None:
            total += self.max @ max_
        return total.reshape(self.shape)


def rows(avg: Floats, max_: Floats) -> FeatureRows:
    return FeatureRows(np.asarray(avg, np.float32), np.asarray(max_, np.float32))


def log_odds(probabilities: Floats, positive: int) -> Float64:
    """Return the log-odds float64 (n,) of column `positive` of probabilities (n, classes)."""
    p = np.asarray(probabilities, np.float64)
    others = np.delete(p, positive, axis=1).sum(axis=1)
    least = LEAST_PROBABILITY
    return np.asarray(np.log(np.maximum(p[:, positive], least)) - np.log(np.maximum(others, least)))


@dataclass(frozen=True)
class Reading:
    """A head that was read as a linear map of its features, and `score`, its own answer before its calibration."""

    linear: Linear
    pooling: Pooling
    score: Score


def explain(feature_map: Floats, score: Score, *, reading: Reading | None = None, stepped: bool = False) -> Explanation:
    """Return the evidence of each position of `feature_map` (h, w, channels), by the first method that holds.

    A class-activation map where the head was read as linear and the map adds up to its own answer within `EXACT`;
    otherwise HiResCAM, if the slopes of `score` are those of a smooth head and it is not known to be `stepped`;
    otherwise occlusion. Raises `InvalidInput` as `Shares.of` does.
    """
    shares, notes = Shares.of(feature_map), list[str]()
    if reading is not None:
        found = class_activation(shares, reading)
        if found is not None:
            return found
        notes.append("The head's graph reads as linear, but its map does not add up to what the head says.")
    if not stepped:
        found = hirescam(shares, score)
        if found is not None:
            return replace(found, notes=tuple(notes))
        notes.append("The head's answer has no slope to follow here: it jumps, or has reached its bound.")
    found = occlusion(shares, score)
    if np.abs(found.heat).max() < NOISE:
        notes.append("No region matters by itself: without any one of them the head says the same.")
    return replace(found, notes=tuple(notes))


def class_activation(shares: Shares, reading: Reading) -> Explanation | None:
    """Return the exact map of a linear head, None where it does not add up to the head's own answer.

    Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016, for an average; a maximum's
    evidence lies where it was won.
    """
    pooled, inputs = shares.pooled, reading.pooling.inputs
    x = reading.pooling.combine(pooled.avg, pooled.max)[0].astype(np.float64)
    if len(x) != len(reading.linear.weights):
        return None
    weights, bias = reading.linear.at(x)
    parts = dict(zip(inputs, np.split(weights, len(inputs)), strict=True))
    heat, said = shares.heat(parts.get("avg"), parts.get("max")), float(reading.score(pooled)[0])
    if abs(float(heat.sum()) + bias - said) > EXACT * max(1.0, abs(said)):
        return None
    return Explanation(Method.CAM, heat.astype(np.float32), said, bias)


def hirescam(shares: Shares, score: Score) -> Explanation | None:
    """Return gradient times map, summed over channels; None where the slopes of `score` are none.

    Draelos and Carin, Use HiResCAM instead of Grad-CAM for faithful explanations (2020), with the gradient carried
    through both poolings. What is summed is the slope along each position's share of the pooled vectors, so it is
    measured as that: four scorings a position instead of two a channel. Two steps tell a slope from a jump.
    """
    wide, narrow = (_slopes(shares, score, step) for step in (STEP, STEP / 2))
    steepest = float(np.abs(wide).max())
    if steepest < NOISE or float(np.abs(wide - narrow).max()) > ROUGH * steepest:
        return None
    slopes = (4 * narrow - wide) / 3  # Richardson: the error of a central difference falls with the step's square
    said = float(score(shares.pooled)[0])
    heat = slopes.reshape(shares.shape).astype(np.float32)
    return Explanation(Method.HIRESCAM, heat, said, said - float(slopes.sum()))


def _slopes(shares: Shares, score: Score, step: float) -> Float64:
    pooled = shares.pooled
    more, less = (score(rows(pooled.avg + s * shares.avg, pooled.max + s * shares.max)) for s in (step, -step))
    return (more - less) / (2 * step)


def occlusion(shares: Shares, score: Score) -> Explanation:
    """Return how much lower the log-odds are without the `WINDOW` around each position: the others alone are pooled.

    Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014, on the feature map.
    """
    covered = _windows(shares.shape)
    values = shares.avg * len(shares.avg)
    kept = ~covered
    avg = kept @ values / kept.sum(axis=1, keepdims=True)
    max_ = np.stack([values[one].max(axis=0) for one in kept])
    said = float(score(shares.pooled)[0])
    heat = said - score(rows(avg, max_))
    return Explanation(Method.OCCLUSION, heat.reshape(shares.shape).astype(np.float32), said, None)


def _windows(shape: tuple[int, int]) -> Bools:
    """The window around each position, as far as the map reaches: (positions, positions). Raises `InvalidInput`."""
    h, w = shape
    if h * w < 2:
        raise InvalidInput("A map of one position has none to leave out")
    reach = WINDOW // 2 if min(h, w) > WINDOW else 0
    rows_, columns = np.divmod(np.arange(h * w), w)
    near = np.maximum(np.abs(rows_[:, None] - rows_), np.abs(columns[:, None] - columns))
    return np.asarray(near <= reach)


def hottest_window(heat: Floats) -> tuple[int, int, int, int]:
    """Return first row, first column, rows and columns of the `WINDOW` of a map (h, w) with most evidence in sum.

    A position of the last map sees far more of the scan than its own cell, so that it is regions, not single cells,
    that can be looked at, or masked, by themselves.
    """
    high, wide = min(WINDOW, heat.shape[0]), min(WINDOW, heat.shape[1])
    sums = np.lib.stride_tricks.sliding_window_view(heat, (high, wide)).sum(axis=(2, 3))
    row, column = np.unravel_index(int(sums.argmax()), sums.shape)
    return int(row), int(column), high, wide
