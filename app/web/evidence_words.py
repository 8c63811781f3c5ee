"""What is known of a scan, in the reader's words."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from babel.numbers import format_decimal

from app.services.evidence import Evidence, Finding
from app.services.outcomes import Outcome
from app.web import languages


@dataclass(frozen=True)
class EvidenceWords:
    """Words of one language, for templates."""

    language: str

    def finding(self, found: Finding) -> str:
        """A finding of the quality gate by its code; in English, as it was stored, where the code is a newer one."""
        return self._findings(found.numbers).get(_code(found), found.message)

    def _findings(self, numbers: Mapping[str, float]) -> Mapping[str, str]:
        _ = languages.translations(self.language).gettext
        width = str(format_decimal(numbers.get("edge_width", 0.0), "0.0", locale=self.language))
        return {
            "too-small": _("Too small to judge."),
            "too-dark": _("Too dark: hardly any signal came through."),
            "too-bright": _("Too bright: there is hardly anything in the beam."),
            "no-contrast": _("Hardly any contrast."),
            "no-container": _("No container is to be seen: is it cut off, or another kind of scan?"),
            "blurred": _("Too blurred: its sharpest edges are {width} % of it wide.").replace("{width}", width),
            "cut-off-floor": _("Cut off: the container's floor is not to be seen."),
            "cut-off-ends": _("Cut off: neither end of the container is to be seen."),
            "cut-off-chest": _("Cut off: it does not show a whole chest."),
            "not-an-x-ray": _("Its colours are those of no X-ray scanner: is it a photograph?"),
        }

    def reason(self, told: Evidence) -> str:
        """Why the head cannot judge the scan, where the quality gate found nothing."""
        _ = languages.translations(self.language).gettext
        if told.image.profile and told.task.profile and told.image.profile != told.task.profile:
            return _("It is not the kind of scan that the task asks about. Was it stored as the wrong kind?")
        reason = told.answers[0].reason if told.answers else None
        if reason and reason.startswith("unlike anything"):
            return _("It is unlike anything that the head was trained on: is it the right kind of scan?")
        return reason or ""

    def facts(self, known: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """What a file says of the picture, that a person at the desk can use."""
        _ = languages.translations(self.language).gettext
        names = {"modality": _("Modality"), "view": _("View"), "body_part": _("Body part")}
        for name, word in names.items():
            if known.get(name):
                yield word, str(known[name])
        if spacing := known.get("spacing_mm"):
            yield _("Pixel"), f"{format_decimal(spacing[0], '0.###', locale=self.language)} mm"


def _code(found: Finding) -> str:
    if found.code != "cut-off":
        return found.code
    if "floor" not in found.numbers:
        return "cut-off-chest"
    return "cut-off-ends" if found.message.endswith("neither end of the container is to be seen") else "cut-off-floor"


def tally(found: Iterable[Outcome]) -> list[tuple[str, int]]:
    """How many of the scans are of which class, the most first; those without an outcome are left out."""
    return Counter(one.word for one in found if one.word).most_common()
