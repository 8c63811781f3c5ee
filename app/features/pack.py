"""`python -m app.features.pack BACKBONE SOURCE WEIGHTS_DIR`: any weights to our `.npz`; prints their digest.

SOURCE as `app.features.install.install_weights` takes it. In a process of its own, since it loads Keras.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from app.errors import ConfigurationError
from app.features import backbone as backbones
from app.features.apart import ended
from app.features.backbones import describe_backbone, make_spec
from app.features.golden import prepared_scans
from app.features.install import RANDOM
from app.features.weights import IMAGENET_DOWNLOAD, Arrays, write_arrays
from app.features.weights.arrays import READ_ERRORS, today


def pack(backbone: str, source: str, weights_dir: Path) -> str:
    """Store the weights of `backbone` from `source`; their digest. Raises ConfigurationError."""
    row = describe_backbone(backbone)
    sides = (row.input_size, row.input_size)
    if source == IMAGENET_DOWNLOAD:
        body = backbones.pretrained_body(backbone, sides)
    elif source.startswith(RANDOM):
        keras.utils.set_random_seed(int(source.removeprefix(RANDOM)))
        body = backbones.new_body(backbone, sides)
        _normalise(body, backbone)
    else:
        body = backbones.new_body(backbone, sides)
        _load(body, backbone, Path(source))
    arrays = backbones.body_arrays(body)
    broken = [name for name, array in arrays.items() if not np.isfinite(array).all()]
    if broken:
        raise ConfigurationError(f"array {broken[0]!r} of {source} holds NaN or infinite values")
    return write_arrays(arrays, weights_dir)


def _normalise(body: keras.Model, backbone: str) -> None:
    """Give batch normalisation the statistics of the golden scans.

    With those that Keras starts from (mean 0, variance 1) the signal of an untrained network dies out on its way:
    features of 1e-12 in MobileNetV2, measured 2026-11.
    """
    spec = make_spec("untrained", backbone, "")
    for layer in body.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
        elif isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
    grey = prepared_scans(spec.preprocessing)[..., None]
    normalised = (grey - np.asarray(spec.preprocessing.mean)) / np.asarray(spec.preprocessing.std)
    body(normalised.astype(np.float32), training=True)


def _load(body: keras.Model, backbone: str, path: Path) -> None:
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                stored = {today(name): archive[name] for name in archive.files}
        elif path.suffix == ".keras":
            stored = _variables(keras.saving.load_model(path, compile=False, safe_mode=True))
        else:
            return _load_h5(body, backbone, path)
    except READ_ERRORS as error:
        raise ConfigurationError(f"{path} cannot be read ({error})") from error
    backbones.set_weights(body, _chosen(body, stored, path))
    return None


def _variables(model: keras.Model) -> dict[str, Any]:
    """The weights of a model, and of models inside it, by the names that the backbone alone would give them."""
    found = backbones.body_arrays(model)
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            found |= _variables(layer)
    return found


def _load_h5(body: keras.Model, backbone: str, path: Path) -> None:
    """Keras's two HDF5 formats; they hold no names to go by, so a file with a top needs a network with one."""
    try:
        body.load_weights(path)
    except READ_ERRORS as first:
        try:
            whole = backbones.new_body(backbone, body.input_shape[1:3], top=True)
            whole.load_weights(path)
        except (*READ_ERRORS, TypeError) as error:
            raise ConfigurationError(f"{path} does not fit {backbone} ({first}; with a top: {error})") from error
        backbones.set_weights(body, _chosen(body, backbones.body_arrays(whole), path))


def _chosen(body: keras.Model, stored: Mapping[str, Any], path: Path) -> Arrays:
    """Those of `stored` that `body` has: what is more is a top. Raises ConfigurationError where one is missing."""
    names = backbones.body_variables(body)
    missing = [name for name in names if name not in stored]
    if missing:
        raise ConfigurationError(f"{path} lacks {len(missing)} of {len(names)} arrays, the first being {missing[0]!r}")
    return {name: np.asarray(stored[name], np.float32) for name in names}


def main() -> int:
    """Exit status 0, or 1 with the reason as the last line of standard error."""
    backbone, source, weights_dir = sys.argv[1:]
    return ended(lambda: print(pack(backbone, source, Path(weights_dir))))


if __name__ == "__main__":
    sys.exit(main())
