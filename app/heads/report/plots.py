"""The plots of a report, each from its JSON parts to SVG. Loads matplotlib."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from app.heads.report.drawing import GRID, INK, MUTED, PAPER, SERIES, drawing

Part = Mapping[str, Any]
_STYLES = ("-", "--", "-.", ":")  # told apart in print and without colours


def roc(curve: Part, own: Mapping[str, Part]) -> str:
    """The ROC curve with the head's own thresholds on it, by what they are called."""
    with drawing("roc", f"ROC curve, area {curve['area']:.4f}", height=4.2) as made:
        axes = made.axes
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle=":")
        axes.text(0.62, 0.56, "chance", color=MUTED, fontsize=8)
        axes.plot(curve["false_positive_rate"], curve["recall"], color=SERIES[0])
        _own_points(axes, own, "false_alarm_rate", "recall")
        _shares(axes, "false-alarm rate", "recall", square=True)
    return made.svg


def precision_recall(curve: Part, own: Mapping[str, Part]) -> str:
    """Precision against recall, with the share of positive rows as the line that guessing reaches."""
    alt = f"Precision-recall curve, average precision {curve['average_precision']:.4f}"
    with drawing("precision-recall", alt, height=4.2) as made:
        axes = made.axes
        axes.axhline(curve["prevalence"], color=MUTED, linewidth=0.9, linestyle=":")
        axes.text(0.02, curve["prevalence"] + 0.015, "share of positive rows", color=MUTED, fontsize=8)
        axes.plot(curve["recall"], curve["precision"], color=SERIES[0])
        _own_points(axes, own, "recall", "precision")
        _shares(axes, "recall", "precision", square=True)
    return made.svg


def sweep(rows: Sequence[Part], threshold: float, review_from: float | None) -> str:
    """What each threshold would do."""
    cuts = [row["threshold"] for row in rows]
    names = {
        "recall": "recall",
        "false_alarm_rate": "false alarms",
        "precision": "precision",
        "balanced_accuracy": "balanced accuracy",
    }
    with drawing(
        "sweep", "Rates at every threshold; the values are in the table below", width=10.0, height=3.9
    ) as made:
        axes = made.axes
        for number, (key, label) in enumerate(names.items()):
            values = [np.nan if row[key] is None else row[key] for row in rows]
            axes.plot(cuts, values, color=SERIES[number], linestyle=_STYLES[number], label=label)
        if review_from is not None:
            axes.axvspan(review_from, threshold, color=GRID, alpha=0.8, zorder=0, label="review")
        axes.axvline(threshold, color=INK, linewidth=1.1)
        axes.text(threshold, 1.03, f" threshold {threshold:.4g}", fontsize=8, ha="center")
        _shares(axes, "threshold on the probability of the positive class", None)
        made.figure.legend(loc="outside upper center", ncols=5)
    return made.svg


def histogram(part: Part, threshold: float) -> str:
    """How many rows of each class got which probability, on a logarithmic scale: the rare ones matter."""
    edges = np.array(part["edges"])
    with drawing("histogram", "Rows by probability of the positive class, one line a class") as made:
        axes = made.axes
        for number, (name, counts) in enumerate(part["counts"].items()):
            style: Any = {"color": SERIES[number % 4], "linestyle": _STYLES[number % 4], "linewidth": 1.8}
            axes.stairs(counts, edges, label=_short(name), baseline=None, **style)
        axes.set_yscale("symlog", linthresh=1)
        axes.set_ylim(bottom=0)
        axes.axvline(threshold, color=INK, linewidth=1.1)
        axes.set_xlim(0, 1)
        axes.set_xlabel("probability of the positive class")
        axes.set_ylabel("rows")
        made.figure.legend(loc="outside upper center", ncols=4)
    return made.svg


def reliability(bins: Sequence[Part]) -> str:
    """Promised against observed, with the interval of what was observed."""
    with drawing("reliability", "Reliability diagram; the values are in the table below", height=4.2) as made:
        axes = made.axes
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle=":")
        for one in bins:
            axes.plot([one["said"]] * 2, [one["low"], one["high"]], color=SERIES[0], linewidth=1)
        said, seen = [one["said"] for one in bins], [one["seen"] for one in bins]
        axes.scatter(said, seen, s=32, color=SERIES[0], edgecolor=PAPER, zorder=3)
        _shares(axes, "promised probability", "observed share", square=True)
    return made.svg


