"""`python -m benchmarks.robustness`: do a scan's changes change its decision?

Each real scan is inverted, coloured, deepened, turned, framed, damaged and marked; the decision of the starter head
is compared with its decision on the scan as it is, for the plain feature set and for the profile's, side by side.
"""

import argparse
import io
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table

from app.features.engines import build_extractor
from app.features.spec import Extractor
from app.heads.metrics import roc_auc
from app.heads.scoring import Head
from app.imaging import Limits, prepare_scan

CORPUS = Path(__file__).resolve().parents[1] / "../shared/corpus"
LIMITS = Limits(max_bytes=2**30, max_pixels=10**9, min_side=16, max_frames=16)
Plane = NDArray[np.uint8]
Change = Callable[[Plane], bytes]
ORIENTATION_TAG = 0x0112


def png(pixels: NDArray[np.uint8] | NDArray[np.uint16], **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, "PNG", compress_level=1, **options)
    return stream.getvalue()


def jpeg(pixels: Plane, quality: int = 92) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def coloured(name: str) -> Callable[[Plane], Plane]:
    def paint(plane: Plane) -> Plane:
        from matplotlib import colormaps

        return np.rint(255 * np.asarray(colormaps[name](plane))[..., :3]).astype(np.uint8)

    return paint


def turned(orientation: int) -> Change:
    """Stored otherwise, displayed the same."""
    undo: dict[int, Callable[[Plane], Plane]] = {
        2: lambda p: p[:, ::-1], 3: lambda p: p[::-1, ::-1], 4: lambda p: p[::-1], 5: lambda p: p.T,
        6: np.rot90, 7: lambda p: p[::-1, ::-1].T, 8: lambda p: np.rot90(p, -1),
    }  # fmt: skip

    def change(plane: Plane) -> bytes:
        exif = Image.Exif()
        exif[ORIENTATION_TAG] = orientation
        return png(undo[orientation](plane), exif=exif)

    return change


def framed(plane: Plane, share: float = 0.08) -> Plane:
    return np.pad(plane, round(min(plane.shape) * share))


def damaged(plane: Plane) -> Plane:
    """Three stuck rows and two stuck columns, the same places in every scan."""
    stuck, (height, width) = plane.copy(), plane.shape
    for place, value in ((0.21, 0), (0.48, 255), (0.77, 90)):
        stuck[int(place * height)] = value
    for place, value in ((0.31, 0), (0.66, 255)):
        stuck[:, int(place * width)] = value
    return stuck


