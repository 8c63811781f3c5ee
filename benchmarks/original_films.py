"""JPEG files of the size that films come in: different bytes and different pixels, as many as asked for."""

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

CORPUS = Path(__file__).resolve().parents[1] / "../shared/corpus/chest/original_size"
# The quality at which Pillow's files are as large as the originals (0.998 of their bytes, 2026-11).
QUALITY = 92
SIMULATED_SIZE = (1291, 920)


def original_films(count: int, folder: Path = CORPUS) -> list[bytes]:
    """`count` films made from those of `folder`, each shifted by some pixels and encoded anew at its own size.

    Simulated scans of 1291 x 920 pixels where the folder is absent.
    """
    sources = sorted(folder.rglob("*.jp*g")) if folder.is_dir() else []
    planes = [_plane(path) for path in sources] or _simulated(min(count, 60))
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda number: _variant(planes[number % len(planes)], number), range(count)))


def _plane(path: Path) -> Image.Image:
    with Image.open(path) as film:
        return film.copy()  # some films of the corpus are grey, some are grey in three channels


def _simulated(count: int) -> list[Image.Image]:
    from app.simulator import port_day

    scans = port_day(count, seed=0)
    return [Image.fromarray(scan.pixels).convert("L").resize(SIMULATED_SIZE) for scan in scans]


def _variant(film: Image.Image, number: int) -> bytes:
    rng = np.random.default_rng(number)
    shift = rng.integers(-12, 13, 2)
    moved = np.roll(np.asarray(film), shift, axis=(0, 1))
    content = io.BytesIO()
    Image.fromarray(moved).save(content, "JPEG", quality=QUALITY, comment=f"film {number}")
    return content.getvalue()
