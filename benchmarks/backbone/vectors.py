"""Backbones and their vectors: extracted once for each set of scans, and kept."""

import re
import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import ConfigurationError
from app.features.engines import build_extractor
from app.features.spec import Extractor
from app.features.weights import ResolvedWeights, resolve
from app.heads.pooling import Pooling
from benchmarks.backbone import kept
from benchmarks.backbone.prepared import LEVELS, Prepared, told

BATCH = 128
Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Vectors:
    """Both poolings of a set of scans, float32 (n, 1024) each."""

    avg: Floats
    max: Floats

    def features(self, pooling: Pooling) -> Floats:
        return pooling.combine(self.avg, self.max)

    def rows(self, which: NDArray[np.bool_]) -> "Vectors":
        return Vectors(self.avg[which], self.max[which])


@dataclass(frozen=True, eq=False)
class Backbone:
    """DenseNet121 with one set of weights; the engine is started when vectors are asked for that are not kept."""

    name: str
    file: str
    resolved: ResolvedWeights
    precision: str
    cache: Path
    _known: dict[str, Vectors] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, file: str, precision: str, cache: Path) -> "Backbone":
        """Raises ConfigurationError for weights that are not there, damaged, or of another network."""
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "weights"
        return cls(name, Path(file).name, resolve(f"table-{slug}"[:63], file), precision, cache)

    @property
    def digest(self) -> str:
        return self.resolved.spec.weights_digest

    @cached_property
    def _extractor(self) -> Extractor:
        print(f"{self.name}: starting the engine", file=sys.stderr, flush=True)
        return build_extractor(
            self.resolved.spec.name, weights=str(self.resolved.path), engine="openvino", precision=self.precision,
            cache_dir=self.cache / "graphs",
        )  # fmt: skip

    def vectors(self, scans: Prepared) -> Vectors:
        """Of every picture of the set, in its order."""
        if scans.digest not in self._known:
            file = self.cache / "vectors" / f"{self.digest[:24]}-{self.precision}-{scans.digest[:24]}.npz"
            self._known[scans.digest] = _read(file, len(scans.facts)) or self._extracted(scans, file)
        return self._known[scans.digest]

    def _extracted(self, scans: Prepared, file: Path) -> Vectors:
        extractor, count = self._extractor, len(scans.facts)
        parts = []
        starts = range(0, count, BATCH)
        for start in told(starts, len(starts), f"{self.name} on {scans.name} ({count}), batches"):
            batch = np.asarray(scans.pixels[start : start + BATCH], np.float32) / np.float32(LEVELS)
            parts.append(extractor.extract(batch))
        found = Vectors(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("avg", "max")))
        for name in ("avg", "max"):
            if not np.isfinite(getattr(found, name)).all():
                raise ConfigurationError(
                    f"{self.name} makes {name} vectors that are not finite; are its weights whole?"
                )
        kept.write(file, {"avg": found.avg, "max": found.max})
        return found


@dataclass(frozen=True, eq=False)
class Selection:
    """Rows of one set or more, one after the other."""

    parts: tuple[tuple[Prepared, NDArray[np.bool_]], ...]

    def column(self, name: str) -> NDArray[Any]:
        return np.concatenate([scans.column(name)[rows] for scans, rows in self.parts])

    def vectors(self, backbone: Backbone) -> Vectors:
        found = [backbone.vectors(scans).rows(rows) for scans, rows in self.parts]
        return Vectors(np.concatenate([one.avg for one in found]), np.concatenate([one.max for one in found]))

    def __len__(self) -> int:
        return sum(int(rows.sum()) for _, rows in self.parts)


def where(scans: Prepared, name: str, value: Any) -> Selection:
    """The rows of a set of which `name` is `value`."""
    return Selection(((scans, scans.column(name) == value),))


def whole(scans: Prepared) -> Selection:
    return Selection(((scans, np.ones(len(scans.facts), bool)),))


def usable_precision(asked: str) -> str:
    """`asked`, or fp32 where the processor has no bf16: one precision for all backbones, so that they compare."""
    from app.features.engines.processor import has_bf16

    return "fp32" if asked == "bf16" and not has_bf16() else asked


def _read(file: Path, count: int) -> Vectors | None:
    found = kept.read(file)
    if found is None or not found.keys() >= {"avg", "max"} or not len(found["avg"]) == len(found["max"]) == count:
        return None
    return Vectors(found["avg"], found["max"])
