"""A pretraining's log as a picture. matplotlib is loaded when one is drawn."""

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from app.errors import NotFound

PANELS = (
    ("resembling the teacher", ("map", "avg", "max")),
    ("truth of simulated scans", ("presence", "mass", "family", "cells")),
    ("log of nuisance over load", ("ratio",)),
)


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The log of a pretraining. Raises NotFound where there is none."""
    file = folder / "log.jsonl"
    if not file.is_file():
        raise NotFound(f"There is no log in {folder}: name the folder of a pretraining.")
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def plot(log: Sequence[Mapping[str, Any]], title: str, file: Path) -> None:
    """Draw every loss by step; where the side of the input changes there is a line. .png, .svg or .pdf."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(13, 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    steps = [point["step"] for point in log]
    changes = [b["step"] for a, b in itertools.pairwise(log) if a["side"] != b["side"]]
    for axes, (name, parts) in zip(figure.subplots(1, len(PANELS)), PANELS, strict=True):
        for part in parts:
            axes.plot(steps, [point[part] for point in log], label=part, linewidth=1)
        for change in changes:
            axes.axvline(change, color="0.7", linewidth=1)
        axes.set(xlabel="step", title=name)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.suptitle(title)
    figure.savefig(file, dpi=110)
