"""A small Keras network on stored features. Importing this module loads TensorFlow."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from app.heads.algorithms import Params
from app.heads.arrays import Float32, Float64
from app.heads.convert import Graph
from app.heads.trainers.base import Rows, Run
from app.heads.trainers.stopping import stopping_split

PLATEAU_FACTOR = 0.3  # of the learning rate, after half the patience without a smaller loss


@dataclass(frozen=True)
class NetworkFit:
    """Dense, ReLU, batch norm and dropout a layer, then dense; the softmax is the link."""

    model: Any
    epochs: int  # epochs that led to the weights kept

    def scores(self, x: Float32) -> Float64:
        return np.asarray(self.model.predict(x, batch_size=4096, verbose=0), dtype=np.float64)

    def emit(self, graph: Graph, x: str) -> str:
        *hidden, top = self._folded()
        for weights, bias in hidden:
            x = graph.node("Relu", graph.node("Gemm", x, graph.constant(weights), graph.constant(bias)))
        return graph.node("Gemm", x, *[graph.constant(part) for part in top])

    def _folded(self) -> list[tuple[Float64, Float64]]:
        """Return weights and bias of every dense layer, the batch norm before it worked in.

        At inference batch norm is one factor and one offset a unit, which the next dense layer can take over.
        """
        found = []
        factor, offset = np.ones(1), np.zeros(1)
        for layer in self.model.layers:
            values = [np.asarray(part, dtype=np.float64) for part in layer.get_weights()]
            if isinstance(layer, keras.layers.BatchNormalization):
                gamma, beta, mean, variance = values
                factor = gamma / np.sqrt(variance + layer.epsilon)
                offset = beta - mean * factor
            elif isinstance(layer, keras.layers.Dense):
                weights, bias = values
                found.append((factor[:, None] * weights, bias + (offset[:, None] * weights).sum(axis=0)))
                factor, offset = np.ones(1), np.zeros(1)
        return found


class NetworkTrainer:
    log_odds = True

    def search(self, rows: Rows, held: Float32, candidates: list[Params], run: Run) -> Iterator[Float64]:
        for params in candidates:
            yield self.fit(rows, params, run).scores(held)

    def fit(self, rows: Rows, params: Params, run: Run) -> NetworkFit:
        fitting, held = stopping_split(rows, run.seed)
        keras.utils.set_random_seed(run.seed)
        steps = -(-len(fitting.x) // int(params["batch_size"]))
        model = _build(rows, params, steps * int(params["epochs"]))
        history = model.fit(
            fitting.x,
            fitting.y,
            sample_weight=fitting.weight,
            validation_data=(held.x, held.y, held.weight),
            epochs=int(params["epochs"]),
            batch_size=int(params["batch_size"]),
            validation_batch_size=4096,
            callbacks=_callbacks(params, run),
            verbose=0,
        )
        return NetworkFit(model, 1 + int(np.argmin(history.history["val_loss"])))


def _build(rows: Rows, params: Params, steps: int) -> Any:
    layers = keras.layers
    model = keras.Sequential([keras.Input((rows.x.shape[1],))])
    for _ in range(int(params["layers"])):
        penalty = keras.regularizers.L1L2(float(params["l1"]), float(params["l2"]))
        model.add(layers.Dense(int(params["units"]), activation="relu", kernel_regularizer=penalty))
        if params["batch_norm"] == "yes":
            model.add(layers.BatchNormalization(momentum=0.9))
        model.add(layers.Dropout(float(params["dropout"])))
    model.add(layers.Dense(rows.classes))
    rate: Any = float(params["learning_rate"])
    if params["schedule"] == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, steps)
    model.compile(
        optimizer=keras.optimizers.Adam(rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,  # compiling takes longer than the whole fit
    )
    return model


class Plateau(keras.callbacks.Callback):  # type: ignore[misc]
    """Multiplies the learning rate by `PLATEAU_FACTOR` after `patience` epochs without a smaller validation loss.

    Keras's own reads the rate back from TensorFlow, of which NumPy 2.4 warns.
    """

    def __init__(self, rate: float, patience: int) -> None:
        super().__init__()
        self.rate, self.patience = rate, patience
        self.least, self.waited = np.inf, 0

    def on_epoch_end(self, _epoch: int, logs: dict[str, float] | None = None) -> None:
        loss = (logs or {})["val_loss"]
        self.least, self.waited = (loss, 0) if loss < self.least else (self.least, self.waited + 1)
        if self.waited >= self.patience:
            self.rate, self.waited = self.rate * PLATEAU_FACTOR, 0
            self.model.optimizer.learning_rate = self.rate


def _callbacks(params: Params, run: Run) -> list[Any]:
    patience = int(params["patience"])
    callbacks = [
        keras.callbacks.EarlyStopping(monitor="val_loss", patience=patience, restore_best_weights=True),
        keras.callbacks.LambdaCallback(on_epoch_begin=lambda *_: run.checkpoint()),
    ]
    if params["schedule"] == "plateau":
        callbacks.append(Plateau(float(params["learning_rate"]), max(1, patience // 2)))
    return callbacks
