"""Templates to HTML, in the visitor's language."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

from babel.core import Locale
from babel.numbers import format_decimal, format_percent
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

from app import __version__
from app.heads.policy_words import CANNOT_JUDGE, REVIEW
from app.web import languages, static
from app.web.visitors import Visitor

FOLDER = Path(__file__).parent / "templates"


@cache
def environment(language: str) -> Environment:
    """The templates in one language; texts are escaped, and a name that nobody gave is an error."""
    made = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n", "jinja2.ext.do"],
    )
    spoken = languages.translations(language)
    made.install_gettext_translations(spoken, newstyle=True)  # type: ignore[attr-defined]
    made.globals |= {"static": static.url, "language": language, "languages": languages.LANGUAGES, "moment": moment}
    made.globals["version"] = __version__
    made.filters |= {
        "class_word": partial(class_word, language=language),
        "percent": partial(percent, language=language),
        "decimal": partial(decimal, language=language),
        "certain": partial(certain, language=language),
    }
    return made


def page(
    template: str, visitor: Visitor | None, *, status: int = 200, language: str | None = None, **values: Any
) -> HTMLResponse:
    """A page, or a fragment of one, for a visitor; without one (`language` says how to speak) before the sign-in."""
    chosen = visitor.language if visitor else (language or "en")
    text = environment(chosen).get_template(template).render(visitor=visitor, **values)
    # What a page shows may change or be withdrawn: the back button asks again.
    return HTMLResponse(text, status, headers={"Cache-Control": "no-store", "Content-Language": chosen})


def moment(at: datetime | None, *, relative: bool = False) -> Markup:
    """A time: in UTC until a script says it in the visitor's zone and words."""
    if at is None:
        return Markup("–")
    utc = at.astimezone(UTC)
    shape = Markup('<time datetime="{}" data-time="{}">{}</time>')
    return shape.format(utc.isoformat(), "ago" if relative else "at", f"{utc:%Y-%m-%d %H:%M} UTC")


def percent(share: float | None, digits: int = 1, language: str = "en") -> str:
    if share is None:
        return "–"
    pattern = str(Locale.parse(language).percent_formats[None].pattern)
    return str(format_percent(share, pattern.replace("#,##0", _shape(digits)), locale=language))


def decimal(value: float | None, digits: int = 0, language: str = "en") -> str:
    return "–" if value is None else str(format_decimal(value, _shape(digits), locale=language))


def certain(share: float | None, language: str = "en") -> str:
    """A probability as a person should take it: never rounded to certainty."""
    if share is not None and not 0.001 <= share <= 0.999:
        return f"< {percent(0.001, 1, language)}" if share < 0.5 else f"> {percent(0.999, 1, language)}"
    return percent(share, 1, language)


def _shape(digits: int) -> str:
    return "#,##0" + ("." + "0" * digits if digits else "")


def class_word(word: str | None, language: str) -> str:
    """How a person says a class or a decision; words of sites' own tasks stay as they are."""
    return _words(language).get(word or "", word or "–")


@cache
def _words(language: str) -> Mapping[str, str]:
    _ = languages.translations(language).gettext
    return {
        "empty": _("empty"),
        "loaded": _("loaded"),
        "normal": _("normal"),
        "pneumonia": _("pneumonia"),
        REVIEW: _("review"),
        CANNOT_JUDGE: _("cannot judge"),
    }
