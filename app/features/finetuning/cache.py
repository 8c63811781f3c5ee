"""What the part that stays makes of every scan and copy, once, on disk: so that an epoch costs the last block alone."""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app.errors import NotTrainable

Pixels = Callable[[int, Sequence[int]], NDArray[np.float32]]
"""Row and codes (0 the scan itself, others its augmented copies) to float32 (codes, height, width)."""
Halves = NDArray[np.float16]

MOST_BYTES = 8 << 30
ROWS_AT_ONCE = 16  # scans whose pixels are in memory together


class Activations:
    """Half-precision activations of every version of every row, in one file; filled in order, and gone on with.

    float16 has a relative step of 0.05 %: a probability moves by some 1e-4, where bf16 engines move it by 1e-2.
    """

    def __init__(self, folder: Path, codes: Sequence[Sequence[int]], shape: tuple[int, ...]) -> None:
        """`codes`: the versions of each row; `shape`: of one version. Raises NotTrainable where they are too many."""
        self._codes = [tuple(one) for one in codes]
        self._first = np.concatenate([[0], np.cumsum([len(one) for one in self._codes])])
        size = int(self._first[-1]) * int(np.prod(shape)) * 2
        if size > MOST_BYTES:
            raise NotTrainable(
                f"The activations would take {size / 2**30:.1f} GiB, more than {MOST_BYTES >> 30}; "
                "ask for fewer copies, or train on a smaller dataset."
            )
        folder.mkdir(parents=True, exist_ok=True)
        self._progress = folder / "activations.json"
        file = folder / "activations.f16"
        self._kind = {"codes": self._codes, "shape": list(shape)}
        self._filled = self._read_progress() if file.is_file() else 0
        mode: Literal["r+", "w+"] = "r+" if self._filled else "w+"
        self._values: np.memmap[tuple[int, ...], np.dtype[np.float16]] = np.memmap(
            file, np.float16, mode, shape=(int(self._first[-1]), *shape)
        )

    @property
    def versions(self) -> int:
        return int(self._first[-1])

    def fill(
        self,
        pixels: Pixels,
        trunk: Callable[[NDArray[np.float32]], NDArray[np.float32]],
        *,
        threads: int,
        on_progress: Callable[[int, int], None],
        checkpoint: Callable[[], None],
    ) -> None:
        """Run what is missing: pixels on `threads`, the network's `trunk` on the rows of one piece after the other."""
        rows = len(self._codes)
        starts = range(self._filled, rows, ROWS_AT_ONCE)
        with ThreadPoolExecutor(threads, "prepare") as pool:

            def prepared(start: int) -> list[NDArray[np.float32]]:
                piece = range(start, min(start + ROWS_AT_ONCE, rows))
                return list(pool.map(lambda row: pixels(row, self._codes[row]), piece))

            ahead = ThreadPoolExecutor(1, "ahead")
            coming = ahead.submit(prepared, starts[0]) if starts else None
            try:
                for number, start in enumerate(starts):
                    checkpoint()
                    assert coming is not None
                    scans = coming.result()
                    if number + 1 < len(starts):
                        coming = ahead.submit(prepared, starts[number + 1])
                    end = min(start + ROWS_AT_ONCE, rows)
                    self._values[self._first[start] : self._first[end]] = trunk(np.concatenate(scans))
                    self._keep(end)
                    on_progress(end, rows)
            finally:
                ahead.shutdown(cancel_futures=True)

    def of(self, rows: NDArray[np.int64], versions: NDArray[np.int64] | int = 0) -> NDArray[np.float32]:
        """Rows in the versions asked for (0 is the scan itself), float32 (n, *shape)."""
        return np.asarray(self._values[self._first[rows] + versions], np.float32)

    def versions_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.asarray(self._first[rows + 1] - self._first[rows])

    def _read_progress(self) -> int:
        try:
            said = json.loads(self._progress.read_text())
        except (OSError, ValueError):
            return 0
        return int(said["rows"]) if said.get("kind") == json.loads(json.dumps(self._kind)) else 0

    def _keep(self, rows: int) -> None:
        if rows == len(self._codes) or rows % (16 * ROWS_AT_ONCE) == 0:
            self._values.flush()
            scratch = self._progress.with_suffix(".tmp")
            scratch.write_text(json.dumps({"kind": self._kind, "rows": rows}))
            scratch.replace(self._progress)
