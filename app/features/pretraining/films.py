"""Films and scans without labels, reduced to the size that training draws from and kept in memory."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.errors import AppError, InvalidInput
from app.imaging import Limits, Preprocessing, load

SIDE = 256
SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".dcm", ".bmp", ".webp"}
LIMITS = Limits(max_bytes=1 << 28, max_pixels=1 << 28, min_side=32)


def found(folders: Sequence[Path]) -> list[Path]:
    """Every scan below `folders`, sorted. Raises InvalidInput for a folder that is absent or holds none."""
    files = []
    for folder in folders:
        if not folder.is_dir():
            raise InvalidInput(f"There is no folder {folder}: name one with films.")
        inside = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
        if not inside:
            raise InvalidInput(f"Folder {folder} holds no film ({', '.join(sorted(SUFFIXES))}).")
        files += inside
    return files


def read(
    files: Sequence[Path], on_progress: Callable[[int, int], None] = lambda *_: None
) -> tuple[NDArray[np.uint8], str, list[tuple[Path, str]]]:
    """Planes uint8 (n, SIDE, SIDE), the SHA-256 of the files' contents in order, and files that cannot be read.

    A damaged file is left out and named with its reason; the others are read.
    """
    digest, refused, planes = sha256(), list[tuple[Path, str]](), list[NDArray[np.uint8]]()
    steps = Preprocessing(height=SIDE, width=SIDE)

    def plane(path: Path) -> tuple[bytes, NDArray[np.uint8] | str]:
        content = path.read_bytes()
        try:
            return content, np.rint(load(content, LIMITS, steps) * 255).astype(np.uint8)
        except AppError as error:
            return content, error.message

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for number, (path, (content, one)) in enumerate(zip(files, pool.map(plane, files), strict=True), start=1):
            if isinstance(one, str):
                refused.append((path, one))
            else:
                digest.update(sha256(content).digest())
                planes.append(one)
            if number % 100 == 0 or number == len(files):
                on_progress(number, len(files))
    if not planes:
        raise InvalidInput("None of the films can be read.")
    return np.stack(planes), digest.hexdigest(), refused
