"""A dataset as a file, to take elsewhere: what it says of itself, and its rows with their vectors."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.datasets.content import Entry, digest
from app.datasets.splits import SPLITS
from app.errors import InvalidInput

FORMAT = "penumbra-dataset-1"
Floats = NDArray[np.float32]
# A file may claim to unpack to this many times its size and no more: vectors hardly shrink.
MOST_SHRINKING, SMALL_BYTES = 20, 1 << 20


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a dataset says of itself. `feature_set` and `digest` are SHA-256, hex; `rows` the number of them."""

    name: str
    version: int
    task: str
    classes: tuple[str, ...]
    positive: str
    feature_set: str
    feature_set_name: str
    avg_dim: int
    max_dim: int
    digest: str
    rows: int
    selection: Mapping[str, Any]
    split: Mapping[str, Any]
    findings: Mapping[str, Any]
    author: str
    created_at: str

    def to_json(self) -> dict[str, Any]:
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, raw: Any) -> "Header":
        """Read what `to_json` wrote. Raises InvalidInput for anything else."""
        if not isinstance(raw, dict) or raw.get("format") != FORMAT:
            raise InvalidInput(f"The file does not say that it is a {FORMAT}; export one with penumbra dataset export.")
        given: dict[str, Any] = {field.name: raw.get(field.name) for field in fields(cls)}
        # What a database cannot store, and a lone half of a character pair, which is no text.
        if "\\u0000" in json.dumps(raw, allow_nan=False) or not _is_text(json.dumps(raw, ensure_ascii=False)):
            raise InvalidInput("The file's own description holds characters that are no text; export it again.")
        kinds = {"version": int, "avg_dim": int, "max_dim": int, "rows": int, "classes": list}
        kinds |= dict.fromkeys(("selection", "split", "findings"), dict)
        for name, value in given.items():
            if not isinstance(value, kinds.get(name, str)) or isinstance(value, bool):
                raise InvalidInput(f"The file's own description is damaged at '{name}'; export the dataset again.")
        if not all(isinstance(name, str) for name in given["classes"]) or min(given["avg_dim"], given["max_dim"]) < 1:
            raise InvalidInput("The file's own description is damaged; export the dataset again.")
        return cls(**{**given, "classes": tuple(given["classes"])})


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some rows, by SHA-256 and ordinal: the images' ids in the store of origin, and their columns.

    `avg` and `max` are float32 (n, dim).
    """

    image_ids: Sequence[str]
    entries: Sequence[Entry]
    avg: Floats
    max: Floats

    def __len__(self) -> int:
        return len(self.entries)


def checked(header: Header, columns: Mapping[str, Sequence[Any]], avg: Any, max_: Any) -> Part:
    """Return the rows of a file that was read, if they are what its header says.

    `columns` has `image_id`, `sha256` (hex), `ordinal`, `class`, `split` and `subject`. Raises InvalidInput with what
    is wrong.
    """
    lengths = {name: len(values) for name, values in columns.items()} | {"avg": len(avg), "max": len(max_)}
    if set(lengths.values()) != {header.rows}:
        raise InvalidInput(f"The file says that it has {header.rows} rows, but its columns have {lengths}.")
    for name, matrix, width in (("avg", avg, header.avg_dim), ("max", max_, header.max_dim)):
        if matrix.dtype != np.float32 or matrix.shape != (header.rows, width):
            raise InvalidInput(
                f"'{name}' is {matrix.dtype} {matrix.shape}, not float32 ({header.rows}, {width}); export it again."
            )
        if not np.isfinite(matrix).all():
            row = int(np.flatnonzero(~np.isfinite(matrix).all(axis=1))[0])
            raise InvalidInput(f"'{name}' of row {row} is not finite; export the dataset again.")
    entries = [_entry(row, header) for row in zip(*(columns[name] for name in _COLUMNS), strict=True)]
    if len({entry[:2] for entry in entries}) != len(entries):
        raise InvalidInput("The file names a region twice; export the dataset again.")
    found = digest(entries, feature_set=header.feature_set, classes=header.classes, positive=header.positive)
    if found != header.digest:
        raise InvalidInput(f"The rows have digest {found[:12]}, the file says {header.digest[:12]}: it was altered.")
    return Part(image_ids=[str(value) for value in columns["image_id"]], entries=entries, avg=avg, max=max_)


_COLUMNS = ("sha256", "ordinal", "class", "subject", "split")


def _entry(row: tuple[Any, ...], header: Header) -> Entry:
    sha256, ordinal, class_name, subject, split = row
    try:
        entry = Entry(bytes.fromhex(sha256), int(ordinal), str(class_name), str(subject), str(split))
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidInput(f"A row says {sha256!r}, {ordinal!r} where SHA-256 and ordinal belong.") from error
    if (
        len(entry.sha256) != 32
        or not 0 <= entry.ordinal < 2**15
        or "\x00" in entry.subject
        or not _is_text(entry.subject)
    ):
        raise InvalidInput(f"A row says {sha256!r}, {ordinal!r} where SHA-256 and ordinal belong.")
    if entry.class_name not in header.classes or entry.split not in SPLITS:
        raise InvalidInput(f"A row has class '{class_name}' and split '{split}', which the file does not describe.")
    return entry


def check_claim(claimed_bytes: int, file_bytes: int) -> None:
    """Raise InvalidInput before a small file is unpacked into all of the memory."""
    if claimed_bytes > MOST_SHRINKING * file_bytes + SMALL_BYTES:
        raise InvalidInput(
            f"The file has {file_bytes:,} bytes and claims to unpack to {claimed_bytes:,}; no dataset does."
        )
