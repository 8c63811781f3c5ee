"""English, Portuguese, Spanish: gettext catalogues from `locale/LANGUAGE/ROOM.po`, read as they are."""

from functools import cache
from gettext import GNUTranslations, NullTranslations
from io import BytesIO
from pathlib import Path

from babel.core import negotiate_locale
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

FOLDER = Path(__file__).parent / "locale"
LANGUAGES = {"en": "English", "pt": "Português", "es": "Español"}


def negotiate(accepted: str) -> str:
    """The language to speak, by an `Accept-Language` header (RFC 9110): English where none of ours is asked for."""
    ranked = sorted((-_quality(part), order, part) for order, part in enumerate(accepted.split(",")) if part.strip())
    tags = [part.split(";")[0].strip().replace("-", "_") for _, _, part in ranked]
    found = negotiate_locale(tags, list(LANGUAGES))
    return found if found in LANGUAGES else "en"


def _quality(part: str) -> float:
    _, _, given = part.partition(";q=")
    try:
        return float(given) if given else 1.0
    except ValueError:
        return 0.0


@cache
def catalogue(language: str) -> Catalog:
    """Every room's messages in one catalogue."""
    whole = Catalog(locale=language)
    for path in sorted((FOLDER / language).glob("*.po")):
        with path.open("rb") as stream:
            for message in read_po(stream, locale=language):
                if message.id:
                    whole[message.id] = message
    return whole


@cache
def translations(language: str) -> NullTranslations:
    if language == "en":
        return NullTranslations()
    compiled = BytesIO()
    write_mo(compiled, catalogue(language))
    compiled.seek(0)
    return GNUTranslations(compiled)


@cache
def messages(language: str) -> dict[str, str | list[str]]:
    """By message in English: its translation, or for a plural those of one and of many."""
    found: dict[str, str | list[str]] = {}
    for message in catalogue(language) if language != "en" else ():
        if isinstance(message.id, tuple):
            found[message.id[0]] = [str(form) for form in message.string or ()]
        elif message.id:
            found[str(message.id)] = str(message.string)
    return found
