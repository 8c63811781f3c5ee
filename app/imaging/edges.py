"""How sharp a picture is, by its sharpest edges."""

import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.float32]

FINE, COARSE = 1.0, 2.0  # standard deviations of the blurs, in pixels
RADIUS = 6
STRONG = 99  # percentile of the gradients from which on an edge speaks
SHARPEST = 20  # percentile of the widths of those
MOST_POINTS = 400


def edge_width(plane: Grey) -> float:
    """The width of the sharpest of the strong edges (standard deviation of the blur), in per cent of the longer side.

    A blurred step's gradient falls the less by another blur the more it was blurred before: from the ratio at two
    scales follows its width (Zhuo and Sim, "Defocus map estimation from a single image", Pattern Recognition 2011).
    Only the strongest gradients speak, and of them the sharpest fifth: an empty container has few edges, but sharp
    ones, while the variance of a Laplacian would take it for blurred.
    """
    if min(plane.shape) <= 2 * RADIUS + 2:
        return 0.0
    windows = np.lib.stride_tricks.sliding_window_view(plane, (2 * RADIUS + 1, 2 * RADIUS + 1))
    points = windows[_strong_edges(plane)].reshape(-1, (2 * RADIUS + 1) ** 2)
    slopes = (points @ _KERNELS).reshape(-1, 2, 2)
    near, far = np.sqrt((slopes**2).sum(axis=2)).T
    ratio = np.clip(near / np.maximum(far, 1e-9), 1.0005, COARSE / FINE - 1e-6)
    widths = np.sqrt((COARSE**2 - (ratio * FINE) ** 2) / (ratio**2 - 1))
    return float(np.percentile(widths, SHARPEST)) / max(map(int, plane.shape)) * 100


def _strong_edges(plane: Grey) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the strongest gradients are, as places in the windows about them."""
    inner = plane[RADIUS - 1 : 1 - RADIUS, RADIUS - 1 : 1 - RADIUS]
    rows = inner[:, :-2] + 2 * inner[:, 1:-1] + inner[:, 2:]
    columns = inner[:-2] + 2 * inner[1:-1] + inner[2:]
    strength = (rows[2:] - rows[:-2]) ** 2 + (columns[:, 2:] - columns[:, :-2]) ** 2
    places = np.nonzero(strength >= np.percentile(strength[::2, ::2], STRONG))
    step = -(-len(places[0]) // MOST_POINTS)
    return places[0][::step], places[1][::step]


def _kernels() -> Grey:
    """Derivatives of a Gaussian of either width, down and across: float32 (pixels of a window, 4)."""
    at = np.arange(-RADIUS, RADIUS + 1)
    made = []
    for scale in (FINE, COARSE):
        bell = np.exp(-(at**2) / (2 * scale**2))
        bell /= bell.sum()
        slope = -at / scale**2 * bell
        made += [np.outer(slope, bell).ravel(), np.outer(bell, slope).ravel()]
    return np.stack(made, axis=1).astype(np.float32)


_KERNELS = _kernels()
