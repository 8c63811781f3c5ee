"""What all linear candidates of a fold stand on: its rows, and the eigenbasis of their covariance."""

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from app.heads.arrays import Float32, Float64, Floats

KEPT_BYTES = 256 << 20
# Eigenvalues below this share of the largest are float32's noise; a direction must not be scaled up by it.
LEAST_SHARE = 1e-6


@dataclass(frozen=True)
class Spectrum:
    """Weighted mean (d,) and covariance `basis @ diag(values) @ basis.T` of rows, `basis` (d, d)."""

    mean: Float32
    basis: Float32
    values: Float32

    @classmethod
    def of(cls, x: Float32, share: Float32) -> "Spectrum":
        """`share` (n,) weighs rows and sums to 1."""
        mean = share @ x
        covariance = (x.T @ x) * share[0] if np.ptp(share) == 0 else _gram(x, share)
        covariance -= np.outer(mean, mean)
        # NumPy's, not SciPy's: it lets other threads run meanwhile.
        values, basis = np.linalg.eigh(covariance)
        return cls(mean, basis, np.maximum(values, max(float(values[-1]) * LEAST_SHARE, 1e-12)))

    def scaled(self, vectors: Float32, factors: Floats) -> Float32:
        """Return `vectors` (m, k, d) with their parts along the basis multiplied by `factors` (m, 1, d)."""
        parts = vectors @ self.basis
        parts *= factors
        return np.asarray(parts @ self.basis.T)

    @property
    def nbytes(self) -> int:
        return self.mean.nbytes + self.basis.nbytes + self.values.nbytes


@dataclass(frozen=True)
class Ground:
    """Rows `x` (n, d) about their spectrum. Models are (candidates, outputs, d + 1), the last an offset at the mean."""

    x: Float32
    spectrum: Spectrum

    def margins(self, models: Float32) -> Float32:
        """Return float32 (candidates, outputs, n)."""
        many, outputs, _ = models.shape
        slopes, offsets = models[..., :-1], models[..., -1:] - models[..., :-1] @ self.spectrum.mean[:, None]
        found = slopes.reshape(many * outputs, -1) @ self.x.T
        found += offsets.reshape(-1, 1)
        return np.asarray(found.reshape(many, outputs, -1))

    def gradient(self, slopes: Float32) -> Float32:
        """Return the gradient by the models of a loss whose `slopes` by the margins are (candidates, outputs, n)."""
        many, outputs, rows = slopes.shape
        made = np.empty((many, outputs, self.x.shape[1] + 1), dtype=np.float32)
        made[..., -1] = slopes.sum(axis=2)
        made[..., :-1] = (slopes.reshape(-1, rows) @ self.x).reshape(many, outputs, -1)
        made[..., :-1] -= made[..., -1:] * self.spectrum.mean
        return made

    def coefficients(self, models: Float32) -> tuple[Float32, Float32]:
        """Return coefficients (candidates, outputs, d) and intercepts (candidates, outputs) of rows as they are."""
        slopes = models[..., :-1]
        return slopes, models[..., -1] - slopes @ self.spectrum.mean


class Spectra:
    """Spectra of the folds met so far: a search that comes back with more candidates finds them. Threads share it."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Spectrum] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, x: Float32, share: Float32) -> Spectrum:
        key = _fingerprint(x, share)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = Spectrum.of(x, share)
        with self._lock:
            self._kept[key] = made
            while sum(one.nbytes for one in self._kept.values()) > KEPT_BYTES and len(self._kept) > 1:
                self._kept.popitem(last=False)
        return made


def rotated(x: Float32) -> tuple[Float32, Float32]:
    """Return fewer columns `z` (n, n) and orthonormal `rotation` (d, n) with `x = z @ rotation.T`, for n < d.

    A ridge sees only lengths: fitted on `z`, the model is the one of `x`, turned.
    """
    rotation, triangle = np.linalg.qr(x.T)
    return np.ascontiguousarray(triangle.T), rotation


def _gram(x: Float32, share: Float32) -> Float32:
    weighed = x * np.sqrt(share)[:, None]
    return np.asarray(weighed.T @ weighed)


def _fingerprint(x: Float32, share: Float32) -> str:
    sums: Float64 = x.sum(axis=0, dtype=np.float64)
    parts = (str(x.shape).encode(), sums.tobytes(), x[0].tobytes(), share.tobytes())
    return hashlib.sha256(b"".join(parts)).hexdigest()
