"""Multipart uploads, streamed to disk while they are hashed and bounded.

FastAPI's own form parser would spool every file twice and knows no bound on a file; this one
writes each chunk where the original will stay. Fields may come before or after the files.
"""

from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Request
from pydantic import TypeAdapter, ValidationError
from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from app.api.bodies import sentence
from app.api.schemas import MetadataIn
from app.blobs import BlobStore, Incoming
from app.config import Settings
from app.deps import CallerDep, PartsDep
from app.errors import InvalidInput, TooLarge, UnusableImage
from app.services.ingest import Metadata, Received, Refusal

_MAX_FIELD_BYTES = 256 * 1024
_FIELDS = ("subject", "source", "captured_at", "tags", "declared", "profile", "metadata")
_PER_FILE = TypeAdapter(list[MetadataIn])
_DECLARED = TypeAdapter(dict[str, str])


@dataclass
class Upload:
    """The files of a request on disk, those refused while they came in, and its fields."""

    received: list[Received]
    refused: list[Refusal]
    fields: dict[str, list[str]]


@dataclass
class _Part:
    name: str
    file_name: str | None
    file: Incoming | None = None
    value: bytearray = field(default_factory=bytearray)
    problem: UnusableImage | None = None


class _Receiver:
    """The parser's callbacks: headers become a part, a part's bytes a file or a field."""

    def __init__(self, blobs: BlobStore, settings: Settings, stack: ExitStack) -> None:
        self._blobs, self._settings, self._stack = blobs, settings, stack
        self._header = bytearray()
        self._value = bytearray()
        self._headers: dict[bytes, bytes] = {}
        self.parts: list[_Part] = []
        self.whole = False

    def callbacks(self) -> dict[str, Any]:
        return {
            "on_part_begin": self._headers.clear,
            "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._header_end,
            "on_headers_finished": self._part_begin,
            "on_part_data": self._part_data,
            "on_part_end": self._part_end,
            "on_end": self._end,
        }

    def _header_end(self) -> None:
        self._headers[bytes(self._header).lower()] = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _part_begin(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        file_name = options.get(b"filename")
        if file_name is None and name not in _FIELDS:
            raise InvalidInput(f"The form has an unknown field {name or '(unnamed)'}; known: {', '.join(_FIELDS)}.")
        part = _Part(name, None if file_name is None else _clean(file_name))
        if part.file_name is not None:
            if sum(p.file is not None for p in self.parts) >= self._settings.max_files_per_request:
                raise TooLarge(f"Send at most {self._settings.max_files_per_request} files in a request.")
            part.file = self._stack.enter_context(self._blobs.receive(self._settings.max_file_bytes))
        self.parts.append(part)

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        part = self.parts[-1]
        if part.problem is not None:
            return
        if part.file is None:
            part.value.extend(data[start:end])
            if len(part.value) > _MAX_FIELD_BYTES:
                raise TooLarge(f"The field {part.name} has more than {_MAX_FIELD_BYTES:,} bytes.")
            return
        try:
            part.file.write(data[start:end])
        except UnusableImage as problem:
            part.problem = problem

    def _part_end(self) -> None:
        # At once: a thousand files in a request would be a thousand open descriptors.
        if self.parts[-1].file is not None:
            self.parts[-1].file.close()

    def _end(self) -> None:
        self.whole = True


def _clean(file_name: bytes) -> str:
    """A name for people to read; it is never used as a path."""
    name = file_name.decode("utf-8", "replace").replace("\x00", "").replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(c for c in name if c.isprintable())[:255] or "unnamed"


async def receive_upload(request: Request, parts: PartsDep, _: CallerDep) -> AsyncIterator[Upload]:
    """The request's files and fields; whatever was not kept is removed when the answer is sent.

    Raise InvalidInput for a body that is no whole multipart form, TooLarge past a bound.
    """
    with ExitStack() as stack:
        receiver = _Receiver(parts.blobs, parts.settings, stack)
        try:
            parser = MultipartParser(_boundary(request), receiver.callbacks())  # type: ignore[arg-type]
            async for chunk in request.stream():
                parser.write(chunk)
            parser.finalize()
        except FormParserError as error:
            raise InvalidInput(f"The multipart form cannot be read: {error}") from error
        if not receiver.whole:
            raise InvalidInput("The multipart form ends before its closing boundary; send it again.")
        yield _sorted(receiver.parts)


UploadDep = Annotated[Upload, Depends(receive_upload)]


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not boundary:
        raise InvalidInput("Send the files as multipart/form-data, such as `curl -F files=@scan.jpg`.")
    return boundary


def _sorted(parts: list[_Part]) -> Upload:
    files = [part for part in parts if part.file is not None]
    if not files:
        raise InvalidInput("The form has no file; send at least one, such as `curl -F files=@scan.jpg`.")
    fields: dict[str, list[str]] = {}
    for part in parts:
        if part.file is None:
            fields.setdefault(part.name, []).append(part.value.decode("utf-8", "replace"))
    metadata = _metadata(fields, len(files))
    upload = Upload([], [], fields)
    for position, (part, known) in enumerate(zip(files, metadata, strict=True)):
        assert part.file is not None
        name = part.file_name or "unnamed"
        if part.problem is not None:
            upload.refused.append(Refusal(name, part.problem, position))
        else:
            upload.received.append(Received(name, part.file, known, position))
    return upload


def _metadata(fields: dict[str, list[str]], count: int) -> list[Metadata]:
    """Each file's metadata: the form's own fields, or one JSON list in `metadata`, an entry a file."""
    common = {name: fields[name][-1] for name in ("subject", "source", "captured_at", "profile") if fields.get(name)}
    try:
        if "metadata" in fields:
            if common or fields.get("tags") or fields.get("declared"):
                raise InvalidInput("Give either `metadata` or the single fields, not both.")
            return _per_file(fields["metadata"][-1], count)
        declared = _declared(fields["declared"][-1]) if fields.get("declared") else {}
        tags = [tag.strip() for value in fields.get("tags", []) for tag in value.split(",") if tag.strip()]
        shared = MetadataIn.model_validate({**common, "tags": tags, "declared": declared})
    except ValidationError as error:
        raise InvalidInput(sentence(error)) from error
    return [shared.to_metadata()] * count


def _per_file(value: str, count: int) -> list[Metadata]:
    try:
        entries = _PER_FILE.validate_json(value)
    except ValidationError as error:
        raise InvalidInput(f"`metadata` must be a JSON list with one object a file ({sentence(error)}).") from error
    if len(entries) != count:
        raise InvalidInput(f"`metadata` has {len(entries)} entries for {count} files; give one a file.")
    return [entry.to_metadata() for entry in entries]


def _declared(value: str) -> dict[str, str]:
    try:
        return _DECLARED.validate_json(value)
    except ValidationError as error:
        raise InvalidInput(f"`declared` must be a JSON object of task: class ({sentence(error)}).") from error
