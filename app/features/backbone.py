"""A backbone as one Keras graph, from grey pixels to both poolings.

Importing this module loads Keras: only workers and conversions may. Keras runs on the backend that the process
chose before (`app.features.engines.environment`).
"""

import importlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from app.errors import ConfigurationError
from app.features.backbones import describe_backbone
from app.features.spec import Features, FeatureSetSpec
from app.features.weights import ResolvedWeights, weights_digest
from app.features.weights.arrays import Arrays

Forward = Callable[[NDArray[np.float32]], tuple[NDArray[np.float32], ...]]
"""float32 (n, height, width) to one array (n, ...) for each output of the graph."""

POLICIES = {"fp32": "float32", "bf16": "mixed_bfloat16", "fp16": "mixed_float16"}

# keras.applications divides by this once more where it loads EfficientNet's own weights.
EFFICIENTNET_VARIANCE = (0.229, 0.224, 0.225)


@contextmanager
def computing(precision: str) -> Iterator[None]:
    """Networks built in this block compute in `precision` (fp32, bf16 or fp16), with float32 variables."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(POLICIES[precision])
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def build(resolved: ResolvedWeights) -> keras.Model:
    """The whole graph: float32 (n, height, width) grey in [0, 1] to [avg (n, dim), max (n, dim)].

    Raises ConfigurationError if the weights are not those of the spec.
    """
    return assemble(load_body(resolved), resolved.spec)


def load_body(resolved: ResolvedWeights) -> keras.Model:
    """The backbone without top, its weights set: normalised RGB (n, h, w, 3) to the last feature map."""
    steps = resolved.spec.preprocessing
    sides = (steps.height, steps.width)
    if resolved.path is not None:
        body = new_body(resolved.spec.backbone, sides)
        set_weights(body, resolved.arrays())
        return body
    body = pretrained_body(resolved.spec.backbone, sides)
    if weights_digest(body_arrays(body)) != resolved.spec.weights_digest:
        raise ConfigurationError(f"Keras's download is not that of {resolved.spec.name}: name a file.")
    return body


def new_body(backbone: str, sides: tuple[int, int], *, weights: str | None = None, top: bool = False) -> keras.Model:
    """`backbone` for RGB of height and width `sides`, its weights from Keras's initialisers; top: with its own."""
    module, function = describe_backbone(backbone).builder.split(":")
    builder = getattr(importlib.import_module(module), function)
    return builder(include_top=top, weights=weights, input_shape=(*sides, 3))


def pretrained_body(backbone: str, sides: tuple[int, int]) -> keras.Model:
    """`backbone` with Keras's own ImageNet weights, downloaded. Raises ConfigurationError."""
    try:
        body = new_body(backbone, sides, weights="imagenet")
    except (OSError, ValueError) as error:  # what Keras raises when a download fails or is damaged
        raise ConfigurationError(f"Keras cannot fetch its ImageNet weights ({error}): name a file.") from error
    if not backbone.startswith("efficientnet"):
        return body
    same = new_body(backbone, sides)
    set_weights(same, _without_second_scaling(body_arrays(body)))
    return same


def _without_second_scaling(arrays: Arrays) -> Arrays:
    """EfficientNet from Keras has a layer more when its weights are its own: here it is part of the variance."""
    factor = np.asarray(EFFICIENTNET_VARIANCE, np.float32)
    return {**arrays, "normalization/variance": arrays["normalization/variance"] * factor}


def body_variables(body: keras.Model) -> dict[str, Any]:
    """Every floating variable of `body` by its path, the same in every process.

    Layers without a name of their own are numbered by Keras through the process (`conv2d_94`); here from the body's
    first. What is not floating (counters, seeds) is no weight.
    """
    firsts: dict[str, int] = {}
    for layer in body.layers:
        if numbered := _numbered(layer):
            firsts[numbered[0]] = min(numbered[1], firsts.get(numbered[0], numbered[1]))
    found = {}
    for layer in body.layers:
        name = _own_name(layer, firsts)
        for variable in layer.variables:
            if str(variable.dtype).startswith(("float", "bfloat")):
                found[f"{name}/{variable.path.partition('/')[2]}"] = variable
    return found


