"""Whether a region can be judged at all: simple measurements of its pixels, and the problems that they show."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.imaging.cut_off import ends_missing, lopsidedness, share_of_floor
from app.imaging.edges import edge_width
from app.imaging.hues import unexplained

Grey = NDArray[np.float32]

# The bounds, with the most extreme of 28 real container scans, 1,000 simulated ones, and 2,700 chest films of four
# sources (2026-11, see docs/quality-gate.md).
LEAST_RANGE = 0.12  # between percentiles 0.5 and 99.5; films 0.28, containers 0.85
DARK, BRIGHT = 0.15, 0.85
WIDEST_EDGE = 0.8  # of the sharpest edges, in per cent of the longer side; films 0.75, blurred by 2 % 0.84
LEAST_SIDE = 48  # pixels of a region that was cut out; whole files have their own bound
LEAST_FLOOR = 0.8  # containers 0.99, simulated ones 0.87
MOST_LOPSIDED = 6.5  # films 5.8, of 1,400 of a mixed source 6.3 at the 99.5th percentile; halves 8.7 at the median
PROPORTIONS = {"chest": (0.55, 1.9)}  # width by height
SAMPLES = 5_000
WORKING_SIDE = 320  # pixels of the longer side, on which all but the percentiles is measured


@dataclass(frozen=True)
class Quality:
    """`numbers` of a region, and `problems` ({"code", "message"}): any of them means that nobody can judge it."""

    numbers: dict[str, float] = field(default_factory=dict)
    problems: list[dict[str, str]] = field(default_factory=list)


def measure(
    plane: Grey,
    *,
    profile: str | None,
    colour: NDArray[np.uint8] | None,
    touching: Collection[str] = (),
    steps: Sequence[Mapping[str, Any]] = (),
) -> Quality:
    """Measure a region: `plane` float32 (h, w) in [0, 1], as normalised and before it is resized.

    `profile` is `container`, `chest` or None; `colour` uint8 (h, w, 3) is the same region where the file has colour.
    `touching` says at which sides (`left`, `right`, `top`, `bottom`) the region ends with its frame, `steps` what the
    profile's steps found.
    """
    height, width = map(int, plane.shape)
    step = max(1, round((plane.size / SAMPLES) ** 0.5))
    low, middle, high = (float(value) for value in np.percentile(plane[::step, ::step], (0.5, 50, 99.5)))
    numbers = {"low": low, "middle": middle, "high": high}
    if high - low >= LEAST_RANGE:
        small = _reduced(plane)
        if profile is not None:
            numbers["shorter_side"] = min(height, width)
        numbers["edge_width"] = edge_width(small)
        if profile == "container":
            numbers["floor"] = share_of_floor(small)
            numbers["ends_missing"] = float(ends_missing(small, touching))
        if profile == "chest":
            numbers["lopsided"] = lopsidedness(small)
            numbers["proportions"] = width / height
    if colour is not None:
        numbers["unexplained_colour"] = unexplained(colour)
    numbers = {name: round(value, 4) for name, value in numbers.items()}
    found = {step["step"]: step for step in steps}
    problems = _problems(numbers, found)
    return Quality(numbers, [{"code": code, "message": message} for code, message in problems])


def _reduced(plane: Grey) -> Grey:
    """The plane with at most `WORKING_SIDE` pixels on its longer side, each the mean of four of a box: a film of 1.2
    megapixels in 0.4 ms, where every pixel took 2.7."""
    height, width = map(int, plane.shape)
    factor = -(-max(height, width) // WORKING_SIDE)
    if factor == 1:
        return plane
    whole = plane[: height - height % factor, : width - width % factor]
    near, far = (whole[start::factor] for start in (0, factor // 2))
    rows = near + far
    return np.asarray((rows[:, ::factor] + rows[:, factor // 2 :: factor]) / 4, np.float32)


def _problems(of: dict[str, float], found: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    if of.get("shorter_side", LEAST_SIDE) < LEAST_SIDE:
        yield "too-small", f"too small to judge: {of['shorter_side']:.0f} pixels on its shorter side"
    if of["high"] - of["low"] < LEAST_RANGE:
        yield _without_signal(of, inverted=found.get("polarity", {}).get("did") == "inverted")
    elif found.get("container", {}).get("found", "container") not in ("container", "containers"):
        yield "no-container", "no container is to be seen in it: is it cut off, or another kind of scan?"
    if of.get("edge_width", 0) > WIDEST_EDGE:
        yield "blurred", f"too blurred: its sharpest edges are {of['edge_width']:.1f} % of it wide"
    yield from _cut_off(of)
    if of.get("unexplained_colour"):
        yield "not-an-x-ray", "its colours are those of no X-ray scanner: is it a photograph?"


def _without_signal(of: dict[str, float], *, inverted: bool) -> tuple[str, str]:
    low, high = (1 - of["high"], 1 - of["low"]) if inverted else (of["low"], of["high"])
    seen = f"grey values from {low:.2f} to {high:.2f} of 1"
    if high < DARK:
        return "too-dark", f"too dark: {seen}"
    if low > BRIGHT:
        return "too-bright", f"too bright: {seen}"
    return "no-contrast", f"hardly any contrast: {seen}"


def _cut_off(of: dict[str, float]) -> Iterator[tuple[str, str]]:
    if of.get("floor", 1) < LEAST_FLOOR:
        yield "cut-off", "cut off: the container's floor is not to be seen"
    if of.get("ends_missing") == 2:
        yield "cut-off", "cut off: neither end of the container is to be seen"
    if of.get("lopsided", 0) > MOST_LOPSIDED:
        yield "cut-off", "cut off: it shows one side of a chest"
    narrowest, widest = PROPORTIONS["chest"]
    if not narrowest <= of.get("proportions", 1) <= widest:
        yield "cut-off", f"cut off: {of['proportions']:.2f} times as wide as high, which no chest film is"
