"""Lists that say which image is in which split, as spreadsheets write them."""

import csv
from pathlib import Path
from typing import Any

from app.datasets.splits import SPLITS
from app.errors import InvalidInput

KEYS = ("id", "sha256", "file")
_MOST_BYTES = 1 << 28


def read(path: Path) -> dict[str, str]:
    """The split of each image of a CSV (comma, semicolon or tab) with a header: id, sha256 or file, and split.

    Raise InvalidInput, with the line, for what cannot be used.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise InvalidInput(f"{path.name} has more than {_MOST_BYTES >> 20} MiB; that is no list of images.")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            delimiter = max(",;\t", key=header.count)
            names = [name.strip().lower() for name in next(csv.reader([header], delimiter=delimiter), [])]
            return _rows(path, names, csv.reader(file, delimiter=delimiter, strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"{path.name} is no CSV in UTF-8: {error}") from error


def _rows(path: Path, names: list[str], reader: Any) -> dict[str, str]:
    key = next((names.index(name) for name in KEYS if name in names), None)
    if key is None or "split" not in names:
        raise InvalidInput(f"{path.name} has the columns {', '.join(names)}; it needs split, and {' or '.join(KEYS)}.")
    column, found = names.index("split"), dict[str, str]()
    for line in reader:
        if not any(line):
            continue
        if len(line) <= max(key, column) or line[column].strip() not in SPLITS:
            raise InvalidInput(f"{path.name}, line {reader.line_num + 1}: the split must be {', '.join(SPLITS)}.")
        name, split = line[key].strip(), line[column].strip()
        if found.setdefault(name.lower() if names[key] != "file" else name, split) != split:
            raise InvalidInput(f"{path.name}, line {reader.line_num + 1}: {name} is in {found[name]} already.")
    return found
