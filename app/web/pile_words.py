"""How a person says a pile of a worklist."""

from app.models import Task
from app.services.worklist_items import HIDDEN
from app.services.worklist_sql import PILES
from app.web import languages
from app.web.rendering import class_word


def titles(task: Task, language: str) -> dict[str, str]:
    """By pile, in the order of the worklist; `hidden` is where the head's answers are kept back."""
    _ = languages.translations(language).gettext
    seen = class_word(task.positive, language)
    other = class_word(next(name for name in task.classes if name != task.positive), language)
    contrary = _("Declared %(declared)s, looks %(seen)s")
    said = {
        "looks_positive": contrary % {"declared": other, "seen": seen},
        "looks_negative": contrary % {"declared": seen, "seen": other},
        "positive": _("Looks %(seen)s, nothing declared") % {"seen": seen},
        "review": _("For review: the head leaves it to you"),
        "cannot_judge": _("The head cannot judge it"),
        "agrees": _("Agrees with its papers, or nothing found"),
    }
    return {pile: said[pile] for pile in PILES} | {HIDDEN: _("To be judged before the head's answer is shown")}
