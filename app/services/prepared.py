"""The pixels that a backbone saw, made again from the original; and the regions that were found in an image."""

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from app.errors import NotFound, Unavailable
from app.features.spec import FeatureSetSpec
from app.imaging import Limits, PreparedRegion, Preprocessing, prepare_scan
from app.models import Embedding, FeatureSet, Preparation, Region

# A scan of 250 megapixels takes seconds and a GiB: requests take turns.
_AT_A_TIME = threading.BoundedSemaphore(1)
PATIENCE_SECONDS = 20.0


@dataclass(frozen=True)
class Described:
    """A feature set that has vectors of a region, and what preparing it for that found."""

    feature_set: str
    profile: str | None
    at: datetime
    findings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RegionView:
    region: Region
    described: list[Described]


def regions(session: Session, image_id: UUID, feature_set: str | None = None) -> list[RegionView]:
    """The regions of an image, of every cut, with the feature sets that describe them; or of one feature set."""
    query = (
        select(Region, FeatureSet.name, FeatureSet.profile, Embedding.created_at, Preparation.findings)
        .outerjoin(Embedding, and_(Embedding.region_id == Region.id, Embedding.augmentation == 0))
        .outerjoin(FeatureSet, FeatureSet.id == Embedding.feature_set_id)
        .outerjoin(
            Preparation,
            and_(Preparation.region_id == Region.id, Preparation.feature_set_id == Embedding.feature_set_id),
        )
        .where(Region.image_id == image_id)
        .order_by(Region.cut, Region.ordinal, FeatureSet.id)
    )
    found: dict[int, RegionView] = {}
    for region, name, profile, at, findings in session.execute(query):
        if feature_set is not None and name != feature_set:
            continue
        view = found.setdefault(region.id, RegionView(region, []))
        if name is not None:
            view.described.append(Described(name, profile, at, findings or {}))
    return list(found.values())


def preprocessing_of(feature_set: FeatureSet) -> Preprocessing:
    """Raise ConfigurationError for steps that this version cannot carry out."""
    return FeatureSetSpec.from_dict(feature_set.spec).preprocessing


def prepared(
    path: Path, limits: Limits, preprocessing: Preprocessing, *, sha256: bytes, ordinal: int
) -> PreparedRegion:
    """Region `ordinal` of a scan as the extraction worker makes it: the same function on the same bytes.

    Raise NotFound for a region that the scan does not have, Unavailable when others are waited for too long,
    UnusableImage where the scan cannot be decoded.
    """
    with _turn():
        found = prepare_scan(path, limits, preprocessing, sha256=sha256)
    if ordinal >= len(found):
        raise NotFound(f"The scan has {len(found)} region(s) for this feature set, counted from 0; not {ordinal}.")
    return found[ordinal]


@contextmanager
def _turn() -> Iterator[None]:
    if not _AT_A_TIME.acquire(timeout=PATIENCE_SECONDS):
        raise Unavailable("Other scans are being prepared: ask again in a few seconds.")
    try:
        yield
    finally:
        _AT_A_TIME.release()


def png(plane: NDArray[np.float32], depth: int = 8) -> bytes:
    """A plane in [0, 1] as a grey PNG of 8 or 16 bits, rounded."""
    full = 2**depth - 1
    values = np.rint(plane.astype(np.float64) * full).astype(np.uint8 if depth == 8 else np.uint16)
    buffer = io.BytesIO()
    Pillow.fromarray(values).save(buffer, "PNG")
    return buffer.getvalue()


def npy(plane: NDArray[np.float32]) -> bytes:
    """Planes as `numpy.load` reads them, every bit kept."""
    buffer = io.BytesIO()
    np.save(buffer, plane, allow_pickle=False)
    return buffer.getvalue()
