"""Our layout of DenseNet121 is Keras's own network, whichever way its channels lie."""

import subprocess
import sys

import numpy as np
import pytest

from app.features.backbone import body_arrays, new_body, set_weights
from app.features.weights import resolve

PROOF = """
import os, sys
os.environ["KERAS_BACKEND"] = sys.argv[1]
import numpy as np
from app.features.backbone import set_weights
from app.features.pretraining.learner import normalised
from app.features.pretraining.network import densenet121, spatial_axes
from app.features.weights import resolve
import keras
network = densenet121()
set_weights(network, resolve("densenet121-xray").arrays())
grey = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(1, 64, 64)
found = keras.ops.convert_to_numpy(network(normalised(grey), training=False))
np.save(sys.argv[2], found.mean(spatial_axes()))
"""


@pytest.mark.slow
def test_it_is_keras_own_network():
    from app.features.pretraining.learner import normalised
    from app.features.pretraining.network import densenet121

    arrays = resolve("densenet121-xray").arrays()
    ours, theirs = densenet121(), new_body("densenet121", (64, 64))
    set_weights(theirs, arrays)
    set_weights(ours, arrays)
    grey = np.random.default_rng(0).uniform(0, 1, (2, 64, 64)).astype(np.float32)
    batch = normalised(grey)
    np.testing.assert_allclose(
        ours(batch, training=False).numpy(), theirs(batch, training=False).numpy(), rtol=1e-4, atol=1e-5
    )
    assert body_arrays(ours).keys() == arrays.keys()


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_other_backends_give_the_same_features(backend, tmp_path):
    pytest.importorskip(backend, reason=f"{backend} is an optional backend of pretraining and is not installed")
    found = []
    for one in (backend, "tensorflow"):
        file = tmp_path / f"{one}.npy"
        subprocess.run([sys.executable, "-c", PROOF, one, str(file)], check=True, capture_output=True)
        found.append(np.load(file))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-3, atol=1e-4)
