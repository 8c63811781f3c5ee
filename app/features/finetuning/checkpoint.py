"""Where a training stands, on disk, whole or not at all: what a worker that is killed leaves to the next."""

import json
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = list[NDArray[Any]]


@dataclass
class Standing:
    """After `len(history)` points: variables now, those of the optimizer, and those of the best epoch."""

    present: Values
    optimizer: Values
    best: Values
    history: list[dict[str, Any]] = field(default_factory=list)

    @property
    def best_epoch(self) -> int:
        """The epoch with the lowest validation loss; 0 is the start."""
        return int(min(self.history, key=lambda point: point["validation"]["loss"])["epoch"])


def write(standing: Standing, folder: Path, key: str) -> None:
    """Keep `standing` of the training that `key` names."""
    arrays = {
        f"{name}_{number}": value
        for name in ("present", "optimizer", "best")
        for number, value in enumerate(getattr(standing, name))
    }
    told = json.dumps({"key": key, "history": standing.history})
    scratch = folder / "standing.tmp"
    with scratch.open("wb") as file:
        np.savez(file, told=np.array(told), **arrays)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(folder / "standing.npz")


def read(folder: Path, key: str) -> Standing | None:
    """What was kept of the training that `key` names, if anything that can be read."""
    try:
        with np.load(folder / "standing.npz", allow_pickle=False) as stored:
            told = json.loads(str(stored["told"]))
            if told["key"] != key:
                return None
            present, optimizer, best = (_numbered(stored, name) for name in ("present", "optimizer", "best"))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return Standing(present, optimizer, best, told["history"])


def _numbered(stored: Any, name: str) -> Values:
    names: Sequence[str] = [one for one in stored.files if one.startswith(f"{name}_")]
    return [stored[f"{name}_{number}"] for number in range(len(names))]
