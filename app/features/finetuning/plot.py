"""A learning curve as a picture. matplotlib is loaded when one is drawn."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PANELS = (("loss", "loss"), ("auc", "AUC"), ("balanced_accuracy", "balanced accuracy"))


def plot(curve: Sequence[Mapping[str, Any]], title: str, file: Path) -> None:
    """Draw loss, AUC and balanced accuracy by epoch, of training and validation rows; the best epoch is marked.

    `file` ends in .png, .svg or .pdf.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(11, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    best = min(curve, key=lambda point: point["validation"]["loss"])["epoch"]
    for axes, (key, label) in zip(figure.subplots(1, len(PANELS)), PANELS, strict=True):
        for side, style in (("train", "--"), ("validation", "-")):
            points = [(point["epoch"], point[side][key]) for point in curve if side in point]
            axes.plot(*zip(*points, strict=True), style, marker="o", markersize=3, label=side)
        axes.axvline(best, color="0.6", linewidth=1, label="best")
        axes.set(xlabel="epoch", title=label)
        axes.grid(alpha=0.3)
    figure.axes[0].legend()
    figure.suptitle(title)
    figure.savefig(file, dpi=110)
