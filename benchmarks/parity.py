"""`python -m benchmarks.parity`: every engine and precision of this machine against TensorFlow in fp32, on real scans.

Cosines and errors on 200 chest films and all container scans; the change in AUC of a logistic head (normal or
pneumonia) that was trained on the reference's vectors of other patients' films and judges the 200 by each engine's.
Each engine runs in a process of its own. The row of int8 needs penumbra[int8], those of jax penumbra[jax].
"""

import argparse
import hashlib
import multiprocessing
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from app.features.engines.environment import installed
from app.features.spec import Features
from app.imaging import Limits, Preprocessing, load

CORPUS = Path(__file__).resolve().parents[1] / "../shared/corpus"
IMAGENET = CORPUS / "weights/densenet121_imagenet_full_float32.npz"
XRAY = "densenet121-xray"
JUDGED, LEARNT = 200, 1200
REFERENCE = ("tensorflow", "fp32")
CASES = (
    REFERENCE, ("openvino", "fp32"), ("openvino", "bf16"), ("openvino", "int8"), ("tensorflow-xla", "fp32"),
    ("tensorflow", "bf16"), ("tensorflow-xla", "bf16"), ("jax", "fp32"), ("jax", "bf16"),
)  # fmt: skip
ALSO = ((REFERENCE, ("openvino", "fp32"), ("openvino", "bf16")), "densenet121-imagenet", str(IMAGENET))


@dataclass(frozen=True)
class Scans:
    """Pixels of the judged films, the containers and the films that the head learns from; what the films show."""

    judged: int
    pixels: NDArray[np.float32]
    learnt: NDArray[np.float32]
    sick: NDArray[np.bool_]
    sick_learnt: NDArray[np.bool_]


def scans() -> Scans:
    """Films, taken evenly by a hash of the patient so that no patient is on both sides, and all containers."""
    films = sorted((CORPUS / "chest/train").rglob("*.jpeg"))
    judged = _evenly([film for film in films if _side(film) == 0], JUDGED)
    learnt = _evenly([film for film in films if _side(film) != 0], LEARNT)
    containers = sorted((CORPUS / "container").rglob("*.jpg"))
    bounds, plain = Limits(2**28, 10**8, 16), Preprocessing()
    pixels, taught = (
        np.stack([load(path, bounds, plain) for path in paths]) for paths in (judged + containers, learnt)
    )
    sick, sick_learnt = (np.array([path.parent.name == "PNEUMONIA" for path in paths]) for paths in (judged, learnt))
    return Scans(len(judged), pixels, taught, sick, sick_learnt)


def _side(film: Path) -> int:
    patient = re.search(r"person\d+|IM-\d+", film.name)
    assert patient is not None
    return int(hashlib.sha256(patient[0].encode()).hexdigest(), 16) % 5


def _evenly(paths: list[Path], count: int) -> list[Path]:
    """`count` of `paths`, as many of each folder."""
    found = []
    for folder in sorted({path.parent for path in paths}):
        inside = [path for path in paths if path.parent == folder]
        found += [inside[i * len(inside) // (count // 2)] for i in range(count // 2)]
    return found


def _extract(name: str, weights: str | None, engine: str, precision: str, cache: str, pixels: str) -> tuple[str, ...]:
    """In a process of its own: the engine's name, and where its vectors lie."""
    from app.features.engines import build_extractor
    from app.features.golden import check
    from app.features.quantise import quantise
    from app.features.weights import resolve

    folder = Path(cache)
    which = name
    if precision == "int8":
        which = quantise(resolve(name, weights).spec, f"{name}-int8", weights_dir=folder, cache_dir=folder)
        precision = "auto"
    extractor = build_extractor(
        which, weights=weights, engine=engine, precision=precision, device="cpu", cache_dir=folder, weights_dir=folder
    )
    check(extractor)
    features = extractor.extract(np.load(pixels))
    stored = folder / f"{name}-{extractor.engine.replace('/', '-')}-{Path(pixels).stem}.npz"
    np.savez(stored, avg=features.avg, max=features.max)
    return extractor.engine, str(stored)


def _apart(*arguments: str | None) -> tuple[str, Features]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        engine, stored = pool.apply(_extract, arguments)
    with np.load(stored) as vectors:
        return engine, Features(vectors["avg"], vectors["max"])


def cosines(ours: NDArray[np.float32], reference: NDArray[np.float32]) -> NDArray[np.float64]:
    a, b = ours.astype(np.float64), reference.astype(np.float64)
    return np.asarray((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1))


def _error(ours: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    """The largest length of a difference over the length of the reference's vector."""
    return float((np.linalg.norm(ours - reference, axis=1) / np.linalg.norm(reference, axis=1)).max())


def rows(
    folder: Path, cases: tuple[tuple[str, str], ...], name: str, weights: str | None, given: Scans
) -> Iterator[tuple[str, ...]]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    files = [folder / "judged.npy", folder / "learnt.npy"]
    for file, pixels in zip(files, (given.pixels, given.learnt), strict=True):
        np.save(file, pixels)
    _, taught = _apart(name, weights, *REFERENCE, str(folder), str(files[1]))
    head = make_pipeline(StandardScaler(), LogisticRegression(C=1e-3, max_iter=2000))
    head.fit(np.hstack([taught.avg, taught.max]), given.sick_learnt)

    def auc(features: Features) -> float:
        vectors = np.hstack([features.avg, features.max])[: given.judged]
        return float(roc_auc_score(given.sick, head.decision_function(vectors)))

    _, reference = _apart(name, weights, *REFERENCE, str(folder), str(files[0]))
    for engine, precision in cases:
        called, ours = _apart(name, weights, engine, precision, str(folder), str(files[0]))
        pairs = [(ours.avg, reference.avg), (ours.max, reference.max)]
        lowest = [f"{cosines(*pair).min():.6f}" for pair in pairs]
        error = max(_error(*pair) for pair in pairs)
        change = f"{auc(ours) - auc(reference):+.5f}"
        yield name, called, *lowest, f"{error:.1e}", f"{auc(ours):.5f}", change


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parity", description=__doc__)
    parser.add_argument("--without", default="", help="engines or precisions to leave out: jax,int8")
    left = set(parser.parse_args().without.split(","))
    if not IMAGENET.is_file():
        print("The real scans of ../shared/corpus are not on this machine.", file=sys.stderr)
        return 1
    left |= {word for word, package in (("jax", "jax"), ("int8", "nncf")) if not installed(package)}
    cases = tuple(case for case in CASES if left.isdisjoint(case))
    given = scans()
    heads = ("feature set", "engine", "cosine avg", "cosine max", "error", "AUC", "change")
    table = Table(*heads, title=f"{len(given.pixels)} scans against tensorflow/fp32: lowest cosines, largest error")
    with tempfile.TemporaryDirectory(prefix="penumbra-parity-") as folder:
        for row in rows(Path(folder), cases, XRAY, None, given):
            table.add_row(*row)
            print(*row, file=sys.stderr, flush=True)
        for row in rows(Path(folder), ALSO[0], ALSO[1], ALSO[2], given):
            table.add_row(*row)
    Console(width=130).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
