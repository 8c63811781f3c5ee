"""Adding a feature set: its weights put where every process finds them, its partition made, nothing extracted yet."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.config import Settings
from app.errors import ConfigurationError, Conflict, InvalidInput
from app.features.backbones import make_spec
from app.features.install import RANDOM, install_weights
from app.features.quantise import quantise
from app.features.spec import FeatureSetSpec
from app.features.weights import IMAGENET_DOWNLOAD, KNOWN, KnownFeatureSet, read_arrays, resolve, write_arrays
from app.features.weights.arrays import BUNDLED_BACKBONE
from app.features.weights.resolution import NAME
from app.models import FeatureSet, FeatureStage
from app.services import feature_sets

_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Wanted:
    """A feature set to be added. A known name needs no more than, where they are not bundled, its weights.

    `weights`: a file, `imagenet-download`, `random:SEED`, or the digest of weights that are installed already.
    """

    name: str
    backbone: str | None = None
    weights: str | None = None
    profile: str | None = None
    int8_of: str | None = None


@dataclass(frozen=True)
class Base:
    """What is in the store already: the set that is to be quantised, and the one that was made from it under this
    name, since quantising it again would give another network."""

    spec: FeatureSetSpec
    made: FeatureSetSpec | None


def base_of(session: Session, wanted: Wanted) -> Base | None:
    """What a set in eight bits is made from; None for any other. Raise NotFound for a set that is not there."""
    if wanted.int8_of is None:
        return None
    spec = FeatureSetSpec.from_dict(feature_sets.named(session, wanted.int8_of).spec)
    made = session.scalar(select(FeatureSet).where(FeatureSet.name == wanted.name))
    same = made is not None and made.origin.get("int8_of") == {"name": wanted.int8_of, "digest": spec.digest}
    return Base(spec, FeatureSetSpec.from_dict(made.spec) if made is not None and same else None)


def prepare(
    wanted: Wanted, settings: Settings, *, base: Base | None = None, files: bool = True
) -> tuple[FeatureSetSpec, dict[str, Any]]:
    """Install the weights; the identity of the set, and where it comes from. Takes seconds: hold no transaction.

    `files`: whether weights may be a path on this machine. Raise InvalidInput for what cannot be added.
    """
    weights_dir = settings.weights_dir
    if not NAME.fullmatch(wanted.name):
        raise InvalidInput(f"'{wanted.name}' is no name for a feature set: use a-z, 0-9, dot, dash, underscore.")
    if not files and wanted.weights is not None and not _is_word(wanted.weights):
        raise InvalidInput(
            f"Weights {wanted.weights}: over the API say {IMAGENET_DOWNLOAD}, {RANDOM}SEED, or the digest of "
            "installed weights; a file is added with `penumbra features add` on the server."
        )
    known = KNOWN.get(wanted.name)
    try:
        if base is not None:
            return _quantised(wanted, base, settings)
        return _known(wanted, known, weights_dir) if known else _new(wanted, weights_dir)
    except ConfigurationError as error:
        raise InvalidInput(error.message) from error


def add(session: Session, spec: FeatureSetSpec, origin: dict[str, Any], *, author: str) -> tuple[FeatureSet, bool]:
    """Register what was prepared, to be filled; whether it is new.

    Raise Conflict when the name stands for other weights or preprocessing, or the same vectors have another name.
    """
    before = {one.name for one in feature_sets.stored(session)}
    try:
        added = feature_sets.ensure(session, spec, author=author, stage=FeatureStage.FILLING, origin=origin)
    except ConfigurationError as error:
        raise Conflict(error.message) from error
    return added, added.name not in before


def _is_word(weights: str) -> bool:
    return weights == IMAGENET_DOWNLOAD or weights.startswith(RANDOM) or bool(_DIGEST.fullmatch(weights))


def _quantised(wanted: Wanted, base: Base, settings: Settings) -> tuple[FeatureSetSpec, dict[str, Any]]:
    if wanted.backbone or wanted.weights or wanted.profile or wanted.name in KNOWN:
        raise InvalidInput(
            f"A set in eight bits has backbone, weights and profile of {base.spec.name}: leave them out, and give it "
            "a name of its own."
        )
    origin = {"int8_of": {"name": base.spec.name, "digest": base.spec.digest}}
    if base.made is not None:
        return base.made, origin
    made = quantise(
        base.spec, wanted.name, weights=settings.weights, weights_dir=settings.weights_dir, cache_dir=settings.cache_dir
    )
    return made, origin


def _known(wanted: Wanted, known: KnownFeatureSet, weights_dir: Path) -> tuple[FeatureSetSpec, dict[str, Any]]:
    own = known.preprocessing.profile
    if wanted.backbone not in (None, BUNDLED_BACKBONE) or wanted.profile not in (None, own):
        raise InvalidInput(
            f"{known.name} is known: it is {BUNDLED_BACKBONE} for {own or 'every kind of'} scans. Leave backbone and "
            "profile out, or give the feature set another name."
        )
    origin = {"weights": known.source, "licence": known.licence}
    if known.bundled and wanted.weights is None:
        return resolve(known.name).spec, origin
    installed = weights_dir / f"{known.weights_digest}.npz"
    if wanted.weights is None and not installed.is_file():
        raise InvalidInput(
            f"The weights of {known.name} do not come with Penumbra: name their file, or say {IMAGENET_DOWNLOAD}."
        )
    digest = known.weights_digest if wanted.weights is None else _installed(wanted.weights, weights_dir, None)
    if digest != known.weights_digest:
        raise InvalidInput(
            f"Weights {wanted.weights} are not those of {known.name} (digest {digest[:12]}, expected "
            f"{known.weights_digest[:12]}): name the right file, or give the feature set another name."
        )
    return known.spec, origin


def _new(wanted: Wanted, weights_dir: Path) -> tuple[FeatureSetSpec, dict[str, Any]]:
    if wanted.weights is None:
        raise InvalidInput(
            f"'{wanted.name}' is none of the known feature sets ({', '.join(KNOWN)}): say which weights it has, a "
            f"file, {IMAGENET_DOWNLOAD}, or {RANDOM}SEED."
        )
    backbone = wanted.backbone or BUNDLED_BACKBONE
    digest = _installed(wanted.weights, weights_dir, backbone)
    spec = make_spec(wanted.name, backbone, digest, profile=wanted.profile)
    return spec, {"weights": wanted.weights if _is_word(wanted.weights) else Path(wanted.weights).name}


def _installed(weights: str, weights_dir: Path, backbone: str | None) -> str:
    """The digest of weights, which lie in `weights_dir` now. DenseNet121 from `.npz` needs no Keras."""
    if _DIGEST.fullmatch(weights):
        if not (weights_dir / f"{weights}.npz").is_file():
            raise InvalidInput(f"No weights {weights[:12]} are installed in {weights_dir}.")
        return weights
    path = Path(weights)
    if backbone in (None, BUNDLED_BACKBONE) and path.suffix == ".npz" and path.is_file():
        return write_arrays(read_arrays(path), weights_dir)
    return install_weights(weights, weights_dir, backbone or BUNDLED_BACKBONE)
