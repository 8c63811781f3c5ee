"""Reading the arrays of a backbone from an `.npz`, and telling whether all of them are right."""

import hashlib
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from app.errors import ConfigurationError

Arrays = dict[str, NDArray[np.float32]]

BUNDLED_BACKBONE = "densenet121"

BLOCK_LAYERS = (6, 12, 24, 16)
GROWTH = 32
BOTTLENECK = 4 * GROWTH
NORMALISATION = ("gamma", "beta", "moving_mean", "moving_variance")

# Keras used to nest these two layers' names, and files made then still do.
OLDER_NAMES = {"conv1/conv/": "conv1_conv/", "conv1/bn/": "conv1_bn/"}
READ_ERRORS = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


def expected_shapes() -> dict[str, tuple[int, ...]]:
    """Name and shape of each of the 604 arrays of DenseNet121 without its top, named as Keras 3 does.

    Kernels are (height, width, in, out). Source: Huang et al., "Densely Connected Convolutional
    Networks", CVPR 2017, table 1; growth rate 32, bottleneck 128, compression one half.
    """
    return dict(_shapes())


def _shapes() -> Iterator[tuple[str, tuple[int, ...]]]:
    channels = 64
    yield "conv1_conv/kernel", (7, 7, 3, channels)
    yield from _normalisation("conv1_bn", channels)
    for block, layers in enumerate(BLOCK_LAYERS, start=2):
        for layer in range(1, layers + 1):
            prefix = f"conv{block}_block{layer}"
            yield from _normalisation(f"{prefix}_0_bn", channels)
            yield f"{prefix}_1_conv/kernel", (1, 1, channels, BOTTLENECK)
            yield from _normalisation(f"{prefix}_1_bn", BOTTLENECK)
            yield f"{prefix}_2_conv/kernel", (3, 3, BOTTLENECK, GROWTH)
            channels += GROWTH
        if block <= len(BLOCK_LAYERS):
            yield from _normalisation(f"pool{block}_bn", channels)
            yield f"pool{block}_conv/kernel", (1, 1, channels, channels // 2)
            channels //= 2
    yield from _normalisation("bn", channels)


def _normalisation(layer: str, channels: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for part in NORMALISATION:
        yield f"{layer}/{part}", (channels,)


def read_arrays(path: Path, backbone: str = BUNDLED_BACKBONE) -> Arrays:
    """The arrays of the `.npz` at `path` as float32, by their Keras 3 names.

    Of DenseNet121 the names and shapes are known here: a top is ignored, older names are translated. The arrays of
    other backbones are taken as they are; the conversion holds them against the network that Keras builds.
    Raises ConfigurationError, naming the file and the array, for a file that cannot be read, an array
    that is missing, of another shape, not floating, or not finite. Pickled content is never loaded.
    """
    try:
        with path.open("rb") as stream, NpzFile(stream, allow_pickle=False) as archive:
            if backbone != BUNDLED_BACKBONE:
                return {name: _checked(path, name, archive[name], archive[name].shape) for name in archive.files}
            stored = {today(name): name for name in archive.files}
            shapes = expected_shapes()
            _require_all(path, shapes, stored)
            return {name: _checked(path, name, archive[stored[name]], shapes[name]) for name in shapes}
    except READ_ERRORS as error:
        raise ConfigurationError(
            f"Weights {path} cannot be read ({error}): name a NumPy .npz file of {backbone} weights."
        ) from error


def write_arrays(arrays: Arrays, folder: Path) -> str:
    """Store `arrays` as `FOLDER/<digest>.npz`, whole or not at all; their digest. Raises ConfigurationError."""
    digest = weights_digest(arrays)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, suffix=".tmp") as scratch:
            whole = Path(scratch) / f"{digest}.npz"
            np.savez(whole, **arrays)  # type: ignore[arg-type]  # it takes names of arrays as keywords
            with whole.open("rb") as stream:
                os.fsync(stream.fileno())
            whole.rename(folder / whole.name)
    except OSError as error:
        raise ConfigurationError(f"The folder of weights {folder} cannot be written ({error}).") from error
    return digest


def today(name: str) -> str:
    """The name that Keras gives today to an array of DenseNet121 that an older file names otherwise."""
    for older, today in OLDER_NAMES.items():
        if name.startswith(older):
            return today + name.removeprefix(older)
    return name


def _require_all(path: Path, shapes: Mapping[str, tuple[int, ...]], stored: Mapping[str, str]) -> None:
    missing = [name for name in shapes if name not in stored]
    if missing:
        raise ConfigurationError(
            f"Weights {path} lack {len(missing)} of {len(shapes)} arrays, the first being {missing[0]!r}: "
            "name a file with the whole DenseNet121."
        )


def _checked(path: Path, name: str, array: NDArray[np.generic], shape: tuple[int, ...]) -> NDArray[np.float32]:
    if array.shape != shape or array.dtype.kind != "f":
        raise ConfigurationError(
            f"Weights {path}: array {name!r} is {array.dtype} {array.shape} and has to be floating {shape}."
        )
    values = np.ascontiguousarray(array, dtype=np.float32)
    if not np.isfinite(values).all():
        raise ConfigurationError(f"Weights {path}: array {name!r} holds NaN or infinite values.")
    return values


def weights_digest(arrays: Arrays) -> str:
    """SHA-256, hexadecimal, over names, shapes and float32 contents in order of name.

    Contents, not file bytes: the same weights repacked, compressed otherwise, stored as float16 that
    casts to the same values, or under older names are the same weights.
    """
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name}{array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array, dtype="<f4").data)
    return digest.hexdigest()
