"""A small Keras network on stored features. Importing this module loads TensorFlow."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from app.errors import NotTrainable
from app.heads.arrays import Float32, Float64
from app.heads.convert import Graph
from app.heads.recipe import Number
from app.heads.trainers.base import Rows, Run
from app.heads.trainers.folds import Fold, make_folds

# One part in this many is held out, by subject, to stop early.
STOPPING_FOLDS = 6


@dataclass(frozen=True)
class NetworkFit:
    """Dense, ReLU, batch norm, dropout, dense; the softmax is the link."""

    model: Any
    epochs: int  # epochs that led to the weights kept

    def scores(self, x: Float32) -> Float64:
        return np.asarray(self.model.predict(x, batch_size=4096, verbose=0), dtype=np.float64)

    def emit(self, graph: Graph, x: str) -> str:
        hidden, norm, top = (self.model.get_layer(name) for name in ("hidden", "norm", "top"))
        gamma, beta, mean, variance = (np.asarray(w, dtype=np.float64) for w in norm.get_weights())
        # At inference batch norm is one factor and one offset a unit: they go into the dense layer behind it.
        factor = gamma / np.sqrt(variance + norm.epsilon)
        weights, bias = (np.asarray(w, dtype=np.float64) for w in top.get_weights())
        first = [graph.constant(w) for w in hidden.get_weights()]
        active = graph.node("Relu", graph.node("Gemm", x, *first))
        folded = (
            graph.constant(factor[:, None] * weights),
            graph.constant(bias + (beta - mean * factor) @ weights),
        )
        return graph.node("Gemm", active, *folded)


class NetworkTrainer:
    log_odds = True

    def search(self, rows: Rows, held: Float32, candidates: list[dict[str, Number]], run: Run) -> Iterator[Float64]:
        for params in candidates:
            yield self.fit(rows, params, run).scores(held)

    def fit(self, rows: Rows, params: Mapping[str, Number], run: Run) -> NetworkFit:
        split = _stopping_split(rows, run.seed)
        keras.utils.set_random_seed(run.seed)
        model = _build(rows, params)
        stopping = keras.callbacks.EarlyStopping(
            monitor="val_loss", patience=int(params["patience"]), restore_best_weights=True
        )
        history = model.fit(
            rows.x[split.train],
            rows.y[split.train],
            sample_weight=rows.weight[split.train],
            validation_data=tuple(part[split.validation] for part in (rows.x, rows.y, rows.weight)),
            epochs=int(params["epochs"]),
            batch_size=int(params["batch_size"]),
            validation_batch_size=4096,
            callbacks=[stopping, keras.callbacks.LambdaCallback(on_epoch_begin=lambda *_: run.checkpoint())],
            verbose=0,
        )
        return NetworkFit(model, 1 + int(np.argmin(history.history["val_loss"])))


def _build(rows: Rows, params: Mapping[str, Number]) -> Any:
    layers = keras.layers
    penalty = keras.regularizers.L2(params["l2"])
    model = keras.Sequential(
        [
            keras.Input((rows.x.shape[1],)),
            layers.Dense(int(params["units"]), activation="relu", kernel_regularizer=penalty, name="hidden"),
            layers.BatchNormalization(momentum=0.9, name="norm"),
            layers.Dropout(params["dropout"]),
            layers.Dense(rows.classes, name="top"),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(params["learning_rate"]),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,  # compiling takes longer than the whole fit
    )
    return model


def _stopping_split(rows: Rows, seed: int) -> Fold:
    names = tuple(str(label) for label in range(rows.classes))
    try:
        return make_folds(rows.y, rows.groups, folds=STOPPING_FOLDS, seed=seed, names=names)[0]
    except NotTrainable as error:
        raise NotTrainable(
            "Too few subjects to hold some out for early stopping; label more, or train a logistic regression"
        ) from error
