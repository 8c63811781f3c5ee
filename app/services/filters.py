"""Which images a list or a search means: one filter, one translation into SQL."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from app.errors import InvalidInput
from app.heads.policy_words import CANNOT_JUDGE, REVIEW, UNDECIDED
from app.services import tasks
from app.services.coverage import STATE

# The label that counts: a review beats an import, an import beats a declaration, then the latest.
PRECEDENCE = "CASE source WHEN 'review' THEN 0 WHEN 'import' THEN 1 ELSE 2 END, at DESC, id DESC"
# A label that was withdrawn is as if it had never been stated, to every reader but the history.
STANDING = "NOT EXISTS (SELECT FROM label_withdrawal lw WHERE lw.label_id = label.id)"
EFFECTIVE_LABEL = f"""
    SELECT DISTINCT ON (image_id) image_id, class_name, source, author, at FROM label
    WHERE task = :task AND {STANDING}
    ORDER BY image_id, {PRECEDENCE}
"""


@dataclass(frozen=True)
class ImageFilter:
    """Conditions that must all hold. `label` and `decision` are classes of `task`; a decision may also be `review` or
    `cannot_judge`, and is the image's: the worst of its regions'. `kind`: scans of this profile, and those of which
    nobody said."""

    source: str | None = None
    subject: str | None = None
    tag: str | None = None
    captured_from: datetime | None = None
    captured_until: datetime | None = None
    received_from: datetime | None = None
    received_until: datetime | None = None
    state: str | None = None
    task: str | None = None
    label: str | None = None
    decision: str | None = None
    kind: str | None = None

    def check(self, session: Session) -> None:
        """Raise InvalidInput or NotFound when the filter names what does not exist."""
        if (self.label or self.decision) and self.task is None:
            raise InvalidInput("A filter on label or decision needs the task it belongs to.")
        if self.task is not None:
            task = tasks.named(session, self.task)
            decision = None if self.decision in UNDECIDED else self.decision
            for class_name in filter(None, (self.label, decision)):
                tasks.check_class(task, class_name)

    def sql(self) -> tuple[str, dict[str, Any]]:
        """A condition on `image`, and its parameters."""
        conditions = [condition for name, condition in _CONDITIONS.items() if getattr(self, name) is not None]
        parameters = {name: getattr(self, name) for name in (*_CONDITIONS, "task") if getattr(self, name) is not None}
        return " AND ".join(conditions) or "TRUE", parameters


# As `policy_words.badness`.
_BADNESS = f"CASE {{0}}.decision WHEN t.positive THEN 0 WHEN '{CANNOT_JUDGE}' THEN 1 WHEN '{REVIEW}' THEN 2 ELSE 3 END"
_CONDITIONS = {
    "source": "image.source = :source",
    "subject": "image.subject = :subject",
    "tag": "image.tags @> ARRAY[CAST(:tag AS varchar)]",
    "captured_from": "image.captured_at >= :captured_from",
    "captured_until": "image.captured_at < :captured_until",
    "received_from": "image.received_at >= :received_from",
    "received_until": "image.received_at < :received_until",
    "kind": "(image.profile = :kind OR image.profile IS NULL)",
    "state": f"({STATE}) = :state",
    "label": f"image.id IN (SELECT image_id FROM ({EFFECTIVE_LABEL}) l WHERE l.class_name = :label)",
    "decision": f"""image.id IN (SELECT p.image_id FROM prediction p JOIN head h ON h.id = p.head_id
        JOIN task t ON t.name = h.task WHERE h.task = :task AND h.stage = 'live' AND p.decision = :decision
        AND NOT EXISTS (SELECT FROM prediction w WHERE w.image_id = p.image_id AND w.head_id = p.head_id
            AND {_BADNESS.format("w")} < {_BADNESS.format("p")}))""",
}
