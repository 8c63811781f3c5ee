"""Heads that were tuned before on the same features, classes and subjects are not tuned again."""

import hashlib
import inspect
import io
import os
import tempfile
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.heads.trainers import folds, scaling
from app.heads.trainers.scaling import Scaling
from benchmarks.backbone import judging
from benchmarks.backbone.judging import CrossValidated, Floats, Ints, Linear, Tuned

Arrays = dict[str, NDArray[Any]]
UNREADABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


def tuned(x: Floats, y: Ints, groups: NDArray[Any], folder: Path) -> Tuned:
    """As `judging.tuned`."""
    file = _file("tuned", x, y, groups, folder)
    found = read(file)
    if found is None:
        made = judging.tuned(x, y, groups)
        head = made.head
        found = {
            "mean": head.scaling.mean, "factor": head.scaling.factor, "coefficients": head.coefficients,
            "offset": np.array(head.offset), "c": np.array(head.c), "out_of_fold": made.out_of_fold,
        }  # fmt: skip
        write(file, found)
    scaled = Scaling(found["mean"], found["factor"])
    head = Linear(scaled, found["coefficients"], float(found["offset"]), float(found["c"]))
    return Tuned(head, found["out_of_fold"])


def cross_validated(x: Floats, y: Ints, groups: NDArray[Any], folder: Path) -> CrossValidated:
    """As `judging.cross_validated`."""
    file = _file("cross", x, y, groups, folder)
    found = read(file)
    if found is None:
        made = judging.cross_validated(x, y, groups)
        found = {"margins": made.margins, "chosen": np.array(made.chosen)}
        write(file, found)
    return CrossValidated(found["margins"], tuple(found["chosen"].tolist()))


def read(file: Path) -> Arrays | None:
    """Arrays that were kept; None where there are none, or a file that cannot be read."""
    try:
        with file.open("rb") as stream, np.load(stream) as kept:
            return {name: kept[name] for name in kept.files}
    except UNREADABLE:
        return None


def write(file: Path, arrays: Arrays) -> None:
    """Whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    np.savez(content, **arrays)
    handle, partial = tempfile.mkstemp(dir=file.parent, suffix=".partial")
    with os.fdopen(handle, "wb") as stream:
        stream.write(content.getbuffer())
    Path(partial).replace(file)


def _file(kind: str, x: Floats, y: Ints, groups: NDArray[Any], folder: Path) -> Path:
    digest = hashlib.sha256(f"{_code()}{x.shape}".encode())
    for part in (x, y, np.unique(groups, return_inverse=True)[1]):
        digest.update(np.ascontiguousarray(part).data)
    return folder / "heads" / f"{kind}-{digest.hexdigest()[:32]}.npz"


@cache
def _code() -> str:
    """What the heads are made by: one of other code is another head."""
    return "".join(hashlib.sha256(inspect.getsource(one).encode()).hexdigest() for one in (judging, folds, scaling))
