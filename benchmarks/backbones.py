"""`python -m benchmarks.backbones [NAME...]`: every architecture of the table, untrained, through the CPU engine.

Dimensions, weights, milliseconds of processor for an image in fp32 and bf16, and how far average pooling is from
Keras's own network with `pooling="avg"` and its own `preprocess_input` on the same scans.
"""

import importlib
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from app.features.backbones import BACKBONES, describe_backbone, make_spec
from app.features.engines.processor import has_bf16
from app.features.spec import Extractor

SEED = "random:7"
IMAGES, ROUNDS = 8, 3
OWN = {"resnet": "resnet50", "inceptionv3": "inception_v3", "mobilenetv2": "mobilenet_v2"}
MODULES = {**OWN, "densenet": "densenet", "xception": "xception", "efficientnet": "efficientnet"}


def measure(name: str, folder: str) -> tuple[str, ...]:
    """One row of the table."""
    from app.features import convert, pack
    from app.features.engines import build_extractor, cache
    from app.features.golden import check

    cache._convert = convert.convert  # this process needs Keras anyway
    where = Path(folder)
    digest = pack.pack(name, SEED, where)
    spec = make_spec(f"{name}-untrained", name, digest)
    rates = []
    for precision in ("fp32", "bf16") if has_bf16() else ("fp32",):
        extractor = build_extractor(
            spec, weights=None, engine="openvino", precision=precision, cache_dir=where, weights_dir=where
        )
        rates.append(f"{_milliseconds(extractor):.1f}")
        if precision == "fp32":
            check(extractor)
            difference = _difference(extractor, where / f"{digest}.npz")
    weights = _count(where / f"{digest}.npz")
    return name, str(spec.input_size), str(spec.avg_dim), f"{weights / 1e6:.1f}", *rates, f"{difference:.0e}"


def _milliseconds(extractor: Extractor) -> float:
    """Of the processor, for an image: neighbours on the machine change it little. Two cores make 2,000 a second."""
    side = extractor.spec.input_size
    batch = np.random.default_rng(0).random((IMAGES, side, side), np.float32)
    extractor.extract(batch)
    seconds = []
    for _ in range(ROUNDS):
        started = time.process_time()
        extractor.extract(batch)
        seconds.append(time.process_time() - started)
    return min(seconds) / IMAGES * 1000


def _difference(extractor: Extractor, weights: Path) -> float:
    """The largest difference from Keras's own average pooling, over its largest value."""
    import keras

    from app.features import backbone
    from app.features.golden import prepared_scans
    from app.features.weights import read_arrays

    spec = extractor.spec
    scans = prepared_scans(spec.preprocessing)
    builder = getattr(keras.applications, describe_backbone(spec.backbone).builder.split(":")[1])
    theirs = builder(include_top=False, weights=None, pooling="avg", input_shape=(spec.input_size, spec.input_size, 3))
    backbone.set_weights(theirs, read_arrays(weights, spec.backbone))
    module = next(module for start, module in MODULES.items() if spec.backbone.startswith(start))
    prepare = importlib.import_module(f"keras.applications.{module}").preprocess_input
    expected = np.asarray(theirs(prepare(scans[..., None].repeat(3, axis=-1) * 255), training=False))
    return float(np.abs(extractor.extract(scans).avg - expected).max() / np.abs(expected).max())


def _count(weights: Path) -> int:
    with np.load(weights) as arrays:
        return sum(arrays[name].size for name in arrays.files)


def main() -> int:
    names = sys.argv[1:] or [name for name, row in BACKBONES.items() if row.downloadable]
    precisions = ("fp32 ms", "bf16 ms") if has_bf16() else ("fp32 ms",)
    table = Table("backbone", "side", "dims", "million weights", *precisions, "difference from Keras")
    for name in names:
        with tempfile.TemporaryDirectory(prefix="penumbra-backbones-") as folder:
            row = measure(name, folder)
        print(*row, file=sys.stderr, flush=True)
        table.add_row(*row)
    Console(width=110).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
