"""Numbers and texts as the report's pages write them, and the templates that they fill. Light."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_FOLDER = Path(__file__).parent / "templates"


def share(value: float | None) -> str:
    """A rate or an area, to four digits."""
    return "–" if value is None else f"{value:.4f}"


def figure(value: float | None) -> str:
    """A number of any size, to four digits."""
    return "–" if value is None else f"{value:.4g}"


def percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.3g} %"


def count(value: int) -> str:
    return f"{value:,}"


def signed(value: float) -> str:
    return f"{value:+.4f}"


def signs(text: str) -> str:
    return text.replace(">=", "≥").replace("<=", "≤")


def environment() -> Environment:
    """The templates; every value is escaped, and a name that a template misspells is an error."""
    made = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {one.__name__: one for one in (share, figure, percent, count, signed, signs)}
    return made


def facts(part: Mapping[str, Any], *, leave_out: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    """Return names and values of nested values for a reader: `recall.target` as `recall target`."""
    found = []
    for name, value in part.items():
        label = name.replace("_", " ")
        if name in leave_out or value is None or value in ({}, []):
            continue
        if isinstance(value, Mapping):
            found += [(f"{label} {inner}", text) for inner, text in facts(value)]
        else:
            found.append((label, plain(value)))
    return found


def plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return figure(value)
    if isinstance(value, (list, tuple)):
        return ", ".join(plain(one) for one in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {plain(one)}" for name, one in value.items())
    return signs(str(value))
