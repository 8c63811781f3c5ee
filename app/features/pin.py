"""`python -m app.features.pin NAME...`: write the golden vectors of known feature sets, by Keras in fp32.

For whoever changes a preprocessing before it is released; afterwards its vectors are stored, and pinned for ever.
"""

import sys

from app.features import backbone
from app.features.golden import GoldenVectors, prepared_scans
from app.features.golden.vectors import PINNED
from app.features.spec import Features
from app.features.weights import resolve


def pin(name: str) -> None:
    """Write `golden/NAME.npz`. Raises ConfigurationError for a name without bundled weights."""
    resolved = resolve(name)
    scans = prepared_scans(resolved.spec.preprocessing)
    avg, peak = backbone.forward(backbone.assemble(backbone.load_body(resolved), resolved.spec))(scans)
    GoldenVectors.of(resolved.spec, scans, Features(avg, peak)).write(PINNED / f"{name}.npz")


if __name__ == "__main__":
    for asked in sys.argv[1:]:
        pin(asked)
