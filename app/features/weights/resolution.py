"""From the name of a feature set to its weights: named in the settings, else bundled, else an error.

Nothing is downloaded unless the settings say so literally: a start must not depend on the internet.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from app.errors import ConfigurationError
from app.features.spec import FeatureSetSpec
from app.features.weights.arrays import BUNDLED_BACKBONE, Arrays, read_arrays, weights_digest
from app.features.weights.known import KNOWN, KnownFeatureSet
from app.imaging.preprocessing import Preprocessing

IMAGENET_DOWNLOAD = "imagenet-download"
BUNDLE = Path(__file__).parent
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


@dataclass(frozen=True, slots=True)
class ResolvedWeights:
    """A feature set and the file of its weights; `path` is None where Keras is asked to download them.

    bf16_agrees: whether precision `auto` may take bf16; False unless it was measured (`app.features.weights.known`).
    """

    spec: FeatureSetSpec
    path: Path | None
    bf16_agrees: bool = False

    def arrays(self) -> Arrays:
        """Every array, float32, by its Keras 3 name. Raises ConfigurationError."""
        if self.path is None:
            raise ConfigurationError(f"The weights of {self.spec.name} are Keras's own and are not on disk.")
        arrays = read_arrays(self.path, self.spec.backbone)
        if weights_digest(arrays) != self.spec.weights_digest:
            raise ConfigurationError(
                f"Weights {self.path} changed since they were named or stored: start again, or install them again."
            )
        return arrays


def resolve(name: str, weights: str | None = None) -> ResolvedWeights:
    """The weights and the identity of feature set `name`.

    weights is the path of an `.npz`, or of a folder holding one, or `imagenet-download`; None takes the
    bundled file. A name that is not in `KNOWN` may be given to any DenseNet121 weights by their path.
    Loads no framework; reads and digests the file (0.1 s), once as long as it stays the same.
    Raises ConfigurationError.
    """
    if not NAME.fullmatch(name):
        raise ConfigurationError(f"{name!r} is no name for a feature set: use a-z, 0-9, dot, dash, underscore.")
    known = KNOWN.get(name)
    if weights == IMAGENET_DOWNLOAD:
        return _downloadable(name, known)
    path = _path(name, known, weights)
    digest = _file_digest(path)
    if known and digest != known.weights_digest:
        raise ConfigurationError(
            f"Weights {path} are not those of {name} (digest {digest[:12]}, expected {known.weights_digest[:12]}): "
            f"name the right file, or give the feature set another name{_earlier(name, digest)}."
        )
    return ResolvedWeights(_spec(name, known, digest), path, known is not None and known.bf16_agrees)


def _earlier(name: str, digest: str) -> str:
    """What to add where weights are those of the network that `name` meant before."""
    found = (one.name for one in KNOWN.values() if one.superseded_by == name and one.weights_digest == digest)
    return "".join(f"; these are those of {one}" for one in found)


def _spec(name: str, known: KnownFeatureSet | None, digest: str) -> FeatureSetSpec:
    preprocessing = known.preprocessing if known else Preprocessing()
    return FeatureSetSpec(name, BUNDLED_BACKBONE, digest, preprocessing, input_size=preprocessing.height)


def _downloadable(name: str, known: KnownFeatureSet | None) -> ResolvedWeights:
    if known is None or not known.downloadable:
        raise ConfigurationError(
            f"Keras has no weights for {name}: {IMAGENET_DOWNLOAD} is for densenet121-imagenet only."
        )
    return ResolvedWeights(_spec(name, known, known.weights_digest), None)


def _path(name: str, known: KnownFeatureSet | None, weights: str | None) -> Path:
    if weights is None:
        if known is None or known.bundled is None:
            raise ConfigurationError(
                f"No weights for {name} come with Penumbra: set PENUMBRA_WEIGHTS to their .npz file."
            )
        return BUNDLE / known.bundled
    path = Path(weights)
    if path.is_dir():
        found = sorted(path.glob("*.npz"))
        if len(found) != 1:
            raise ConfigurationError(f"Folder {path} holds {len(found)} .npz files: name the one to use.")
        return found[0]
    if not path.is_file():
        raise ConfigurationError(f"Weights {path} do not exist: set PENUMBRA_WEIGHTS to an .npz file.")
    return path


def resolve_spec(spec: FeatureSetSpec, weights: str | None = None, weights_dir: Path | None = None) -> ResolvedWeights:
    """The weights of a feature set that is stored, found by their digest.

    Those that come with Penumbra; else `weights_dir/<digest>.npz`; else what `weights` names (as `resolve` takes
    it), if its digest is the spec's. Loads no framework. Raises ConfigurationError, naming the remedy.
    """
    known = next((one for one in KNOWN.values() if one.weights_digest == spec.weights_digest), None)
    agrees = known is not None and known.bf16_agrees
    if known and known.bundled:
        return ResolvedWeights(spec, BUNDLE / known.bundled, agrees)
    stored = weights_dir / f"{spec.weights_digest}.npz" if weights_dir else None
    if stored and stored.is_file():
        return ResolvedWeights(spec, stored, agrees)
    if weights == IMAGENET_DOWNLOAD and known and known.downloadable:
        return ResolvedWeights(spec, None, agrees)
    if weights and weights != IMAGENET_DOWNLOAD:
        path = _path(spec.name, known, weights)
        if _file_digest(path, spec.backbone) == spec.weights_digest:
            return ResolvedWeights(spec, path, agrees)
    raise ConfigurationError(
        f"The weights of feature set {spec.name} are not here: copy {stored or spec.weights_digest + '.npz'} from "
        "the machine that has it, or set PENUMBRA_WEIGHTS to a file of the same weights."
    )


def _file_digest(path: Path, backbone: str = BUNDLED_BACKBONE) -> str:
    status = path.stat()
    return _digest_of_file(path.resolve(), backbone, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=8)
def _digest_of_file(path: Path, backbone: str, modified_ns: int, size: int) -> str:  # noqa: ARG001 - keys of the cache
    return weights_digest(read_arrays(path, backbone))
