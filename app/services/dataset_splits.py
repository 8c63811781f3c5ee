"""Dividing the rows of a dataset: what must not cross is refused, moved together, or frozen and told for ever."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from app.datasets.division import Columns, divide
from app.datasets.duplicates import Duplicates
from app.datasets.splits import SPLITS, Codes, Method, SplitSpec, straddling
from app.errors import Conflict, InvalidInput
from app.services.dataset_rows import Candidate

Divided = tuple[list[Candidate], list[str], dict[str, Any]]


class Row(Protocol):
    """By what a row is named to people."""

    @property
    def sha256(self) -> bytes: ...
    @property
    def subject(self) -> str: ...
    @property
    def file_name(self) -> str | None: ...


def divided(
    rows: Sequence[Candidate],
    spec: SplitSpec,
    classes: Sequence[str],
    vectors: Callable[[Sequence[Candidate]], NDArray[np.float32]],
    *,
    together: bool,
    allow_leaks: bool,
    bound: float | None,
) -> Divided:
    """The rows that are kept, their splits, and what was found.

    `vectors` gives the `avg` of rows; `bound` None looks for no near-duplicates. Raise Conflict for a subject on two
    sides unless it is moved or allowed, InvalidInput for a row that a given list leaves out.
    """
    kept, given, unmatched = _given(rows, spec)
    columns = Columns(
        y=np.array([list(classes).index(row.class_name) for row in kept], np.int64),
        images=_numbered([str(row.image_id) for row in kept]), subjects=_numbered([row.subject for row in kept]),
        times=np.array([row.taken_at.timestamp() for row in kept]), given=given,
        avg=None if bound is None or spec.method is Method.NONE else vectors(kept),
    )  # fmt: skip
    division = divide(columns, spec, together=together, bound=bound or 1.0)
    found = findings(kept, columns.y, division.splits, classes, alike=division.duplicates, bound=bound)
    found |= {name: n for name, n in (("moved", division.moved), ("unmatched", unmatched)) if n}
    if "leaks" in found and not allow_leaks:
        raise Conflict(
            f"{found['leaks']['subjects']:,} subject(s) would be on two sides, such as {found['leaks']['example']}: a "
            "test on them tells nothing. Move their rows together (--together), or allow it (--allow-leaks): every "
            "report will say so."
        )
    return kept, [SPLITS[code] for code in division.splits], found


def findings(
    rows: Sequence[Row],
    y: Codes,
    splits: Codes,
    classes: Sequence[str],
    *,
    alike: Duplicates | None,
    bound: float | None,
) -> dict[str, Any]:
    """What crosses the splits (n,) of rows with class indexes `y` (n,), and which classes they lack."""
    found = {
        "leaks": _leaks(rows, splits),
        "duplicates": _duplicates(rows, splits, alike, bound) if alike and alike.pairs else {},
        "missing": _missing(y, splits, classes),
    }
    return {name: what for name, what in found.items() if what}


def _given(rows: Sequence[Candidate], spec: SplitSpec) -> tuple[list[Candidate], NDArray[np.int64] | None, int]:
    """The rows to keep, their stated splits, and how many entries of the list name none of the rows."""
    if spec.method is not Method.GIVEN:
        return list(rows), None, 0
    used: set[str] = set()
    stated: list[str | None] = []
    for row in rows:
        keys = [key for key in (str(row.image_id), row.sha256.hex(), row.file_name) if key in spec.given]
        used.update(key for key in keys if key)
        stated.append(spec.given[keys[0]] if keys and keys[0] else spec.rest)
    left = [row for row, split in zip(rows, stated, strict=True) if split is None]
    if left:
        raise InvalidInput(
            f"The list names no split for {len(left):,} of {len(rows):,} rows, such as {left[0].sha256.hex()} "
            f"({left[0].file_name or 'without a file name'}); name them, or say where the rest goes (--rest, or omit)."
        )
    kept = [(row, split) for row, split in zip(rows, stated, strict=True) if split != "omit"]
    if not kept:
        raise InvalidInput("The list names none of the selected images; name them by id, SHA-256 or file name.")
    codes = np.array([SPLITS.index(str(split)) for _, split in kept], np.int64)
    return [row for row, _ in kept], codes, len(spec.given) - len(used)


def _numbered(names: Sequence[str]) -> NDArray[np.int64]:
    """Each name's number, in the order of first appearance."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], np.int64)


def _leaks(rows: Sequence[Row], splits: Codes) -> dict[str, Any]:
    subjects = _numbered([row.subject for row in rows])
    leaking = straddling(splits, subjects)
    if not len(leaking):
        return {}
    first = int(np.flatnonzero(subjects == leaking[0])[0])
    concerned = int(np.isin(subjects, leaking).sum())
    return {"subjects": len(leaking), "rows": concerned, "example": rows[first].subject}


def _duplicates(rows: Sequence[Row], splits: Codes, alike: Duplicates, bound: float | None) -> dict[str, Any]:
    return {
        "bound": bound,
        "pairs": alike.pairs,
        "worst": [
            {
                "cosine": round(float(cosine), 6), "splits": [SPLITS[splits[row]] for row in pair],
                "sha256": [rows[row].sha256.hex() for row in pair], "files": [rows[row].file_name for row in pair],
            }
            for pair, cosine in zip(alike.worst.tolist(), alike.cosines, strict=True)
        ],
    }  # fmt: skip


def _missing(y: Codes, splits: Codes, classes: Sequence[str]) -> dict[str, list[str]]:
    """Classes without a row, of the splits that have any."""
    found: dict[str, list[str]] = {}
    for code in np.unique(splits):
        present = set(y[splits == code].tolist())
        lacking = [name for index, name in enumerate(classes) if index not in present]
        if lacking:
            found[SPLITS[code]] = lacking
    return found


def notes(found: dict[str, Any]) -> list[str]:
    """What a report must say about a dataset's splits, in sentences; nothing when nothing crosses them."""
    said = []
    if leaks := found.get("leaks"):
        said.append(
            f"{leaks['subjects']:,} subjects ({leaks['rows']:,} rows) are in more than one split, as was allowed when "
            "the dataset was frozen: figures on held-out rows are too good."
        )
    if alike := found.get("duplicates"):
        said.append(
            f"{alike['pairs']:,} pairs of rows in different splits have a cosine of {alike['bound']} or more: "
            "figures on held-out rows may be too good."
        )
    said += [f"No row of class {', '.join(names)} is in {split}." for split, names in found.get("missing", {}).items()]
    return said
