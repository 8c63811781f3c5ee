"""A DICOM file without what says whom it shows: only attributes that a picture needs, and pseudonyms (decision 0010).

The pixels are copied byte for byte. The same file and key give the same bytes, so that a scan that comes again is
known; a file that was made here passes unchanged.
"""

import hashlib
import hmac
import re
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, BinaryIO, Protocol

from app.errors import Unusable, UnusableImage
from app.imaging.bounds import Limits
from app.imaging.dicom import UNDEFINED_LENGTH, Study, code_word, dicom_errors, opened
from app.imaging.dicom_tags import CODES, DECIMAL, IDENTIFYING, REPLACED_UIDS, SEQUENCES, TABLES, WHOLE

METHOD = "Penumbra 1: what is not known to be harmless is removed"
_MOST_DEPTH = 3
_MOST_ITEMS = 4096
_CHUNK_BYTES = 1 << 20
_IMPLEMENTATION_UID = "2.25.280364121386370361421385210430372034801"
_OURS = re.compile(r"anon-[0-9a-f]{32}")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_SORTS = {**dict.fromkeys(WHOLE, "whole"), **dict.fromkeys(DECIMAL, "decimal"), **dict.fromkeys(TABLES, "table"),
          **dict.fromkeys(CODES, "code"), **dict.fromkeys(SEQUENCES, "sequence")}  # fmt: skip


class Sink(Protocol):
    """Where the bytes go."""

    def write(self, chunk: bytes, /) -> object: ...


@dataclass(frozen=True)
class Origin:
    """What the file said of where it came from, as far as it may be kept.

    subject: the patient's pseudonym, or the study's where no patient is named; None where neither is. name takes the
    place of the file's own, which may be the patient's. taken_at: when the picture was taken, for those who keep dates.
    """

    subject: str | None
    name: str | None
    taken_at: datetime | None


def deidentify(stream: BinaryIO, sink: Sink, key: bytes, limits: Limits) -> Origin:
    """Write the DICOM file `stream` to `sink` without identifying attributes; what it said of its origin.

    Raises UnusableImage: as `inspect` does, CORRUPT where the pixels end early, and IDENTIFYING_PIXELS where the file
    says that the patient's identity is written in the picture.
    """
    with opened(stream, limits) as study, dicom_errors():
        if code_word(study.dataset.get("BurnedInAnnotation")) == "YES":
            raise UnusableImage(
                Unusable.IDENTIFYING_PIXELS,
                "The DICOM file says that identifying text is burned into its pixels: mask the text and set "
                "BurnedInAnnotation to NO, or set PENUMBRA_KEEP_DICOM_IDENTITY.",
            )
        made = _kept(study.dataset, _names(study.dataset), 0)
        pseudonyms = _Pseudonyms(study.dataset, key)
        pseudonyms.write(made)
        _write_head(study, made, sink)
        _copy_pixels(study, sink)
        name = hashlib.sha256(str(made.SOPInstanceUID).encode()).hexdigest()[:16]
        return Origin(pseudonyms.subject, f"{name}.dcm", taken_at(study.dataset))


def origin(stream: BinaryIO, limits: Limits) -> Origin:
    """What a DICOM file says of its origin, as it says it: for stores that keep identities. Raises UnusableImage."""
    with opened(stream, limits) as study, dicom_errors():
        return Origin(_text(study.dataset.get("PatientID")) or None, None, taken_at(study.dataset))


class _Pseudonyms:
    """The file's subject and UIDs, by keyed hash; those of a file that was made here are kept."""

    def __init__(self, dataset: Any, key: bytes) -> None:
        self._dataset, self._key = dataset, key
        patient = _text(dataset.get("PatientID"))
        self._done = _text(dataset.get("DeidentificationMethod")) == METHOD and (
            not patient or _OURS.fullmatch(patient) is not None
        )
        study = _text(dataset.get("StudyInstanceUID"))
        if self._done:
            self.subject = patient or None
        elif patient:
            self.subject = self._named("patient", _text(dataset.get("IssuerOfPatientID")), patient)
        else:
            self.subject = self._named("study", study) if study else None

    def write(self, made: Any) -> None:
        for keyword in REPLACED_UIDS:
            uid = _text(self._dataset.get(keyword))
            if uid or keyword == "SOPInstanceUID":
                setattr(made, keyword, uid if self._done and uid.startswith("2.25.") else self._uid(uid))
        made.PatientName, made.PatientID = "", self.subject or ""
        made.PatientIdentityRemoved, made.DeidentificationMethod = "YES", METHOD
        made.LongitudinalTemporalInformationModified = "REMOVED"
        kind = _text(self._dataset.get("SOPClassUID"))
        if kind.startswith("1.2.840.10008.") and len(kind) <= 64:
            made.SOPClassUID = kind

    def _uid(self, uid: str) -> str:
        return f"2.25.{int.from_bytes(self._hash('uid', uid)[:16])}"

    def _named(self, *what: str) -> str:
        return f"anon-{self._hash(*what)[:16].hex()}"

    def _hash(self, *what: str) -> bytes:
        return hmac.digest(self._key, "\0".join(what).encode("utf-8", "surrogatepass"), "sha256")


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip().rstrip("\0")


def _names(dataset: Any) -> frozenset[str]:
    """The words that name the patient: a code that is one of them is dropped."""
    said = " ".join(_text(dataset.get(keyword)) for keyword in IDENTIFYING)
    return frozenset(word for word in re.split(r"[\W_]+", said.upper()) if word)


