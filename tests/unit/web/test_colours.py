"""What the desk's colours promise (WCAG 2.2): texts are readable and controls are seen in both themes."""

import re
from pathlib import Path

import pytest

import app.web

CSS = (Path(app.web.__file__).parent / "static" / "desk.css").read_text()
GROUNDS = ("ground", "panel", "raised", "field")
# 1.4.3 Contrast (Minimum): texts.
TEXTS = [
    *((text, ground) for text in ("text", "muted", "accent", "finding", "open", "calm") for ground in GROUNDS),
    *((text, "accent-soft") for text in ("text", "muted", "accent")),
    *((text, f"{kind}-soft") for kind in ("finding", "open", "calm") for text in ("text", kind)),
    ("on-accent", "accent"),
]
# 1.4.11 Non-text Contrast: edges of fields, and where the focus is.
EDGES = [*(("edge", ground) for ground in GROUNDS), *(("accent", ground) for ground in (*GROUNDS, "accent-soft"))]


def tokens(selector: str) -> dict[str, str]:
    body = re.search(re.escape(selector) + r" \{(.*?)\}", CSS, re.DOTALL)
    assert body is not None, selector
    return dict(re.findall(r"--([\w-]+): ([^;]+);", body[1]))


def luminance(colour: str) -> float:
    assert re.fullmatch("#[0-9a-f]{6}", colour), colour
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_measured_as_the_standard_says() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", ['[data-theme="dark"]', '[data-theme="light"]'])
@pytest.mark.parametrize(("pairs", "least"), [(TEXTS, 4.5), (EDGES, 3)], ids=["texts", "edges"])
def test_colours_stand_out_enough(theme: str, pairs: list[tuple[str, str]], least: float) -> None:
    colours = tokens(theme)
    weak = {pair: round(found, 2) for pair in pairs if (found := contrast(*(colours[one] for one in pair))) < least}
    assert weak == {}


def test_the_system_s_light_theme_is_the_light_theme() -> None:
    assert tokens('[data-theme="system"]') == tokens('[data-theme="light"]')
