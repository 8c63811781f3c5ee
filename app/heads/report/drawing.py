"""matplotlib figures as SVG that lives inside a page: its fonts, its colours, light and dark. Loads matplotlib."""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Written by matplotlib, replaced by the page's variables: a colour of the theme, not of the figure. The series are
# of Okabe and Ito's palette, which people with any kind of colour blindness tell apart.
INK, MUTED, GRID, PAPER = "#010101", "#020202", "#030303", "#040404"
SERIES = ("#050505", "#060606", "#070707", "#080808")
_VARIABLES = {
    INK: "var(--ink)", MUTED: "var(--muted)", GRID: "var(--line)", PAPER: "var(--paper)",
    **{colour: f"var(--series-{number})" for number, colour in enumerate(SERIES, 1)},
}  # fmt: skip
_STYLE: Any = {
    "svg.fonttype": "none",  # text, not outlines: small, searchable, read aloud
    "svg.hashsalt": "penumbra",
    "font.size": 9,
    "text.color": INK, "axes.edgecolor": MUTED, "axes.labelcolor": INK, "xtick.color": MUTED, "ytick.color": MUTED,
    "axes.facecolor": "none", "figure.facecolor": "none", "axes.grid": True, "grid.color": GRID, "grid.linewidth": 0.8,
    "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True, "legend.frameon": False,
    "xtick.labelcolor": INK, "ytick.labelcolor": INK, "lines.linewidth": 1.8, "axes.titlesize": 9,
}  # fmt: skip


class Drawing:
    """One figure with its axes; `svg` is the picture, once the block that drew it has ended."""

    def __init__(self, figure: Figure, axes: Axes) -> None:
        self.figure, self.axes = figure, axes
        self.svg = ""


@contextmanager
def drawing(name: str, alt: str, *, width: float = 4.8, height: float = 3.6) -> Iterator[Drawing]:
    """Give a figure of `width` x `height` inches to draw on; no pyplot, no figure that anybody else could see.

    `name` is unique on the page; `alt` is what a reader who cannot see is told.
    """
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the reader's browser has the letters of the world
        figure = Figure(figsize=(width, height), layout="constrained")
        made = Drawing(figure, figure.subplots())
        yield made
        made.svg = _svg(figure, name, alt)


def _svg(figure: Figure, name: str, alt: str) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    found = re.search(r"<svg.*</svg>", buffer.getvalue(), re.DOTALL)
    assert found is not None
    content = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", found.group(), flags=re.DOTALL)
    content = re.sub(r'\s+xmlns(:xlink)?="[^"]*"', "", content).replace("xlink:href", "href")
    content = _own_names(content, name)
    content = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", content)
    for colour, variable in _VARIABLES.items():
        content = content.replace(colour, variable)
    content = re.sub(r"\s*\n\s*", "\n", content)
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', content)
    assert size is not None
    head = f'<svg viewBox="0 0 {size[1]} {size[2]}" role="img" aria-label="{escape(alt)}">'
    return head + content[content.index(">") + 1 :]


def _own_names(content: str, name: str) -> str:
    """Several figures share a page: give each element's id the figure's name in front."""
    content = re.sub(r'\bid="([^"]*)"', rf'id="{name}-\1"', content)
    return re.sub(r'(url\(|href=")#', rf"\1#{name}-", content)
