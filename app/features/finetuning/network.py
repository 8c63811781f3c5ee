"""A network cut in two, with a head behind it: what stays, what learns, and one step of learning. Loads TensorFlow."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow
from numpy.typing import NDArray

from app.features.backbone import body_variables
from app.features.finetuning.boundaries import Boundary
from app.features.weights.arrays import Arrays
from app.imaging.preprocessing import Preprocessing

Batch = NDArray[np.float32]
Tensor = Any
CHUNK = 16  # scans in one pass without gradients: more is no faster and takes memory in proportion


class LastLayer(Protocol):
    @property
    def variables(self) -> list[keras.Variable]: ...

    def __call__(self, avg: Tensor, peak: Tensor) -> Tensor:
        """Log-odds (n, classes) of float32 (n, avg dimensions) and (n, max dimensions)."""
        ...


def normalised(steps: Preprocessing) -> keras.Model:
    """Grey (n, height, width) in [0, 1] to the normalised RGB (n, height, width, 3) that a network reads."""
    grey = keras.Input((steps.height, steps.width))
    rgb = keras.layers.Concatenate()([keras.ops.expand_dims(grey, -1)] * 3)
    variance = [std**2 for std in steps.std]
    return keras.Model(grey, keras.layers.Normalization(mean=steps.mean, variance=variance)(rgb))


def cut(body: keras.Model, where: Boundary) -> tuple[keras.Model, keras.Model]:
    """`body` as two networks that share its layers: up to the boundary, and from there to the last feature map."""
    layer = body.get_layer(where.layer)
    tensor = layer.output if where.after else layer.input
    return keras.Model(body.input, tensor), keras.Model(tensor, body.output)


def fed(model: keras.Model, steps: Preprocessing) -> keras.Model:
    """`model` behind the normalisation of `steps`: grey (n, height, width) in [0, 1] to what `model` gives."""
    front = normalised(steps)
    return keras.Model(front.input, model(front.output))


def runner(model: keras.Model) -> Callable[[Batch], Batch]:
    """`model` in inference mode as a compiled function of NumPy arrays of any length."""
    compiled = tensorflow.function(
        lambda batch: model(batch, training=False), autograph=False, input_signature=[_floats(model.input_shape)]
    )

    def run(batch: Batch) -> Batch:
        parts = [compiled(tensorflow.convert_to_tensor(batch[i : i + CHUNK])) for i in range(0, len(batch), CHUNK)]
        return np.concatenate([part.numpy() for part in parts])

    return run


class Learner:
    """A network's trained part with its head: answers, and steps of AdamW on a weighted cross-entropy.

    `batch_statistics` says whether batch normalisation uses and updates the statistics of each batch. Only a network
    that starts from random weights may: in a pretrained one, the 32 scans of a batch have other means than the
    million images behind its stored statistics, every later layer reads unfamiliar values, and the first step already
    answers at random. In inference mode its scale and shift (gamma, beta) still learn, with the kernels; the stored
    means and variances are left alone.
    """

    def __init__(self, tail: keras.Model, head: LastLayer, *, weight_decay: float, batch_statistics: bool) -> None:
        self.tail, self.head = tail, head
        self._batch_statistics = batch_statistics
        self.trained: list[keras.Variable] = [*tail.trainable_variables, *head.variables]
        self.state: list[keras.Variable] = [*tail.variables, *head.variables]
        self.optimizer = keras.optimizers.AdamW(weight_decay=weight_decay)
        # Decay pulls to zero: right for kernels, wrong for scales whose neutral value is one.
        self.optimizer.exclude_from_weight_decay(var_list=[v for v in self.trained if not _is_kernel(v)])
        self.optimizer.build(self.trained)
        x, y, weight = _floats(tail.input_shape), tensorflow.TensorSpec((None,), "int64"), _floats((None,))
        self._step = tensorflow.function(self._stepped, autograph=False, input_signature=[x, y, weight])
        self._answer = tensorflow.function(self._answered, autograph=False, input_signature=[x])

    def step(self, x: Batch, y: NDArray[np.int64], weight: Batch, rate: float) -> tuple[Batch, float]:
        """Learn from a batch once; the log-odds (n, classes) and the weighted loss from before the step."""
        self.optimizer.learning_rate.assign(rate)
        logits, loss = self._step(*map(tensorflow.convert_to_tensor, (x, y, weight)))
        return logits.numpy(), float(loss)

    def log_odds(self, x: Batch) -> Batch:
        """Log-odds (n, classes) in inference mode."""
        parts = [self._answer(tensorflow.convert_to_tensor(x[i : i + CHUNK])) for i in range(0, len(x), CHUNK)]
        return np.concatenate([part.numpy() for part in parts])

    def _stepped(self, x: Tensor, y: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        with tensorflow.GradientTape() as tape:
            logits = self._forward(x, training=self._batch_statistics)
            losses = tensorflow.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits)
            loss = tensorflow.reduce_mean(losses * weight)
        gradients = tape.gradient(loss, [variable.value for variable in self.trained])
        self.optimizer.apply(gradients, self.trained)
        return logits, loss

    def _answered(self, x: Tensor) -> Tensor:
        return self._forward(x, training=False)

    def _forward(self, x: Tensor, *, training: bool) -> Tensor:
        feature_map = self.tail(x, training=training)
        return self.head(keras.ops.mean(feature_map, axis=(1, 2)), keras.ops.max(feature_map, axis=(1, 2)))


def _floats(shape: tuple[int | None, ...]) -> Any:
    """What a compiled function takes: one length of batch is like another, and is not compiled anew."""
    return tensorflow.TensorSpec((None, *shape[1:]), "float32")


def _is_kernel(variable: keras.Variable) -> bool:
    return variable.path.rpartition("/")[2] in ("kernel", "head_kernel", "depthwise_kernel", "pointwise_kernel")


def assign(variables: Sequence[keras.Variable], values: Sequence[NDArray[np.generic]]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def arrays(body: keras.Model) -> Arrays:
    """The weights of a network as `app.features.weights` stores them."""
    return {name: np.array(variable.numpy()) for name, variable in body_variables(body).items()}
