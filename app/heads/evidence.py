"""What a head said of rows that it had not learned from, kept with it: the ground of every later question."""

import io
import json
from dataclasses import dataclass

import numpy as np

from app.errors import HeadRefused
from app.heads.arrays import Float32, Ints


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Answers on labelled rows.

    `image_ids` and `region_ids` name the rows, `y` (n,) indexes of `classes`, `fold_of` (n,) the fold whose models
    had not seen the row (-1: a row of no fold, such as a test row), `probabilities` float32 (n, classes) as the
    head's own link and prior give them.
    """

    classes: tuple[str, ...]
    image_ids: tuple[str, ...]
    region_ids: Ints
    y: Ints
    fold_of: Ints
    probabilities: Float32

    def __len__(self) -> int:
        return len(self.y)

    def to_bytes(self) -> bytes:
        """Return a compressed `.npz`, readable by `numpy.load` without pickle."""
        file = io.BytesIO()
        np.savez_compressed(
            file,
            classes=np.array(json.dumps(self.classes)),
            image_ids=np.array(self.image_ids, dtype="U36"),
            region_ids=np.asarray(self.region_ids, dtype=np.int64),
            y=np.asarray(self.y, dtype=np.int64),
            fold_of=np.asarray(self.fold_of, dtype=np.int64),
            probabilities=np.asarray(self.probabilities, dtype=np.float32),
        )
        return file.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> "Evidence":
        """Read what `to_bytes` wrote; raises `HeadRefused` for anything else."""
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                return cls(
                    classes=tuple(json.loads(str(arrays["classes"]))),
                    image_ids=tuple(arrays["image_ids"].tolist()),
                    region_ids=arrays["region_ids"],
                    y=arrays["y"],
                    fold_of=arrays["fold_of"],
                    probabilities=arrays["probabilities"],
                )
        except (ValueError, KeyError, OSError) as error:
            raise HeadRefused(f"The head's evidence cannot be read ({error!r}); train it again") from error
