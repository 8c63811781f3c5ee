"""The curve of recall over the mass of a hidden load, as PNG."""

from pathlib import Path
from typing import Any

from benchmarks.backbone.hard import THRESHOLDS

TITLES = {
    "each": "threshold among empties\nof the same held-out scanner",
    "own": "threshold among empties\nof all held-out scanners",
    "transferred": "threshold among empties\nof scanners drawn at random",
}


def plot(measured: dict[str, Any], pooling: str, file: Path) -> None:
    """One panel for each way to place the threshold, one line with its 95 % intervals for each backbone."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4.4), layout="constrained")
    for axes, threshold in zip(figure.subplots(1, len(THRESHOLDS), sharey=True), THRESHOLDS, strict=True):
        for name, by_pooling in measured["backbones"].items():
            curve = by_pooling[pooling][threshold]["curve"]
            masses, points = [float(kg) for kg in curve], list(curve.values())
            shares = [point["share"] for point in points]
            reach = [
                [point["share"] - point["low"] for point in points],
                [point["high"] - point["share"] for point in points],
            ]
            axes.errorbar(masses, shares, yerr=reach, marker="o", markersize=4, linewidth=1.5, capsize=2, label=name)
        axes.set_xscale("log")
        axes.set_xticks(masses, [f"{kg:g}" for kg in masses])
        axes.minorticks_off()
        axes.set_ylim(-0.02, 1.02)
        axes.grid(alpha=0.3)
        axes.set_xlabel("hidden load, kg")
        axes.set_title(TITLES[threshold], fontsize=10)
    figure.axes[0].set_ylabel("found at 1 % false alarms")
    figure.axes[0].legend(loc="upper left", frameon=False)
    figure.savefig(file, dpi=130)
