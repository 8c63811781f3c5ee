"""`python -m benchmarks.simulator --real FOLDER`: how fast scans are simulated, and how like real ones they look.

Likeness is the AUC of a classifier that tells real scans from simulated ones, each judged by a model that never saw
it: 0.5 is a coin, 1 is no likeness at all. Once on the vectors of a network, once on plain statistics of what the
network sees (224 x 224 pixels; in full size the files' own sizes would tell). `--simulated FOLDER` judges files, such
as those of an earlier version, instead of fresh scans. Prints JSON.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import RepeatedStratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from app.features.engines import build_extractor
from app.features.spec import Extractor
from app.imaging.header import Limits
from app.imaging.prepare import load
from app.imaging.preprocessing import Preprocessing
from app.simulator import SCANNER_NAMES, Case, Family, Scan, encode_jpeg, simulate, write_folder

Floats = NDArray[np.floating]
LIMITS = Limits(1 << 28, 80_000_000, 16)
FOLDS, REPEATS = 5, 5
SEED = 811
REAL_FAMILIES = (Family.STACKS, Family.ROLLS, Family.DRUMS, Family.BULK)
"""Of the 25 loaded scans at hand; one more shows brushwood."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulator", description=__doc__)
    parser.add_argument("--real", type=Path, help="folder of real scans, searched deeply; nothing of it is kept")
    parser.add_argument("--simulated", type=Path, help="folder of simulated scans to judge, instead of fresh ones")
    parser.add_argument("--count", type=int, default=300, help="simulated scans to tell from the real ones")
    parser.add_argument("--loaded", type=float, default=25 / 28, help="share of them that is loaded, as of the real")
    parser.add_argument("--scans", type=int, default=600, help="scans to measure the speed with; 0 leaves it out")
    parser.add_argument("--cache", type=Path, help="folder of converted networks; without it, one is made for the run")
    parser.add_argument("--sheet", type=Path, help="picture to draw: every scanner, and every hard case by the first")
    given = parser.parse_args()
    figures: dict[str, Any] = {}
    if given.sheet:
        sheet().save(given.sheet, quality=85)
    if given.scans:
        figures["scans_a_second"] = {str(n): round(speed(given.scans, n), 1) for n in (1, 2)}
    if given.real:
        with tempfile.TemporaryDirectory(prefix="penumbra-bench-") as folder:
            extractor = build_extractor(
                "densenet121-xray", weights=None, engine="auto", precision="auto", cache_dir=given.cache or Path(folder)
            )
            scans = sources(given.simulated, given.count, given.loaded)
            figures["auc"] = likeness(extractor, given.real, scans)
    json.dump(figures, sys.stdout, indent=1)
    print()
    return 0


def speed(scans: int, processes: int) -> float:
    """Scans a second from the call to the last file on disk, JPEG included, processes' start included."""
    with tempfile.TemporaryDirectory(prefix="penumbra-bench-") as folder:
        started = time.perf_counter()
        write_folder(Path(folder), scans, SEED, processes=processes)
        return scans / (time.perf_counter() - started)


def sources(folder: Path | None, wanted: int, loaded_share: float) -> dict[str, list[bytes | Path]]:
    """Simulated scans by what they are."""
    if folder:
        return {folder.name: files(folder)[:wanted]}
    return {
        "port, families as the real": list(islice(alike(loaded_share), wanted)),
        "port, ordinary": list(islice(made(loaded_share, scanner="port", case=Case.ORDINARY), wanted)),
        "as drawn": list(islice(made(loaded_share, scanner=None, case=None), wanted)),
    }


def made(loaded_share: float, *, scanner: str | None, case: Case | None) -> Iterator[bytes]:
    return (encode_jpeg(scan) for scan in drawn(loaded_share, scanner=scanner, case=case))


def alike(loaded_share: float) -> Iterator[bytes]:
    """What the real scans at hand show: the families of their cargo, by the scanner that is fitted to them."""
    scans = drawn(loaded_share, scanner="port", case=Case.ORDINARY)
    return (encode_jpeg(scan) for scan in scans if scan.truth.family in (None, *REAL_FAMILIES))


