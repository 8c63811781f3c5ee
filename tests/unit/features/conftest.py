"""One extractor a session; its converted graph is kept between sessions."""

from pathlib import Path

import numpy as np
import pytest

from app.features.engines import build_extractor
from app.features.golden import prepared_scans
from app.imaging import Preprocessing

XRAY = "densenet121-xray"
IMAGENET = "densenet121-imagenet"
CORPUS = Path(__file__).resolve().parents[3] / "../shared/corpus"


@pytest.fixture(scope="session")
def extractor(graphs):
    """The bundled feature set on the engine and precision that `auto` chooses here."""
    return build_extractor(XRAY, weights=None, engine="auto", precision="auto", cache_dir=graphs)


@pytest.fixture(scope="session")
def fp32(graphs):
    return build_extractor(XRAY, weights=None, engine="openvino", precision="fp32", cache_dir=graphs)


@pytest.fixture(scope="session")
def reference(graphs):
    """The fp32 TensorFlow reference, in this process."""
    return build_extractor(XRAY, weights=None, engine="tensorflow", precision="auto", cache_dir=graphs)


@pytest.fixture(scope="session")
def scans() -> np.ndarray:
    """The golden scans, prepared: float32 (4, 224, 224)."""
    return prepared_scans(Preprocessing())


@pytest.fixture(scope="session")
def corpus() -> Path:
    if not CORPUS.is_dir():
        pytest.skip(f"no corpus at {CORPUS}")
    return CORPUS
