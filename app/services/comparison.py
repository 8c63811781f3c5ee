"""Two heads on the test rows of frozen datasets: before and after cleaning, on the raw labels and on the cleaned."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import InvalidInput
from app.heads import comparison
from app.heads.comparison import Judged
from app.heads.evidence import Evidence
from app.models import Dataset, Head, Split
from app.services import datasets, evaluation, registry, tasks


@dataclass(frozen=True)
class Compared:
    """Two heads on one dataset's test rows: the figures of each, and how they differ row by row."""

    dataset: Dataset
    heads: tuple[Head, Head]
    figures: tuple[dict[str, Any], dict[str, Any]]
    contest: dict[str, Any]


def compare(
    session: Session, task: str, first: int, second: int, names: Sequence[str], *, author: str
) -> list[Compared]:
    """Compare two head versions on the test rows of each dataset `NAME@VERSION`; none: of the heads' own datasets.

    A head looks at a dataset's test rows once: what it answered then is used again. Raise NotFound, InvalidInput
    for one head twice or datasets without test rows, Conflict for a head that learned from the rows.
    """
    tasks.named(session, task)
    if first == second:
        raise InvalidInput(f"Version {first} of {task} is compared with itself; give two versions.")
    heads = (registry.numbered(session, task, first), registry.numbered(session, task, second))
    chosen = [datasets.named(session, name) for name in dict.fromkeys(names)] or _own(session, heads)
    return [_on(session, dataset, heads, author) for dataset in chosen]


def _own(session: Session, heads: Sequence[Head]) -> list[Dataset]:
    ids = {head.dataset_id for head in heads if head.dataset_id is not None}
    found = session.scalars(select(Dataset).where(Dataset.id.in_(ids)).order_by(Dataset.created_at, Dataset.id))
    tested = [dataset for dataset in found if any(dataset.counts.get(Split.TEST, {}).values())]
    if not tested:
        raise InvalidInput(
            "The heads' own datasets have no test rows; name datasets that do (--dataset NAME@VERSION), and train "
            "both heads on datasets that leave those rows out."
        )
    return tested


def _on(session: Session, dataset: Dataset, heads: tuple[Head, Head], author: str) -> Compared:
    first, second = (_judged(session, dataset, head, author) for head in heads)
    contest = comparison.compare(first[1], second[1], rows=f"test rows of {dataset.full_name}")
    return Compared(dataset, heads, (first[0], second[0]), contest)


def _judged(session: Session, dataset: Dataset, head: Head, author: str) -> tuple[dict[str, Any], Judged]:
    figures = evaluation.score(session, head.id, dataset, Split.TEST, author=author).figures
    stored = evaluation.known(session, dataset, head.id)
    assert stored is not None
    return figures, Judged(
        name=f"version {head.version}", evidence=Evidence.from_bytes(stored.evidence), positive=dataset.positive,
        threshold=figures["threshold"], review_from=figures["review_from"],
    )  # fmt: skip