def _numbered(layer: keras.Layer) -> tuple[str, int] | None:
    """The word and number of a name that Keras gave: `conv2d_7` is ("conv2d", 7), `conv2d` ("conv2d", 0)."""
    word = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=.)(?=[A-Z][a-z])", "_", type(layer).__name__).lower()
    match = re.fullmatch(rf"{word}(?:_(\d+))?", layer.name)
    return (word, int(match[1] or 0)) if match else None


def _own_name(layer: keras.Layer, firsts: dict[str, int]) -> str:
    numbered = _numbered(layer)
    if numbered is None:
        return str(layer.name)
    word, number = numbered
    return f"{word}_{number - firsts[word]}" if number > firsts[word] else word


def body_arrays(body: keras.Model) -> Arrays:
    """The weights of `body`, as `app.features.weights` stores them: float32 by `body_variables`' names."""
    return {name: variable.numpy().astype(np.float32) for name, variable in body_variables(body).items()}


def set_weights(body: keras.Model, arrays: Arrays) -> None:
    """Give every weight of `body` the array of its own name. Raises ConfigurationError."""
    variables = body_variables(body)
    odd = sorted(variables.keys() ^ arrays.keys())
    odd += [name for name in variables.keys() & arrays.keys() if tuple(variables[name].shape) != arrays[name].shape]
    if odd:
        raise ConfigurationError(f"This Keras names or shapes the arrays of {body.name} otherwise, {odd[0]!r} for one.")
    for name, variable in variables.items():
        variable.assign(arrays[name])
    for layer in body.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # it computes with copies of its variables


def assemble(body: keras.Model, spec: FeatureSetSpec) -> keras.Model:
    """Put normalisation before `body` and both poolings behind it, so that one pass does everything.

    Whatever precision the body computes in, what goes in and comes out is float32.
    """
    steps = spec.preprocessing
    grey = keras.Input((steps.height, steps.width), name="grey", dtype="float32")
    rgb = keras.layers.Concatenate(name="repeat", dtype="float32")([keras.ops.expand_dims(grey, -1)] * 3)
    variance = [std**2 for std in steps.std]
    normalise = keras.layers.Normalization(mean=steps.mean, variance=variance, name="normalise", dtype="float32")
    return keras.Model(grey, _poolings(body(normalise(rgb))))


def feature_map_of(graph: keras.Model) -> keras.Model:
    """From the graph that `assemble` made: the same input to the feature map that its poolings pool."""
    return keras.Model(graph.input, graph.get_layer("avg").input)


def pooled(body: keras.Model) -> Callable[[NDArray[np.float32]], Features]:
    """Both poolings of `body` by itself, for float32 (n, h, w, 3) that is normalised already."""
    graph = keras.Model(body.input, _poolings(body.output))
    run = forward(graph)

    def features(batch: NDArray[np.float32]) -> Features:
        avg, peak = run(batch)
        return Features(avg, peak)

    return features


def forward(graph: keras.Model, *, xla: bool = False) -> Forward:
    """`graph` as a compiled TensorFlow function of NumPy arrays; xla compiles anew for every length of batch."""
    import tensorflow  # noqa: PLC0415 - Keras may run on JAX in this process

    compiled = tensorflow.function(
        lambda batch: graph(batch, training=False), reduce_retracing=not xla, jit_compile=True if xla else None
    )

    def run(batch: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        found = compiled(tensorflow.convert_to_tensor(batch))
        outputs = found if isinstance(found, (list, tuple)) else [found]
        return tuple(tensorflow.cast(output, tensorflow.float32).numpy() for output in outputs)

    return run


def _poolings(feature_map: keras.KerasTensor) -> list[keras.KerasTensor]:
    return [
        keras.layers.GlobalAveragePooling2D(name="avg", dtype="float32")(feature_map),
        keras.layers.GlobalMaxPooling2D(name="max", dtype="float32")(feature_map),
    ]
