"""Whether a picture ends before its subject does."""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Grey = NDArray[np.float32]

DARK = 0.6
LOW = 0.65  # the floor lies below this share of the height
POST = 0.06  # share of the width in which a container's end stands
STEEL = 0.75  # brightness below which half of a column of an end post lies
CELLS = 4
# Weights of (left less right) / 2 of the 4 x 2 cells of a film's left half, in standard deviations of the film: what
# tells a left half (positive), a right half (negative) and a whole film (about 0) apart. Fisher's discriminant on 350
# films each of two sources and their halves (2026-11).
TEMPLATE = ((-2.76, 0.69), (0.47, 4.24), (-3.34, -0.8), (-2.76, 1.6))


def share_of_floor(plane: Grey) -> float:
    """The greatest dark share of a row in the lowest third: a container's floor is dark from one end to the other."""
    return float((plane[int(LOW * len(plane)) :] < DARK).mean(axis=1).max())


def ends_missing(plane: Grey, touching: Collection[str]) -> int:
    """How many ends of a container lie outside of the frame: it goes on to the border, and no post stands there."""
    width = plane.shape[1]
    beside = max(2, round(POST * width))
    sides = {"left": plane[:, :beside], "right": plane[:, -beside:]}
    upper = slice(0, int(LOW * len(plane)))
    return sum(
        1 for side, columns in sides.items() if side in touching and (columns[upper] < STEEL).mean(axis=0).max() < 0.5
    )


def lopsidedness(plane: Grey) -> float:
    """How much a film looks like one half of a chest: 0 for a whole one, about 8 for a half."""
    even = np.asarray(Image.fromarray(plane).resize((96, 96), Image.Resampling.BOX))
    spread = float(even.std())
    if spread == 0:
        return 0.0
    cells = ((even - even.mean()) / spread).reshape(CELLS, 96 // CELLS, CELLS, 96 // CELLS).mean(axis=(1, 3))
    sides = (cells - cells[:, ::-1])[:, : CELLS // 2] / 2
    return abs(float((sides * np.array(TEMPLATE)).sum()))
