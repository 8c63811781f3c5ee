"""A DICOM file as a stream that its reader can be trusted with: never deflated, never of another kind.

pydicom inflates a deflated data set in memory and without a bound; here it is inflated to disk, within the bound of
a file.
"""

import logging
import struct
import tempfile
import warnings
import zlib
from typing import BinaryIO

from app.imaging.bounds import Limits, check_bytes

PREAMBLE_BYTES = 132
EXPLICIT = b"1.2.840.10008.1.2.1"
DEFLATED = b"1.2.840.10008.1.2.1.99"
_LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
_CHUNK_BYTES = 1 << 20


def plain(stream: BinaryIO, limits: Limits) -> BinaryIO:
    """`stream`, or where its data set is deflated a temporary file that holds it inflated, as explicit VR.

    Raises UnusableImage(TOO_MANY_BYTES) when it would inflate beyond the bound of a file; zlib.error and struct.error
    for damaged content.
    """
    stream.seek(0)
    head = stream.read(PREAMBLE_BYTES)
    if head[128:] != b"DICM":
        stream.seek(0)
        return stream
    meta, syntax = _meta(stream)
    if syntax != DEFLATED:
        stream.seek(0)
        return stream
    inflated = tempfile.TemporaryFile()  # noqa: SIM115 (the caller closes what it is given)
    try:
        # As long as it was: the group keeps its length.
        inflated.write(head + meta.replace(DEFLATED, EXPLICIT.ljust(len(DEFLATED), b"\0")))
        _inflate(stream, inflated, limits)
    except BaseException:
        inflated.close()
        raise
    inflated.seek(0)
    return inflated


def _meta(stream: BinaryIO) -> tuple[bytes, bytes]:
    """The bytes of the file meta information that the stream is at, and the transfer syntax it names.

    Leaves the stream at the data set.
    """
    start, syntax = stream.tell(), b""
    while len(tag := stream.read(6)) == 6 and tag[:2] == b"\x02\0":
        if tag[4:] in _LONG:
            stream.read(2)
            (length,) = struct.unpack("<I", stream.read(4))
        else:
            (length,) = struct.unpack("<H", stream.read(2))
        if tag[2:4] == b"\x10\0":
            syntax = stream.read(min(length, 64)).rstrip(b"\0 ")
        else:
            stream.seek(length, 1)
    end = stream.tell() - len(tag)
    stream.seek(start)
    return stream.read(end - start), syntax


def _inflate(stream: BinaryIO, inflated: BinaryIO, limits: Limits) -> None:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    pending = b""
    while not inflater.eof:
        pending = pending or stream.read(_CHUNK_BYTES)
        content = inflater.decompress(pending, _CHUNK_BYTES)
        if not content and not pending:
            raise zlib.error("the deflated data set ends early")
        inflated.write(content)
        check_bytes(inflated.tell(), limits)
        pending = inflater.unconsumed_tail


def quiet() -> None:
    """Keep pydicom from saying what it thinks of values: its warnings and log lines quote them, names included."""
    from pydicom import config  # noqa: PLC0415

    config.settings.reading_validation_mode = config.IGNORE
    config.settings.writing_validation_mode = config.IGNORE
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", category=UserWarning, module=r"pydicom(\.|$)|app\.imaging\.d(icom|eident)")
