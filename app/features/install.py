"""Weights from anywhere become `WEIGHTS_DIR/<digest>.npz`, which a stored feature set finds by its digest. Light."""

from pathlib import Path

from app.errors import ConfigurationError
from app.features.apart import run_apart
from app.features.backbones import describe_backbone
from app.features.weights import IMAGENET_DOWNLOAD

RANDOM = "random:"
SUFFIXES = (".npz", ".h5", ".keras")


def install_weights(source: str, weights_dir: Path, backbone: str) -> str:
    """Store the weights of `backbone` that `source` names; their digest.

    source is the path of an `.npz` (arrays by Keras's variable paths), of a `.weights.h5`, `.h5` or `.keras` file, with
    or without a top; or `imagenet-download` for Keras's own; or `random:SEED` for a network that was never trained
    (a baseline, and for tests). Read by a process of its own, in 5 to 20 s. Raises ConfigurationError.
    """
    row = describe_backbone(backbone)
    if source == IMAGENET_DOWNLOAD and not row.downloadable:
        raise ConfigurationError(f"Keras has no weights for {backbone}: name a file, or {RANDOM}SEED.")
    if source.startswith(RANDOM) and not source.removeprefix(RANDOM).isdecimal():
        raise ConfigurationError(f"{source!r} names no seed: say {RANDOM}0, for instance.")
    if source != IMAGENET_DOWNLOAD and not source.startswith(RANDOM):
        source = str(_file(source))
    printed = run_apart(
        "app.features.pack", backbone, source, str(weights_dir.resolve()), what=f"Reading weights of {backbone}"
    )
    return printed.split()[-1]


def _file(source: str) -> Path:
    path = Path(source).resolve()
    if not path.is_file():
        raise ConfigurationError(
            f"Weights {source} do not exist: name a file, {IMAGENET_DOWNLOAD}, or {RANDOM}SEED (untrained)."
        )
    if path.suffix not in SUFFIXES:
        raise ConfigurationError(f"Weights {source}: use a file that ends in {', '.join(SUFFIXES)}.")
    return path
