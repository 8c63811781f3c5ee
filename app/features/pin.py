"""`python -m app.features.pin NAME...`: write the golden vectors of known feature sets, by Keras in fp32.

For whoever changes a preprocessing before it is released; afterwards its vectors are stored, and pinned for ever.
A new bundled network is pinned by `python -m app.features.bundle`.
"""

import sys
from pathlib import Path

from app.features import backbone
from app.features.golden import GoldenVectors, prepared_scans
from app.features.golden.vectors import PINNED
from app.features.spec import Features
from app.features.weights import KNOWN, ResolvedWeights, resolve


def pin(resolved: ResolvedWeights, golden: str) -> Path:
    """Write `golden/GOLDEN.npz`; its path. Raises ConfigurationError for weights that do not fit."""
    scans = prepared_scans(resolved.spec.preprocessing)
    avg, peak = backbone.forward(backbone.assemble(backbone.load_body(resolved), resolved.spec))(scans)
    path = PINNED / f"{golden}.npz"
    GoldenVectors.of(resolved.spec, scans, Features(avg, peak)).write(path)
    return path


if __name__ == "__main__":
    for asked in sys.argv[1:]:
        pin(resolve(asked), KNOWN[asked].golden)