def _kept(dataset: Any, names: frozenset[str], depth: int) -> Any:
    """A data set of the attributes that stay, each as the kind of value that the standard gives it."""
    from pydicom.dataset import Dataset  # noqa: PLC0415

    made = Dataset()
    for keyword, sort in _SORTS.items():
        if keyword not in dataset:
            continue
        element = dataset[keyword]
        value = _value(element, sort, names, depth)
        if value is not None:
            made.add_new(element.tag, element.VR, value)
    return made


def _value(element: Any, sort: str, names: frozenset[str], depth: int) -> Any:
    """The element's value when it is of the sort that its attribute has; None for anything else."""
    if sort == "sequence":
        if element.VR != "SQ" or depth >= _MOST_DEPTH or len(element.value) > _MOST_ITEMS:
            return None
        return [_kept(item, names, depth + 1) for item in element.value]
    if sort == "table":
        return element.value if element.VR in {"OW", "OB", "US", "SS", "OV"} else None
    if element.VR in {"US", "SS", "UL", "SL", "FD", "FL"}:
        return None if sort == "code" else element.value
    words = [_text(value) for value in (element.value if element.VM > 1 else [element.value])]
    if sort == "code":
        told = element.VR != "CS" or any(
            code_word(word) is None or set(re.split(r"[ _]", word)) & names for word in words
        )
    else:
        told = element.VR not in {"DS", "IS"} or not all(_NUMBER.fullmatch(word) for word in words)
    return None if told else words


def _write_head(study: Study, made: Any, sink: Sink) -> None:
    """Preamble, file meta information and every element before the pixels."""
    from pydicom.dataset import FileMetaDataset  # noqa: PLC0415
    from pydicom.filebase import DicomBytesIO  # noqa: PLC0415
    from pydicom.filewriter import write_dataset, write_file_meta_info  # noqa: PLC0415
    from pydicom.uid import UID  # noqa: PLC0415

    syntax = UID(study.syntax)
    meta = FileMetaDataset()
    meta.FileMetaInformationGroupLength = 0  # the writer counts
    meta.FileMetaInformationVersion = b"\0\1"
    if "SOPClassUID" in made:
        meta.MediaStorageSOPClassUID = made.SOPClassUID
    meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    meta.ImplementationClassUID = _IMPLEMENTATION_UID
    head = DicomBytesIO()
    head.is_little_endian, head.is_implicit_VR = True, False
    head.write(b"\0" * 128 + b"DICM")
    write_file_meta_info(head, meta, enforce_standard=False)
    head.is_little_endian, head.is_implicit_VR = syntax.is_little_endian, syntax.is_implicit_VR
    write_dataset(head, made)
    order = "<" if syntax.is_little_endian else ">"
    length = UNDEFINED_LENGTH if study.pixels.length is None else study.pixels.length
    head.write(struct.pack(f"{order}HH", 0x7FE0, 0x0010))
    kind = b"" if syntax.is_implicit_VR else study.pixels.vr.encode("ascii") + b"\0\0"
    head.write(kind + struct.pack(f"{order}I", length))
    sink.write(head.getvalue())


def _copy_pixels(study: Study, sink: Sink) -> None:
    """The value of the pixel data, byte for byte; what comes behind it is left out."""
    stream = study.stream
    stream.seek(study.pixels.value)
    if study.pixels.length is not None:
        _copy(stream, sink, study.pixels.length)
        return
    while True:
        head = stream.read(8)
        group, element, length = struct.unpack("<HHI", head) if len(head) == 8 else (0xFFFE, 0xE0DD, 0)
        if (group, element) == (0xFFFE, 0xE0DD):  # or the file ends between two items: the end is put there
            sink.write(struct.pack("<HHI", 0xFFFE, 0xE0DD, 0))
            return
        if (group, element) != (0xFFFE, 0xE000):
            raise ValueError("something else among the items of the pixel data")
        sink.write(head)
        _copy(stream, sink, length)


def _copy(stream: BinaryIO, sink: Sink, length: int) -> None:
    while length:
        chunk = stream.read(min(length, _CHUNK_BYTES))
        if not chunk:
            raise EOFError("the pixel data ends early")
        sink.write(chunk)
        length -= len(chunk)


def taken_at(dataset: Any) -> datetime | None:
    """When the picture was taken, as the file says it; UTC where it names no zone, None where nothing can be read."""
    said = [_text(dataset.get("AcquisitionDateTime"))]
    said += [
        _text(dataset.get(f"{what}Date")).replace(".", "") + _text(dataset.get(f"{what}Time")).replace(":", "")
        for what in ("Acquisition", "Content", "Series", "Study")
    ]
    offset = _text(dataset.get("TimezoneOffsetFromUTC"))
    for moment in said:
        if (parsed := _moment(moment, offset)) is not None:
            return parsed
    return None


def _moment(text: str, offset: str) -> datetime | None:
    found = re.fullmatch(r"(\d{8})(\d{2})?(\d{2})?(\d{2})?(?:\.\d*)?([+-]\d{4})?", text)
    if found is None:
        return None
    day, hour, minute, second, own = found.groups("")
    zone: timezone = UTC
    if re.fullmatch(r"[+-]\d{4}", own or offset):
        sign, hours, minutes = (own or offset)[0], int((own or offset)[1:3]), int((own or offset)[3:])
        shift = timedelta(hours=hours, minutes=minutes)
        zone = timezone(shift if sign == "+" else -shift)
    try:
        clock = (hour or "00") + (minute or "00") + (second or "00")
        return datetime.strptime(day + clock, "%Y%m%d%H%M%S").replace(tzinfo=zone)
    except ValueError:
        return None
