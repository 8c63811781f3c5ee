"""DenseNet121 as one Keras graph, from grey pixels to both poolings.

Importing this module loads Keras and TensorFlow: only workers and the conversion step may.
"""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow
from numpy.typing import NDArray

from app.errors import ConfigurationError
from app.features.spec import Features, FeatureSetSpec
from app.features.weights import ResolvedWeights, weights_digest
from app.features.weights.arrays import Arrays

Forward = Callable[[NDArray[np.float32]], tuple[NDArray[np.float32], NDArray[np.float32]]]


def build(resolved: ResolvedWeights) -> keras.Model:
    """The whole graph: float32 (n, height, width) grey in [0, 1] to [avg (n, 1024), max (n, 1024)].

    Raises ConfigurationError if the weights are not those of the spec.
    """
    return assemble(load_body(resolved), resolved.spec)


def load_body(resolved: ResolvedWeights) -> keras.Model:
    """DenseNet121 without top, its weights set: normalised RGB (n, h, w, 3) to the last feature map."""
    side = resolved.spec.input_size
    source = "imagenet" if resolved.path is None else None
    try:
        body = keras.applications.DenseNet121(include_top=False, weights=source, input_shape=(side, side, 3))
    except (OSError, ValueError) as error:  # what Keras raises when a download fails or is damaged
        raise ConfigurationError(f"Keras cannot fetch its ImageNet weights ({error}): name a file.") from error
    if resolved.path is None:
        _require_digest(body, resolved.spec)
    else:
        set_weights(body, resolved.arrays())
    return body


def set_weights(body: keras.Model, arrays: Arrays) -> None:
    """Give every variable of `body` the array of its own name. Raises ConfigurationError."""
    variables = {variable.path: variable for variable in body.variables}
    odd = sorted(variables.keys() ^ arrays.keys())
    if odd:
        raise ConfigurationError(f"This Keras names the arrays of DenseNet121 otherwise, {odd[0]!r} for one.")
    for name, variable in variables.items():
        variable.assign(arrays[name])


def assemble(body: keras.Model, spec: FeatureSetSpec) -> keras.Model:
    """Put normalisation before `body` and both poolings behind it, so that one pass does everything."""
    steps = spec.preprocessing
    grey = keras.Input((steps.height, steps.width), name="grey")
    rgb = keras.layers.Concatenate(name="repeat")([keras.ops.expand_dims(grey, -1)] * 3)
    variance = [std**2 for std in steps.std]
    feature_map = body(keras.layers.Normalization(mean=steps.mean, variance=variance, name="normalise")(rgb))
    return keras.Model(grey, _poolings(feature_map))


def pooled(body: keras.Model) -> Callable[[NDArray[np.float32]], Features]:
    """Both poolings of `body` by itself, for float32 (n, h, w, 3) that is normalised already."""
    graph = keras.Model(body.input, _poolings(body.output))
    run = forward(graph)
    return lambda batch: Features(*run(batch))


def forward(graph: keras.Model) -> Forward:
    """`graph` as a compiled function of NumPy arrays."""
    compiled = tensorflow.function(lambda batch: graph(batch, training=False), reduce_retracing=True)

    def run(batch: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        avg, peak = compiled(tensorflow.convert_to_tensor(batch))
        return avg.numpy(), peak.numpy()

    return run


def _poolings(feature_map: keras.KerasTensor) -> list[keras.KerasTensor]:
    return [
        keras.layers.GlobalAveragePooling2D(name="avg")(feature_map),
        keras.layers.GlobalMaxPooling2D(name="max")(feature_map),
    ]


def _require_digest(body: keras.Model, spec: FeatureSetSpec) -> None:
    digest = weights_digest({variable.path: variable.numpy() for variable in body.variables})
    if digest != spec.weights_digest:
        raise ConfigurationError(f"Keras's download has digest {digest[:12]}, not that of {spec.name}: name a file.")
