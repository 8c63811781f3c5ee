"""Every text of the desk is there in every language."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_file

import app.web
from app.web import languages

ROOT = Path(app.web.__file__).parent
OTHERS = sorted(set(languages.LANGUAGES) - {"en"})
PLACE = re.compile(r"%\((\w+)\)[sd]|\{(\w+)\}")

CALL = re.compile(r"""\b(?:t|plural)\(\s*"([^"\\]+)"(?:,\s*"([^"\\]+)")?""")


def _extracted() -> Iterator[tuple[str, object]]:
    """File and message of every text: of templates, pages and modules."""
    keywords = {"_": None, "gettext": None, "ngettext": (1, 2), "t": None, "plural": (1, 2)}
    for path in sorted(ROOT.rglob("*")):
        method = {".html": "jinja2.ext:babel_extract", ".py": "python", ".js": "javascript"}.get(path.suffix)
        if method:
            # Texts within a template string are texts too.
            options = {"parse_template_string": True} if method == "javascript" else {}
            for found in extract_from_file(method, path, keywords=keywords, options=options):
                yield str(path.relative_to(ROOT)), found[1]


@pytest.mark.parametrize("language", OTHERS)
def test_every_text_is_translated(language: str) -> None:
    catalogue = languages.catalogue(language)
    lacking = []
    for path, message in _extracted():
        known = catalogue.get(message[0] if isinstance(message, tuple) else message)  # type: ignore[arg-type]
        strings = known.string if known is not None and isinstance(known.string, tuple) else [known and known.string]
        if known is None or known.fuzzy or not all(strings):
            lacking.append(f"{path}: {message}")
    assert lacking == []


@pytest.mark.parametrize("language", OTHERS)
def test_translations_keep_the_places_of_values(language: str) -> None:
    wrong = []
    for message in languages.catalogue(language):
        ids = message.id if isinstance(message.id, (tuple, list)) else [message.id]
        strings = message.string if isinstance(message.string, (tuple, list)) else [message.string]
        places = {place for text in ids for place in PLACE.findall(text)}
        wrong += [text for text in strings if set(PLACE.findall(text or "")) - places]
    assert wrong == []


@pytest.mark.parametrize("language", OTHERS)
def test_no_translation_is_left_over(language: str) -> None:
    used = {message[0] if isinstance(message, tuple) else message for _, message in _extracted()}
    kept = [message.id for message in languages.catalogue(language) if message.id]
    left = [one for one in kept if (one[0] if isinstance(one, (tuple, list)) else one) not in used]
    assert left == []


@pytest.mark.parametrize(
    ("accepted", "spoken"),
    [
        ("pt-BR,pt;q=0.9,en;q=0.8", "pt"),
        ("es-419", "es"),
        ("de-DE,de;q=0.9", "en"),
        ("fr, es;q=0.4, pt;q=0.7", "pt"),
        ("", "en"),
        ("*;q=x,;;", "en"),
    ],
)
def test_the_browsers_wish_is_heard(accepted: str, spoken: str) -> None:
    assert languages.negotiate(accepted) == spoken