def drawn(loaded_share: float, *, scanner: str | None, case: Case | None) -> Iterator[Scan]:
    for index in count():
        rng = np.random.default_rng([SEED, index])
        yield simulate(rng, loaded=bool(rng.random() < loaded_share), scanner=scanner, case=case)


def sheet() -> Image.Image:
    """Two scans by each scanner and one of each hard case, with their names."""
    wanted = [(name, Case.ORDINARY, loaded) for name in SCANNER_NAMES for loaded in (False, True)]
    wanted += [("port", case, bool(case.loaded)) for case in Case if case is not Case.ORDINARY]
    across, wide, high = 6, 220, 114
    page = Image.new("RGB", (across * wide, -(-len(wanted) // across) * high), "white")
    draw = ImageDraw.Draw(page)
    for number, (scanner, case, loaded) in enumerate(wanted):
        x, y = number % across * wide, number // across * high
        scan = simulate(np.random.default_rng(SEED + number // 2), scanner=scanner, case=case, loaded=loaded)
        picture = Image.fromarray(scan.pixels).convert("RGB")
        picture.thumbnail((wide - 6, high - 18), Image.Resampling.BOX)
        page.paste(picture, (x + 3, y + 14))
        draw.text(
            (x + 3, y + 1), scanner if case is Case.ORDINARY else f"{case}: {scan.truth.class_name}", fill="black"
        )
    return page


def files(folder: Path) -> list[bytes | Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))


def likeness(extractor: Extractor, real: Path, simulated: dict[str, list[bytes | Path]]) -> dict[str, Any]:
    """AUC of telling each group from the real scans, by the network's vectors and by plain statistics."""

    def seen(scans: Sequence[bytes | Path]) -> tuple[Floats, Floats]:
        planes = prepared(scans, extractor.spec.preprocessing)
        found = [extractor.extract(planes[start : start + 32]) for start in range(0, len(planes), 32)]
        vectors = np.concatenate([np.hstack([one.avg, one.max]) for one in found])
        return vectors, np.stack([statistics(plane) for plane in planes])

    real_vectors, real_statistics = seen(files(real))
    answer = {}
    for name, scans in simulated.items():
        vectors, plain = seen(scans)
        answer[name] = {
            extractor.spec.name: separation(real_vectors, vectors),
            "statistics": separation(real_statistics, plain),
        }
    return answer


def prepared(scans: Sequence[bytes | Path], preprocessing: Preprocessing) -> NDArray[np.float32]:
    """What the network sees, float32 (n, height, width)."""
    return np.stack([load(scan, LIMITS, preprocessing).squeeze() for scan in scans])


def statistics(plane: Floats) -> Floats:
    """Grey quantiles, and the sharpness, noise and unevenness along rows and columns."""
    quantiles = np.quantile(plane, [0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98])
    found = [*quantiles, plane.mean(), plane.std(), (plane > 0.99).mean(), (plane < 0.02).mean()]
    for axis in (0, 1):
        step = np.abs(np.diff(plane, axis=axis))
        bend = np.abs(np.diff(plane, 2, axis=axis))
        found += [step.mean(), np.median(step), *np.quantile(step, [0.9, 0.99]), np.median(bend), bend.mean()]
        found += [step.mean(axis=axis).std(), plane.mean(axis=axis).std()]
    return np.asarray(found, np.float64)


def separation(real: Floats, simulated: Floats) -> dict[str, float]:
    """The mean AUC over repeats of cross-validation, and its spread over them."""
    x = np.concatenate([real, simulated])
    y = np.repeat([1, 0], [len(real), len(simulated)])
    scores = np.zeros((REPEATS, len(y)))
    splits = RepeatedStratifiedKFold(n_splits=FOLDS, n_repeats=REPEATS, random_state=0).split(x, y)
    for number, (training, held) in enumerate(splits):
        model = make_pipeline(
            StandardScaler(),
            LogisticRegression(C=0.01 if x.shape[1] > 100 else 1.0, class_weight="balanced", max_iter=2000),
        )
        model.fit(x[training], y[training])
        scores[number // FOLDS, held] = model.decision_function(x[held])
    each = [float(roc_auc_score(y, one)) for one in scores]
    return {"auc": round(float(np.mean(each)), 3), "spread": round(float(np.std(each)), 3)}


if __name__ == "__main__":
    sys.exit(main())
