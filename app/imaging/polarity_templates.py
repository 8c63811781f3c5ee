"""What a scan of each profile looks like the right way round, as weights over cells of its plane.

Fitted by logistic regression without an intercept (C = 0.1), scans against the same inverted, each at three gammas
(0.6, 1, 2), halves averaged: container on 1,500 simulated scans (loaded ones three times as heavy), no real one among
them; chest on 2,608 of the Kermany training films. docs/preprocessing.md has what they get wrong.
"""

EDGES = (0, 0.03, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.97, 1)
"""Borders of the cells, as shares of the height and of the width."""

# Ten rows from the top; five columns from the side to the middle.
TEMPLATES = {
    "container": (
        (1.13, 1.38, 1.51, 1.49, 1.47),
        (0.54, 1.18, 1.47, 1.42, 1.41),
        (0.42, 1.01, 1.21, 1.09, 1.02),
        (0.07, 0.45, 0.56, 0.42, 0.37),
        (-0.13, 0.25, 0.26, 0.08, 0.01),
        (-0.12, 0.15, 0.04, -0.13, -0.17),
        (-0.21, -0.2, -0.35, -0.54, -0.58),
        (-0.2, -0.3, -0.4, -0.52, -0.56),
        (-0.14, -0.43, -0.65, -0.65, -0.57),
        (0.16, -0.07, -0.36, -0.34, -0.18),
    ),
    "chest": (
        (-0.27, -0.34, -0.38, -0.15, 0.57),
        (-0.23, -0.28, -0.23, -0, 0.53),
        (-0.21, -0.26, -0.05, 0.24, 0.52),
        (-0.36, -0.38, 0.04, 0.18, 0.52),
        (-0.63, -0.56, 0.02, 0.06, 0.74),
        (-0.8, -0.64, -0.07, 0.1, 0.91),
        (-0.89, -0.66, -0.14, 0.26, 0.95),
        (-0.89, -0.62, 0.07, 0.69, 1.12),
        (-0.86, -0.55, 0.3, 0.92, 1.22),
        (-0.84, -0.51, 0.38, 0.98, 1.23),
    ),
}
