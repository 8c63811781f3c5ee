"""`python -m benchmarks.quality`: what the quality gate refuses, of scans as they are and of the same scans spoilt.

Needs the corpus of real scans (`--corpus`); container scans are simulated besides. Nothing is stored.
"""

import argparse
import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table
from scipy import ndimage

from app.imaging import Limits, PreparedRegion, prepare_scan
from app.imaging.preprocessing import Preprocessing
from app.simulator import encode_jpeg, simulate

Grey = NDArray[np.float32]

LIMITS = Limits(2**30, 10**9, 16)
SPOILT: dict[str, Callable[[Grey], Grey]] = {
    "blurred by 2 % of the width": lambda p: ndimage.gaussian_filter(p, 0.02 * p.shape[1]),
    "exposure x 0.02": lambda p: p * np.float32(0.02),
    "all black": np.zeros_like,
    "all white": np.ones_like,
    "left half only": lambda p: p[:, : p.shape[1] // 2],
    "right half only": lambda p: p[:, p.shape[1] // 2 :],
    "upper half only": lambda p: p[: len(p) // 2],
    "lower half only": lambda p: p[len(p) // 2 :],
    "middle half only": lambda p: p[:, p.shape[1] // 4 : 3 * p.shape[1] // 4],
    "left half black": lambda p: np.where(np.arange(p.shape[1]) < p.shape[1] // 2, np.float32(0), p),
}


@dataclass(frozen=True)
class Group:
    """Scans of one source: their bytes, and the profile that suits them."""

    name: str
    profile: str
    scans: Sequence[bytes | Path]


def groups(corpus: Path, simulated: int, films: int) -> Iterator[Group]:
    """The groups, smallest first."""
    yield Group("real containers", "container", files(corpus / "container"))
    yield Group("chest, original size", "chest", files(corpus / "chest/original_size"))
    yield Group("chest, orientation", "chest", files(corpus / "orientation"))
    yield Group("chest, 224 px", "chest", random.Random(0).sample(files(corpus / "chest/train"), films))
    yield Group("chest, COVID-19", "chest", files(corpus / "covid"))
    made = [encode_jpeg(simulate(np.random.default_rng([99, n]), loaded=n % 2 == 0)) for n in range(simulated)]
    yield Group("simulated containers", "container", made)


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))


def refused(scan: bytes | Path, profile: str | None) -> set[str]:
    """Codes of the problems of a scan, of all its regions together."""
    preprocessing = Preprocessing() if profile is None else Preprocessing.of_profile(profile)
    regions: list[PreparedRegion] = prepare_scan(scan, LIMITS, preprocessing)
    return {problem["code"] for region in regions for problem in region.findings["problems"]}


def spoilt(scan: bytes | Path, change: Callable[[Grey], Grey]) -> bytes:
    """A scan after a change of its grey values, as a JPEG of quality 90."""
    with Image.open(BytesIO(scan) if isinstance(scan, bytes) else scan) as opened:
        plane = np.asarray(opened.convert("L"), np.float32) / np.float32(255)
    stream = BytesIO()
    Image.fromarray(np.rint(change(plane).clip(0, 1) * 255).astype(np.uint8)).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def measure(group: Group, most_spoilt: int) -> dict[str, Any]:
    """Shares refused: of the scans as they are, under their profile and under none, and after each change."""
    some = random.Random(1).sample(list(group.scans), min(len(group.scans), most_spoilt))
    plain = [refused(scan, None) for scan in group.scans]
    own = [refused(scan, group.profile) for scan in group.scans]
    after = {name: [refused(spoilt(scan, change), group.profile) for scan in some] for name, change in SPOILT.items()}
    return {
        "group": group.name, "scans": len(group.scans), "profile": group.profile, "as they are": share(own),
        "codes": dict(Counter(code for one in own for code in one)), "without a profile": share(plain),
        "spoilt": {name: share(found) for name, found in after.items()}, "scans spoilt": len(some),
    }  # fmt: skip


def share(found: Sequence[set[str]]) -> float:
    return sum(bool(codes) for codes in found) / len(found)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("--corpus", type=Path, default=Path("../shared/corpus"))
    parser.add_argument("--simulated", type=int, default=1000)
    parser.add_argument("--films", type=int, default=1000)
    parser.add_argument("--spoilt", type=int, default=60, help="scans of each group that are spoilt")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args()
    found = [measure(group, given.spoilt) for group in groups(given.corpus, given.simulated, given.films)]
    if given.json:
        json.dump(found, sys.stdout, indent=1)
        print()
        return 0
    table = Table("refused, %", *(one["group"] for one in found), title="The quality gate", title_justify="left")
    table.add_row("scans", *(str(one["scans"]) for one in found))
    for row in ("as they are", "without a profile"):
        table.add_row(row, *(f"{100 * one[row]:.1f}" for one in found))
    for name in SPOILT:
        table.add_row(name, *(f"{100 * one['spoilt'][name]:.0f}" for one in found))
    Console(width=140).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