def boxed(plane: Plane) -> Plane:
    """A red rectangle, as operators draw it."""
    height, width = plane.shape
    top, bottom, left, right = int(0.3 * height), int(0.7 * height), int(0.4 * width), int(0.6 * width)
    thick, line = max(2, height // 150), np.zeros(plane.shape, bool)
    line[top:bottom, left:right] = True
    line[top + thick : bottom - thick, left + thick : right - thick] = False
    marked = np.repeat(plane[..., None], 3, axis=2)
    marked[line] = (255, 0, 0)
    return marked


CHANGES: dict[str, Change] = {
    "as it is": png,
    "inverted": lambda p: png(255 - p),
    "inverted, JPEG": lambda p: jpeg(255 - p),
    **{f"palette {name}": lambda p, name=name: png(coloured(name)(p)) for name in (
        "jet", "inferno", "rainbow", "viridis", "hot", "turbo", "gist_rainbow", "nipy_spectral", "jet_r")},
    "palette jet, JPEG 4:2:0": lambda p: jpeg(coloured("jet")(p)),
    "palette inferno, JPEG 4:2:0": lambda p: jpeg(coloured("inferno")(p)),
    "16 bit (x 257)": lambda p: png(p.astype(np.uint16) * 257),
    "16 bit, 15 % of the range": lambda p: png(p.astype(np.uint16) * 40 + 3000),
    "16 bit, 15 % of the range, inverted": lambda p: png(60_000 - p.astype(np.uint16) * 40),
    "8 bit, half of the range": lambda p: png((p // 2 + 40).astype(np.uint8)),
    **{f"EXIF {orientation}": turned(orientation) for orientation in range(2, 9)},
    "framed in black": lambda p: png(framed(p)),
    "framed in black, JPEG": lambda p: jpeg(framed(p)),
    "framed in black, 25 %": lambda p: png(framed(p, 0.25)),
    "inverted, framed in black": lambda p: png(framed(255 - p)),
    "black band at the left": lambda p: png(np.pad(p, ((0, 0), (p.shape[1] // 12, 0)))),
    "stuck lines": lambda p: png(damaged(p)),
    "stuck lines, JPEG": lambda p: jpeg(damaged(p)),
    "red box": lambda p: png(boxed(p)),
    "red box, JPEG": lambda p: jpeg(boxed(p)),
}  # fmt: skip


class Judge:
    """A feature set with its starter head."""

    def __init__(self, feature_set: str, artifact: str, cache: Path) -> None:
        self.extractor: Extractor = build_extractor(
            feature_set, weights=None, engine="auto", precision="auto", cache_dir=cache
        )
        self.head = Head.load(files("app.heads.starters").joinpath(f"{artifact}.onnx").read_bytes())
        assert self.head.metadata.feature_set == self.extractor.spec.digest

    def probabilities(self, contents: list[bytes]) -> NDArray[np.float64]:
        """The positive class's: of each scan, the highest of its regions'."""
        found = [[region.pixels[0] for region in self._prepared(content)] for content in contents]
        features = self.extractor.extract(np.stack([pixels for regions in found for pixels in regions]))
        scores = self.head.probabilities(features.avg, features.max)[:, self.head.metadata.positive_index]
        ends = np.cumsum([len(regions) for regions in found])
        return np.array([part.max() for part in np.split(scores, ends[:-1])])

    def _prepared(self, content: bytes):
        return prepare_scan(content, LIMITS, self.extractor.spec.preprocessing)

    @property
    def threshold(self) -> float:
        return self.head.metadata.threshold


def planes(folder: Path) -> Iterator[tuple[Plane, str]]:
    """Scans as 8-bit grey, uncompressed, with the folder's name: so that every change starts from the same pixels."""
    for path in sorted(path for path in folder.glob("*/*") if path.is_file()):
        with Image.open(path) as image:
            yield np.asarray(image.convert("L")), path.parent.name


def measure(folder: Path, judges: dict[str, Judge], positive: str, changes: dict[str, Change]) -> dict[str, object]:
    """Decisions kept and the largest change of probability by each change; for each judge its AUC and errors."""
    scans, names = zip(*planes(folder), strict=True)
    labels = np.array([name.lower().startswith(positive) for name in names])
    before = {name: judge.probabilities([png(scan) for scan in scans]) for name, judge in judges.items()}
    rows = []
    for change, make in changes.items():
        contents = [make(scan) for scan in scans]
        row: dict[str, object] = {"change": change, "scans": len(scans)}
        for name, judge in judges.items():
            after = judge.probabilities(contents)
            kept = (after >= judge.threshold) == (before[name] >= judge.threshold)
            row[name] = {
                "kept": int(kept.sum()),
                "largest_change": round(float(np.abs(after - before[name]).max()), 4),
                "lost": np.flatnonzero(~kept).tolist(),
            }
        rows.append(row)
        print(change, {name: row[name] for name in judges}, file=sys.stderr, flush=True)
    figures = {
        name: {
            "auc": round(roc_auc(labels, before[name]), 4),
            "errors": int(((before[name] >= judge.threshold) != labels).sum()),
        }
        for name, judge in judges.items()
    }
    return {"folder": folder.name, "as it is": figures, "changes": rows}


PLAIN = "densenet121-xray"
TASKS = {
    "container": ("container", "loaded", {"densenet121-xray": "empty-container",
                                         "densenet121-container": "empty-container.densenet121-container"}),
    "chest": ("chest/original_size", "pneumonia", {"densenet121-xray": "pneumonia",
                                                   "densenet121-chest": "pneumonia.densenet121-chest"}),
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.robustness", description=__doc__)
    parser.add_argument("--corpus", type=Path, default=CORPUS)
    parser.add_argument("--only", choices=sorted(TASKS), help="one of the two tasks")
    parser.add_argument("--profile-only", action="store_true", help="leave the plain feature set out")
    parser.add_argument("--changes", default="", help="only changes whose name begins with one of these, by commas")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as cache:
        for task, (folder, positive, sets) in TASKS.items():
            if given.only in (None, task):
                wanted = {n: a for n, a in sets.items() if not given.profile_only or n != PLAIN}
                judges = {name: Judge(name, artifact, Path(cache)) for name, artifact in wanted.items()}
                asked = {n: c for n, c in CHANGES.items() if n.startswith(tuple(given.changes.split(",")))}
                found.append(measure(given.corpus / folder, judges, positive, asked))
    if given.json:
        json.dump(found, sys.stdout, indent=1)
        return 0
    for measured in found:
        _print(measured)
    return 0


def _print(measured: dict) -> None:
    names = list(measured["as it is"])
    table = Table("change", *(f"{name}: same decision" for name in names), title=str(measured["folder"]))
    for row in measured["changes"]:
        cells = (f"{row[n]['kept']} of {row['scans']}   (p moved by at most {row[n]['largest_change']})" for n in names)
        table.add_row(row["change"], *cells)
    console = Console(width=150)
    console.print(table)
    for name, figures in measured["as it is"].items():
        console.print(f"{name}: AUC {figures['auc']}, errors at its threshold {figures['errors']}")


if __name__ == "__main__":
    sys.exit(main())
