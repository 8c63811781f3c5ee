"""The steps of a profile, carried out on one frame in the order of `PROFILE_STEPS`: what makes pixels comparable.

Findings are made on a reduced plane (about 256 pixels a side); values are changed only where a region is cut out, on
the plane that the network's input is made from. Whatever is not sure stays as it is, and is reported so.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.imaging.bands import Sides, borders, bridged, dark_bands, sharpened, stuck_lines, within
from app.imaging.colour import painted, without_colour
from app.imaging.containers import Span, find_containers
from app.imaging.frames import Frame
from app.imaging.preprocessing import PROFILE_STEPS
from app.imaging.tone import Tone, polarity, stretched

Grey = NDArray[np.float32]
REDUCED_SIDE = 256


@dataclass
class Work:
    """A frame between two steps. `plane` is what its borders leave; `top` and `left` are its place in the frame."""

    profile: str
    frame: Frame
    plane: Grey
    marks: NDArray[np.bool_] | None = None
    top: int = 0
    left: int = 0
    tone: Tone = field(default_factory=Tone)
    spans: list[Span] = field(default_factory=list)
    reduced: Grey | None = None

    @property
    def factor(self) -> int:
        height, width = map(int, self.plane.shape)
        return max(1, min(height, width) // REDUCED_SIDE)

    def small(self) -> Grey:
        """The plane as means of boxes of `factor` pixels a side, its values as decoded."""
        if self.reduced is None:
            factor = self.factor
            self.reduced = self.plane if factor == 1 else np.asarray(Image.fromarray(self.plane).reduce(factor))
        return self.reduced

    def becomes(self, plane: Grey) -> None:
        self.plane, self.reduced = plane, None


@dataclass(frozen=True)
class Comparable:
    """A frame's regions: spans of `frame.grey`'s pixels, the repaired plane they are cut from, and its tone.

    `plane` starts at (`top`, `left`) of the frame; steps are the findings, plain JSON, in order.
    """

    plane: Grey
    top: int
    left: int
    spans: tuple[Span, ...]
    tone: Tone
    steps: list[dict[str, Any]]


def comparable(frame: Frame, profile: str) -> Comparable:
    """Carry out the steps of `profile` on a frame. At least one span; where none is found, all that borders leave."""
    work = Work(profile, frame, frame.grey)
    steps = list[dict[str, Any]]()
    for named in PROFILE_STEPS[profile]:
        name, version = named.split("/")
        steps.append({"step": name, "version": int(version), **CARRIED_OUT[name](work)})
    height, width = work.plane.shape
    spans = tuple(work.spans) or (Span(0, height, 0, width),)
    return Comparable(work.plane, work.top, work.left, spans, work.tone, steps)


def _colour(work: Work) -> dict[str, Any]:
    scalar = without_colour(work.plane, work.frame.colour)
    work.becomes(scalar.grey)
    work.marks = scalar.marks
    return scalar.finding


def _overlay(work: Work) -> dict[str, Any]:
    if work.marks is None or not work.marks.any():
        return {"found": "none"}
    share = float(work.marks.mean())
    rows, columns = (np.flatnonzero(work.marks.any(axis)) for axis in (1, 0))
    box = [int(columns[0]), int(rows[0]), int(columns[-1] - columns[0]) + 1, int(rows[-1] - rows[0]) + 1]
    work.becomes(painted(work.plane, work.marks, around=AROUND_MARKS))
    work.marks = None
    return {"found": "marks", "share": round(share, 4), "box": box, "did": "painted over"}


AROUND_MARKS = 3
"""Pixels about a mark that are painted too: a JPEG's colour strays so far."""


def _border(work: Work) -> dict[str, Any]:
    sides, values = borders(work.small(), work.profile)
    if not any(sides):
        return {"found": "none"}
    return {"found": "border", "values": values, **_cut(work, sharpened(work.plane, sides, work.factor))}


def _cut(work: Work, sides: Sides) -> dict[str, Any]:
    top, bottom, left, right = sides
    work.becomes(within(work.plane, sides))
    work.top, work.left = work.top + top, work.left + left
    return {"top": top, "bottom": bottom, "left": left, "right": right, "did": "cut off"}


def _lines(work: Work) -> dict[str, Any]:
    lines = stuck_lines(work.plane)
    if not lines.any:
        return {"found": "none"}
    work.becomes(bridged(work.plane, lines))
    rows = [[start + work.top, stop + work.top] for start, stop in lines.rows]
    columns = [[start + work.left, stop + work.left] for start, stop in lines.columns]
    return {"found": "stuck lines", "rows": rows, "columns": columns, "did": "bridged"}


def _range(work: Work) -> dict[str, Any]:
    work.tone, finding = stretched(work.small(), work.frame.bits)
    return finding


def _polarity(work: Work) -> dict[str, Any]:
    inverted, finding = polarity(work.tone.applied(work.small()), work.profile)
    work.tone = replace(work.tone, inverted=inverted)
    return finding


def _bands(work: Work) -> dict[str, Any]:
    sides = dark_bands(work.tone.applied(work.small()))
    if not any(sides):
        return {"found": "none"}
    finding = _cut(work, sharpened(work.plane, sides, work.factor))
    # What is black without a beam says nothing about the range.
    tone, _ = stretched(work.small(), work.frame.bits)
    work.tone = replace(tone, inverted=work.tone.inverted)
    return {"found": "bands without a beam", **finding}


def _container(work: Work) -> dict[str, Any]:
    factor, (height, width) = work.factor, work.plane.shape
    found, finding = find_containers(work.tone.applied(work.small()))
    work.spans = [
        Span(span.top * factor, min(span.bottom * factor, height), span.left * factor, min(span.right * factor, width))
        for span in found
    ]
    return finding if found else {**finding, "did": "took the whole frame"}


CARRIED_OUT = {
    "colour": _colour,
    "overlay": _overlay,
    "border": _border,
    "lines": _lines,
    "range": _range,
    "polarity": _polarity,
    "bands": _bands,
    "container": _container,
}
