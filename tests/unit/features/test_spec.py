"""Identity: what makes two feature sets the same."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

import app
from app.errors import ConfigurationError
from app.features.spec import FeatureSetSpec
from app.features.weights import NETWORKS
from app.features.weights.known import sets_of
from app.imaging import Preprocessing

SPEC = FeatureSetSpec("a", "densenet121", "0" * 64, Preprocessing())


def test_digest_of_the_bundled_feature_set_is_pinned():
    """Changing it strands every stored vector."""
    first = next(sets_of(NETWORKS[0], current=False)).spec
    assert first.digest == "60a72f3e0a11ea6505bcddd20f4add5cc02ddc7a6c9db3eebbb4a06588004881"


def test_spec_comes_back_from_json_the_same():
    stored = json.loads(json.dumps(SPEC.as_dict()))
    assert FeatureSetSpec.from_dict(stored) == SPEC
    assert FeatureSetSpec.from_dict(stored).digest == SPEC.digest


def test_name_is_a_label_and_no_part_of_the_digest():
    assert dataclasses.replace(SPEC, name="b").digest == SPEC.digest


@pytest.mark.parametrize(
    "change",
    [
        {"backbone": "resnet50"},
        {"weights_digest": "1" * 64},
        {"preprocessing": Preprocessing(version=2)},
        {"input_size": 320},
        {"avg_dim": 512},
        {"max_dim": 512},
    ],
)
def test_everything_else_is(change):
    assert dataclasses.replace(SPEC, **change).digest != SPEC.digest


@pytest.mark.parametrize("stored", [{}, {"name": "a"}, SPEC.as_dict() | {"surprise": 1}])
def test_stored_spec_that_does_not_fit_is_refused(stored):
    with pytest.raises(ConfigurationError):
        FeatureSetSpec.from_dict(stored)


def test_light_modules_load_no_framework():
    """The API process imports these; TensorFlow or OpenVINO in it would cost hundreds of megabytes."""
    code = (
        "import sys, app.imaging, app.features, app.features.spec, app.features.weights, app.features.golden, "
        "app.features.engines; app.features.weights.resolve('densenet121-xray'); "
        "print([name for name in ('tensorflow', 'keras', 'openvino', 'sklearn') if name in sys.modules])"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(app.__file__).parents[1], capture_output=True, text=True, check=True
    )
    assert finished.stdout.strip() == "[]"
