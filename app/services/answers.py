"""What a head answered on labelled rows, row by row, as a CSV file."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db import Sessions, transaction
from app.errors import Conflict
from app.heads.evidence import Evidence
from app.heads.figures import REVIEW, decided_indexes
from app.models import Head, Image, Region, TestScore
from app.services import registry

CHUNK_ROWS = 1_000
# A cell that a spreadsheet would take for a formula.
_ACTIVE = ("=", "+", "-", "@", "\t", "\r", "'")


class RowsOf(StrEnum):
    """Which answers: of training rows by models that had not seen them, or of test rows."""

    OUT_OF_FOLD = "out-of-fold"
    TEST = "test"


@dataclass(frozen=True)
class Answers:
    """Answers and how they are decided; `name` is that of a file for them."""

    evidence: Evidence
    positive: str
    threshold: float
    review_from: float | None
    name: str


def stored(session: Session, head_id: UUID, rows: RowsOf) -> Answers:
    """The answers that a head is judged by. Raise Conflict when there are none."""
    head = registry.get(session, head_id)
    told = registry.report(session, head_id)
    content = head.evidence if rows is RowsOf.OUT_OF_FOLD else _test_evidence(session, head)
    if content is None:
        remedy = (
            "it was not trained in this store; train the task again"
            if rows is RowsOf.OUT_OF_FOLD
            else "score it on a dataset's test rows first"
        )
        raise Conflict(f"Head {head_id} has no stored answers of {rows} rows: {remedy}.")
    return Answers(
        Evidence.from_bytes(content), told["positive"], told["threshold"], told.get("review_from"),
        f"{head.task}-v{head.version}-{rows}.csv",
    )  # fmt: skip


def _test_evidence(session: Session, head: Head) -> bytes | None:
    """Those of the head's own dataset before others, the latest before earlier ones."""
    own = (TestScore.dataset_id == head.dataset_id).desc().nulls_last()
    query = select(TestScore.evidence).where(TestScore.head_id == head.id).order_by(own, TestScore.id.desc())
    return session.scalar(query.limit(1))


def csv_lines(sessions: Sessions, told: Answers) -> Iterator[str]:
    """Chunks of a CSV file (RFC 4180), its header first; what an image says of itself is read as it goes."""
    evidence = told.evidence
    index = evidence.classes.index(told.positive)
    decided = decided_indexes(
        evidence.probabilities, positive_index=index, threshold=told.threshold, review_from=told.review_from
    )
    yield _written([_columns(evidence)])
    for start in range(0, len(evidence), CHUNK_ROWS):
        rows = range(start, min(start + CHUNK_ROWS, len(evidence)))
        with transaction(sessions) as session:
            described = _described(session, [evidence.image_ids[row] for row in rows])
            ordinals = _ordinals(session, [int(evidence.region_ids[row]) for row in rows])
        yield _written([_line(evidence, row, int(decided[row]), described, ordinals) for row in rows])


def _columns(evidence: Evidence) -> list[str]:
    probabilities = [f"p_{name}" for name in evidence.classes]
    return [
        "image_id", "region_id", "region", "sha256", "file_name", "subject", "source", "given", "fold",
        *probabilities, "decision", "correct",
    ]  # fmt: skip


def _line(
    evidence: Evidence, row: int, decided: int, described: Mapping[str, Any], ordinals: Mapping[int, int]
) -> list[object]:
    image, region = described.get(evidence.image_ids[row]), int(evidence.region_ids[row])
    y, fold = int(evidence.y[row]), int(evidence.fold_of[row])
    about = (image.sha256.hex(), image.file_name, image.subject, image.source) if image else ("", "", "", "")
    return [
        evidence.image_ids[row], region, ordinals.get(region, ""), *map(_inert, about), _inert(evidence.classes[y]),
        "" if fold < 0 else fold, *(f"{value:.6g}" for value in evidence.probabilities[row].tolist()),
        "review" if decided == REVIEW else _inert(evidence.classes[decided]),
        "" if decided == REVIEW else ("no", "yes")[decided == y],
    ]  # fmt: skip


def _inert(text: str | None) -> str:
    """`text` as no spreadsheet takes it for a formula: a quote before it, which takes a quote before itself too."""
    return f"'{text}" if text and text.startswith(_ACTIVE) else text or ""


def _described(session: Session, image_ids: Sequence[str]) -> dict[str, Any]:
    columns = (Image.id, Image.sha256, Image.file_name, Image.subject, Image.source)
    rows = session.execute(select(*columns).where(Image.id.in_([UUID(one) for one in image_ids])))
    return {str(row.id): row for row in rows}


def _ordinals(session: Session, region_ids: Sequence[int]) -> dict[int, int]:
    rows = session.execute(select(Region.id, Region.ordinal).where(Region.id.in_(region_ids)))
    return {row.id: row.ordinal for row in rows}


def _written(lines: Sequence[Sequence[object]]) -> str:
    file = io.StringIO()
    csv.writer(file).writerows(lines)
    return file.getvalue()
