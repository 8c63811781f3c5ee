"""`python -m app.features.bundle SOURCE.npz --version v1`: a trained DenseNet121 becomes the network that we ship.

SOURCE holds its 604 arrays by their Keras names, in single or half precision. Writes `weights/NAME.npz` in half
precision, what it gives for a fixed input (`NAME.expected.json`) and its golden vectors, and says what is left to do.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from app.errors import ConfigurationError
from app.features import agreement, backbone, expected
from app.features.apart import ended
from app.features.golden import MIN_AVG_COSINE, least_cosine, prepared_scans
from app.features.pin import pin
from app.features.spec import Features
from app.features.weights import NETWORKS, Arrays, Network, ResolvedWeights, read_arrays, weights_digest
from app.features.weights.known import sets_of
from app.features.weights.resolution import BUNDLE

MOST_BYTES = 15_000_000


def halved(arrays: Arrays) -> Arrays:
    """`arrays` rounded to half precision, as float32. Raises ConfigurationError for a value that it cannot hold."""
    with np.errstate(over="ignore"):
        rounded = {name: array.astype(np.float16).astype(np.float32) for name, array in arrays.items()}
    lost = next((name for name, array in rounded.items() if not np.isfinite(array).all()), None)
    if lost is not None:
        raise ConfigurationError(f"Array {lost!r} holds values beyond half precision: train with less of a scale.")
    return rounded


def write(arrays: Arrays, path: Path) -> int:
    """Write `arrays` compressed, in half precision; the file's size. Raises ConfigurationError above MOST_BYTES."""
    scratch = path.with_name(f"{path.stem}.tmp.npz")
    half = {name: array.astype(np.float16) for name, array in sorted(arrays.items())}
    np.savez_compressed(scratch, **half)  # type: ignore[arg-type]  # it takes names of arrays as keywords
    size = scratch.stat().st_size
    if size > MOST_BYTES:
        scratch.unlink()
        raise ConfigurationError(f"The file would have {size:,} bytes, and {MOST_BYTES:,} are the most that we ship.")
    scratch.rename(path)
    return size


def state(pooled: expected.Pooled, path: Path) -> None:
    """Write what the network gives for the fixed input, as `app.features.expected` proves it."""
    side = expected.INPUT_SIDE
    given = np.linspace(-2, 2, side * side * 3, dtype=np.float32).reshape(1, side, side, 3)
    features = pooled(given)
    told: dict[str, object] = {"input": expected.FIXED_INPUT}
    for name, values in (("average", features.avg[0]), ("max", features.max[0])):
        exact = values.astype(np.float64)
        told[f"{name}_first8"] = [round(float(value), 6) for value in exact[:8]]
        if name == "average":
            told["average_sum"] = round(float(exact.sum()), 4)
        told[f"{name}_l2"] = round(float(np.linalg.norm(exact)), 4)
    path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def bundle(source: Path, network: Network) -> Network:
    """Write everything that belongs to a network; it with its digest. Raises ConfigurationError."""
    exact = read_arrays(source)
    arrays = halved(exact)
    made = replace(network, weights_digest=weights_digest(arrays))
    known = next((one for one in NETWORKS if one.weights_digest == made.weights_digest), None)
    if known is not None and known.file != made.file:
        raise ConfigurationError(f"These are the weights of {known.version}: there is nothing to replace.")
    path = BUNDLE / made.file
    print(f"{path}: {write(arrays, path):,} bytes, SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()}")
    body = backbone.new_body("densenet121", (expected.INPUT_SIDE, expected.INPUT_SIDE))
    _require_alike(body, exact, arrays)
    state(backbone.pooled(body), path.with_suffix(".expected.json"))
    print(path.with_suffix(".expected.json"))
    for one in sets_of(made, current=True):
        print(pin(ResolvedWeights(one.spec, path), one.golden))
    return made


def _require_alike(body: object, exact: Arrays, rounded: Arrays) -> None:
    """Leave the rounded weights in `body`. Raises ConfigurationError where rounding changed what it gives."""
    spec = next(sets_of(NETWORKS[0], current=True)).spec
    scans = prepared_scans(spec.preprocessing)
    found = []
    for arrays in (exact, rounded):
        backbone.set_weights(body, arrays)
        found.append(Features(*backbone.forward(backbone.assemble(body, spec))(scans)))
    least = [least_cosine(found[1].avg, found[0].avg), least_cosine(found[1].max, found[0].max)]
    print(f"Half precision: least cosine {least[0]:.6f} average-pooled, {least[1]:.6f} max-pooled, of golden scans.")
    if not min(least) >= MIN_AVG_COSINE:
        raise ConfigurationError("Half precision changes what the network gives: something is wrong with its weights.")


def judged(network: Network, folders: Sequence[Path], most: int) -> Network:
    """`network` with what was measured of bf16; as it is without folders of scans."""
    if not folders:
        return network
    spec = next(sets_of(network, current=True)).spec
    found = agreement.measure(spec, BUNDLE / network.file, agreement.chosen(folders, most))
    print(
        f"bf16: least cosine {found.avg_cosine:.5f} average-pooled, {found.max_cosine:.5f} max-pooled, of "
        f"{found.scans} scans{'' if found.enough else ': too little for `auto`'}."
    )
    return replace(network, bf16_agrees=found.enough)


def _run(given: argparse.Namespace) -> None:
    name = given.name or f"penumbra_densenet121_{given.version}"
    network = Network(given.version, f"{name}.npz", "", bf16_agrees=False)
    made = judged(bundle(given.source, network), given.scans, given.most)
    print(
        f"\nWhat is left: the card {BUNDLE / name}.md, which states the digest; and, as the last of NETWORKS in "
        f"app/features/weights/known.py:\n\n    Network(\n        {json.dumps(made.version)}, {json.dumps(made.file)}, "
        f"{json.dumps(made.weights_digest)},\n        bf16_agrees={made.bf16_agrees},\n    ),"
    )


def main() -> int:
    """Exit status 0, or 1 with the reason as the last line of standard error."""
    parser = argparse.ArgumentParser(prog="python -m app.features.bundle", description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("--version", required=True, help="such as v1")
    parser.add_argument("--name", help="of the file; penumbra_densenet121_VERSION without it")
    parser.add_argument("--scans", type=Path, action="append", default=[], help="a folder to measure bf16 on")
    parser.add_argument("--most", type=int, default=200, help="how many scans of each folder")
    given = parser.parse_args()
    return ended(lambda: _run(given))


if __name__ == "__main__":
    sys.exit(main())
