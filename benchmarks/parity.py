"""`python -m benchmarks.parity`: how far engines agree on real scans, against TensorFlow in fp32."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from app.features.engines import build_extractor
from app.features.spec import Features
from app.imaging import Limits, load

CORPUS = Path(__file__).resolve().parents[1] / "../shared/corpus"
FILMS = 200
IMAGENET = CORPUS / "weights/densenet121_imagenet_full_float32.npz"
CASES = (("densenet121-xray", None), ("densenet121-imagenet", str(IMAGENET)))


def scans() -> list[Path]:
    """Chest training films, taken evenly, and all container scans."""
    films = sorted((CORPUS / "chest/train").rglob("*.jpeg"))
    return films[:: len(films) // FILMS][:FILMS] + sorted((CORPUS / "container").rglob("*.jpg"))


def cosines(ours: NDArray[np.float32], reference: NDArray[np.float32]) -> NDArray[np.float64]:
    a, b = ours.astype(np.float64), reference.astype(np.float64)
    return np.asarray((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1))


def rows(cache: Path) -> Iterator[tuple[str, ...]]:
    bounds = Limits(2**28, 10**8, 16)
    for name, weights in CASES:

        def extract(engine: str, precision: str, name: str = name, weights: str | None = weights) -> Features:
            extractor = build_extractor(name, weights=weights, engine=engine, precision=precision, cache_dir=cache)
            pixels = np.stack([load(path, bounds, extractor.spec.preprocessing) for path in scans()])
            parts = [extractor.extract(pixels[i : i + 32]) for i in range(0, len(pixels), 32)]
            return Features(np.concatenate([p.avg for p in parts]), np.concatenate([p.max for p in parts]))

        reference = extract("tensorflow", "fp32")
        for precision in ("bf16", "fp32"):
            ours = extract("openvino", precision)
            pairs = (cosines(ours.avg, reference.avg), cosines(ours.max, reference.max))
            yield (name, precision, *(f"{c.min():.5f}, {c.mean():.5f}" for c in pairs))


def main() -> int:
    if not IMAGENET.is_file():
        print("The real scans of ../shared/corpus are not on this machine.", file=sys.stderr)
        return 1
    table = Table("feature set", "precision", "average-pooled: lowest, mean", "max-pooled: lowest, mean")
    with tempfile.TemporaryDirectory(prefix="penumbra-parity-") as folder:
        for row in rows(Path(folder)):
            table.add_row(*row)
    Console(width=110).print(f"{len(scans())} scans, cosine to TensorFlow fp32", table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