def learning_curve(part: Part) -> str:
    """AUC over the number of training rows: each fold a dot, their mean a line."""
    points = part["points"]
    rows = [point["rows"] for point in points]
    with drawing("learning-curve", "AUC over training size; the values are in the table below") as made:
        axes = made.axes
        for point in points:
            axes.scatter(
                [point["rows"]] * len(point["fold_auc"]),
                point["fold_auc"],
                s=12,
                color=SERIES[0],
                alpha=0.45,
                clip_on=False,
            )
        axes.plot(rows, [point["auc"] for point in points], color=SERIES[0], marker="o", markersize=5, clip_on=False)
        axes.set_xlabel("training rows of a fold")
        axes.set_ylabel("AUC of the rows held out")
        axes.set_xlim(left=0)
        axes.set_ylim(top=min(1.0, axes.get_ylim()[1]))
    return made.svg


def slices(name: str, parts: Sequence[Part], rates: Mapping[str, float | None], *, number: int) -> str:
    """Recall and false alarms of each value with their intervals; a line where all rows stand."""
    shown = list(parts)[::-1]
    with drawing(
        f"slices-{number}", f"Recall and false-alarm rate by {name}; the values are in the table below",
        width=10.0, height=0.9 + 0.36 * len(shown),
    ) as made:  # fmt: skip
        axes = made.axes
        for offset, (rate, label) in enumerate((("recall", "recall"), ("false_alarm_rate", "false alarms"))):
            if (overall := rates[rate]) is not None:
                axes.axvline(overall, color=SERIES[offset], linewidth=0.9, linestyle=_STYLES[offset], alpha=0.7)
            for row, part in enumerate(shown):
                _interval(axes, part, rate, row + 0.14 - 0.28 * offset, SERIES[offset], "os"[offset])
            axes.plot([], [], color=SERIES[offset], marker="os"[offset], label=label)
        axes.set_yticks(range(len(shown)), [f"{_short(part['value'])} ({part['rows']})" for part in shown])
        axes.set_ylim(-0.6, len(shown) - 0.4)
        axes.set_xlim(-0.02, 1.02)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
        axes.grid(visible=False, axis="y")
        made.figure.legend(loc="outside upper center", ncols=2)
    return made.svg


def search(candidates: Sequence[Part], chosen: Sequence[int]) -> str:
    """Every candidate's AUC, best first, with the standard error over its folds; the chosen one stands out."""
    order = sorted(range(len(candidates)), key=lambda i: -candidates[i]["auc"])[:200]
    with drawing("search", "AUC of every candidate; the values are in the table below", width=10.0, height=3.2) as made:
        axes = made.axes
        for place, index in enumerate(order):
            folds = candidates[index]["fold_auc"]
            error = float(np.std(folds, ddof=1) / np.sqrt(len(folds))) if len(folds) > 1 else 0.0
            colour = SERIES[1] if index in chosen else SERIES[0]
            mean = candidates[index]["auc"]
            axes.plot([place, place], [mean - error, mean + error], color=colour, linewidth=1)
            axes.plot(place, mean, color=colour, marker="D" if index in chosen else "o", markersize=5)
        axes.set_xticks([])
        axes.set_xlabel("candidates, best first (diamond: chosen)")
        axes.set_ylabel("AUC, folds' mean")
        axes.grid(visible=False, axis="x")
    return made.svg


def _interval(axes: Axes, part: Part, rate: str, at: float, colour: str, marker: str) -> None:
    if part[rate] is None:
        return
    bounds = part["intervals"][rate]
    axes.plot([bounds["low"], bounds["high"]], [at, at], color=colour, linewidth=1.2)
    axes.plot(part[rate], at, color=colour, marker=marker, markersize=5)


def _own_points(axes: Axes, own: Mapping[str, Part], x: str, y: str) -> None:
    side = "left" if x == "false_alarm_rate" else "right"  # the hollow side of the curve
    for label, point in own.items():
        if point[x] is None or point[y] is None:
            continue
        at = (point[x], point[y])
        axes.plot(*at, color=SERIES[1], marker="D", markersize=7, markeredgecolor=PAPER, linestyle="none")
        axes.annotate(
            label, at, xytext=(8 if side == "left" else -8, -12), textcoords="offset points", fontsize=8, ha=side
        )


def _shares(axes: Axes, x: str, y: str | None, *, square: bool = False) -> None:
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.01)
    axes.set_xlabel(x)
    if y:
        axes.set_ylabel(y)
    if square:
        axes.set_aspect("equal")


def _short(text: str, most: int = 28) -> str:
    """`text` cut to fit an axis; a dollar is a dollar, and starts no formula."""
    return (text if len(text) <= most else text[: most - 1] + "…").replace("$", r"\$")
