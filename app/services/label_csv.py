"""Label files as people and spreadsheets write them: comma, semicolon or tab, any column order, one line at a time."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from app.errors import InvalidInput

# A header's name, in lower case and without spaces, dashes and underscores, and the column that it means.
_NAMES = {
    "id": ("id", "imageid", "image", "uuid"),
    "sha256": ("sha256", "sha", "digest"),
    "file": ("file", "filename", "name", "path"),
    "subject": ("subject", "patient", "patientid", "container", "containernumber"),
    "class": ("class", "label", "classname", "category"),
    "source": ("source",),
    "author": ("author", "by", "reviewer", "labeller", "labeler", "annotator"),
    "time": ("time", "at", "timestamp", "date", "datetime", "statedat", "labelledat", "labeledat"),
    "reason": ("reason", "comment", "note", "remark"),
}
COLUMNS = {name: column for column, names in _NAMES.items() for name in names}
KEYS = ("id", "sha256", "file", "subject")
_LONGEST_LINE = 1 << 20
_SHOWN = 200
_BAD = "\ufffd"  # what a byte that is no UTF-8 decodes to; marks a line that is too long as well


@dataclass(frozen=True, kw_only=True)
class Keys:
    """What a line calls the images that it means; all that is filled in must hold."""

    id: str = ""
    sha256: str = ""
    file: str = ""
    subject: str = ""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of labels as it was written: where a value is empty, the import's own holds."""

    number: int
    keys: Keys
    class_name: str
    source: str = ""
    author: str = ""
    time: str = ""
    reason: str = ""

    @property
    def text(self) -> str:
        """The line for people to find it by."""
        keys = self.keys
        return ", ".join(filter(None, (keys.id, keys.sha256, keys.file, keys.subject, self.class_name)))[:_SHOWN]


@dataclass(frozen=True)
class Refused:
    """A line that was not used: its number in the file, why, and what it says."""

    number: int
    reason: str
    text: str


@dataclass(frozen=True)
class LabelFile:
    """A file's lines, read as they are asked for, and the columns that mean nothing here."""

    lines: Iterator[Line | Refused]
    ignored_columns: list[str]


def read(stream: BinaryIO) -> LabelFile:
    """Read a label file in UTF-8. Raise InvalidInput for a header that names no images or no class.

    What is wrong with a single line is a `Refused` in its place.
    """
    lines = _Physical(stream)
    header = next((line for line in lines if line.strip()), "")
    if _BAD in header:
        raise InvalidInput("The label file's header is no text in UTF-8; save the table as CSV in UTF-8.")
    delimiter = max(",;\t", key=header.count)
    names = [name.strip() for name in next(csv.reader([header], delimiter=delimiter), [])]
    columns = [COLUMNS.get(name.casefold().translate(str.maketrans("", "", " -_"))) for name in names]
    _check(names, columns)
    ignored = [name for name, column in zip(names, columns, strict=True) if column is None and name]
    return LabelFile(_rows(lines, columns, delimiter), ignored)


class _Physical:
    """The lines of a file, counted; none is held longer than its bound."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        raw = self._stream.readline(_LONGEST_LINE)
        if not raw:
            raise StopIteration
        too_long = len(raw) == _LONGEST_LINE and not raw.endswith(b"\n")
        while too_long and (more := self._stream.readline(_LONGEST_LINE)) and not more.endswith(b"\n"):
            pass
        self.number += 1
        text = raw[:_SHOWN].decode("utf-8", "replace") + _BAD if too_long else raw.decode("utf-8", "replace")
        return text.removeprefix("\ufeff") if self.number == 1 else text


def _check(names: list[str], columns: list[str | None]) -> None:
    told = f"its header says {', '.join(names)[:_SHOWN] or 'nothing'}"
    if "class" not in columns or not set(columns) & set(KEYS):
        raise InvalidInput(
            f"A label file needs a column `class` and one of {', '.join(f'`{key}`' for key in KEYS)}; {told}."
        )
    for column in set(columns) - {None}:
        if columns.count(column) > 1:
            raise InvalidInput(f"A label file has one column for `{column}`; {told}.")


def _rows(lines: "_Physical", columns: list[str | None], delimiter: str) -> Iterator[Line | Refused]:
    reader = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True)
    while True:
        first = lines.number + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Refused(first, f"{_span(first, lines.number)} no CSV ({error}); is a quote left open?", "")
            continue
        if any(cell.strip() for cell in cells):
            yield _line(first, lines.number, cells, columns)


def _line(first: int, last: int, cells: list[str], columns: list[str | None]) -> Line | Refused:
    text = ", ".join(cells)[:_SHOWN]
    if any(_BAD in cell or "\x00" in cell for cell in cells):
        return Refused(first, f"The line is no text in UTF-8, or longer than {_LONGEST_LINE:,} bytes.", text)
    if len(cells) > len(columns) and any(cell.strip() for cell in cells[len(columns) :]):
        return Refused(
            first, f"The line has {len(cells)} values for {len(columns)} columns; quote what holds commas.", text
        )
    values = {column: cell.strip() for column, cell in zip(columns, cells, strict=False) if column is not None}
    if last > first and any("\n" in value for column, value in values.items() if column != "reason"):
        return Refused(first, f"{_span(first, last)} one value; is a quote left open?", text)
    return line(first, values)


def _span(first: int, last: int) -> str:
    return f"Lines {first} to {last} are" if last > first else f"Line {first} is"


def line(number: int, values: Mapping[str, str]) -> Line:
    """A line of its values by column, those that are missing being empty."""
    keys = Keys(**{key: values.get(key, "") for key in KEYS})
    rest = {name: values.get(name, "") for name in ("source", "author", "time", "reason")}
    return Line(number=number, keys=keys, class_name=values.get("class", ""), **rest)
