"""Datasets as `.npz`: arrays that `numpy.load` reads without pickle."""

import io
import json
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterable
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from app.datasets.exchange import Header, Part, check_claim, checked
from app.errors import InvalidInput

_TEXTS = {"image_id": "image_ids", "sha256": "sha256", "class": "class_names", "split": "splits", "subject": "subjects"}
_EXPECTED = {"header", "ordinals", "avg", "max", *_TEXTS.values()}
_CHUNK_BYTES = 1 << 24


def write(file: IO[bytes], header: Header, parts: Iterable[Part]) -> None:
    """Write `parts`, one in memory at a time. Arrays: header (JSON text), avg and max float32 (n, dim), and a text or
    number a row in image_ids, sha256 (hex), ordinals, class_names, splits, subjects."""
    rows: list[tuple[str, str, int, str, str, str]] = []
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive, tempfile.TemporaryFile() as later:
        with archive.open("avg.npy", "w", force_zip64=True) as avg:
            avg.write(_matrix_header(header.rows, header.avg_dim))
            for part in parts:
                avg.write(part.avg.astype("<f4", copy=False).tobytes())
                later.write(part.max.astype("<f4", copy=False).tobytes())
                rows += [
                    (image, e.sha256.hex(), e.ordinal, e.class_name, e.subject, e.split)
                    for image, e in zip(part.image_ids, part.entries, strict=True)
                ]
        with archive.open("max.npy", "w", force_zip64=True) as max_:
            max_.write(_matrix_header(header.rows, header.max_dim))
            later.seek(0)
            shutil.copyfileobj(later, max_, _CHUNK_BYTES)
        image_ids, sha256, ordinals, class_names, subjects, splits = zip(*rows, strict=True)
        texts = {"image_ids": image_ids, "sha256": sha256, "class_names": class_names, "subjects": subjects}
        for name, values in {**texts, "splits": splits, "header": json.dumps(header.to_json())}.items():
            _add(archive, name, np.array(values, dtype=np.str_))
        _add(archive, "ordinals", np.array(ordinals, np.int16))


def read(file: IO[bytes], file_bytes: int) -> tuple[Header, Part]:
    """Read what `write` wrote. Raises InvalidInput for anything else."""
    try:
        with zipfile.ZipFile(file) as archive:
            _check_members(archive, file_bytes)
        file.seek(0)
        with np.load(file, allow_pickle=False) as arrays:
            header = Header.from_json(json.loads(str(arrays["header"])))
            columns: dict[str, Any] = {name: _texts(arrays[key]) for name, key in _TEXTS.items()}
            columns["ordinal"] = _numbers(arrays["ordinals"])
            return header, checked(header, columns, _plain(arrays["avg"]), _plain(arrays["max"]))
    except (
        ValueError,
        KeyError,
        OSError,
        EOFError,
        MemoryError,
        NotImplementedError,
        RuntimeError,
        SyntaxError,
    ) as error:
        raise InvalidInput(f"The file is no dataset in .npz: {error}") from error
    except (zipfile.BadZipFile, zlib.error, RecursionError) as error:
        raise InvalidInput(f"The file is no whole .npz: {error}") from error


def _check_members(archive: zipfile.ZipFile, file_bytes: int) -> None:
    """Each array must be what its own header promises, before memory is asked for."""
    members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    if missing := sorted(_EXPECTED - set(members)):
        raise InvalidInput(f"The file is no dataset: it lacks {', '.join(missing)}.")
    check_claim(sum(info.file_size for info in archive.infolist()), file_bytes)
    for name in _EXPECTED:
        with archive.open(members[name]) as member:
            version = npy.read_magic(member)
            if version not in ((1, 0), (2, 0)):
                raise InvalidInput(f"'{name}' is in an array format that is not read here: {version}.")
            reader = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, _, dtype = reader(member)
            if dtype.hasobject:
                raise InvalidInput(f"'{name}' holds pickled objects, which are never read; export the dataset again.")
            if (
                member.tell() + int(np.prod([int(n) for n in shape], dtype=object)) * dtype.itemsize
                != members[name].file_size
            ):
                raise InvalidInput(f"'{name}' claims the shape {shape}, which its bytes do not fill.")


def _matrix_header(rows: int, width: int) -> bytes:
    stream = io.BytesIO()
    npy.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": (rows, width)})
    return stream.getvalue()


def _add(archive: zipfile.ZipFile, name: str, array: np.ndarray[Any, Any]) -> None:
    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
        npy.write_array(member, array, allow_pickle=False)


def _plain(matrix: Any) -> Any:
    """Little-endian and in rows, as the rest of Penumbra takes them."""
    native = matrix.dtype.newbyteorder("=") if matrix.dtype.kind == "f" else matrix.dtype
    return np.ascontiguousarray(matrix, dtype=native) if matrix.ndim == 2 else matrix


def _texts(values: Any) -> list[str]:
    if values.dtype.kind != "U" or values.ndim != 1:
        raise InvalidInput(f"A column of texts is {values.dtype} {values.shape}; export the dataset again.")
    return list(values.tolist())


def _numbers(values: Any) -> list[int]:
    if values.dtype.kind not in "iu" or values.ndim != 1:
        raise InvalidInput(f"The ordinals are {values.dtype} {values.shape}; export the dataset again.")
    return list(values.tolist())
