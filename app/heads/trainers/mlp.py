"""scikit-learn's multi-layer perceptron, stopped early by subjects held out."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp
from sklearn.neural_network import MLPClassifier

from app.errors import NotTrainable
from app.heads.algorithms import Params
from app.heads.arrays import Float32, Float64
from app.heads.convert import Graph
from app.heads.trainers.base import Rows, Run
from app.heads.trainers.stopping import stopping_split

PATIENCE = 8  # epochs without a smaller loss


@dataclass(frozen=True)
class MlpFit:
    """Dense layers with ReLU between them: `weights` float32 (in, out), `offsets` (out,); `epochs` led to them."""

    weights: tuple[Float32, ...]
    offsets: tuple[Float32, ...]
    epochs: int

    @classmethod
    def of(cls, model: MLPClassifier, epochs: int) -> "MlpFit":
        """Copy what `model` has learned so far; of two classes it learns the second one's log-odds alone."""
        weights, offsets = [part.copy() for part in model.coefs_], [part.copy() for part in model.intercepts_]
        if len(offsets[-1]) == 1:
            weights[-1], offsets[-1] = np.pad(weights[-1], ((0, 0), (1, 0))), np.pad(offsets[-1], (1, 0))
        return cls(tuple(weights), tuple(offsets), epochs)

    def scores(self, x: Float32) -> Float64:
        for weights, offset in zip(self.weights[:-1], self.offsets[:-1], strict=True):
            x = np.maximum(x @ weights + offset, np.float32(0))
        return np.asarray(x @ self.weights[-1] + self.offsets[-1], dtype=np.float64)

    def emit(self, graph: Graph, x: str) -> str:
        layers = [(graph.constant(w), graph.constant(o)) for w, o in zip(self.weights, self.offsets, strict=True)]
        for layer in layers[:-1]:
            x = graph.node("Relu", graph.node("Gemm", x, *layer))
        return graph.node("Gemm", x, *layers[-1])


class MlpTrainer:
    log_odds = True

    def search(self, rows: Rows, held: Float32, candidates: list[Params], run: Run) -> Iterator[Float64]:
        for params in candidates:
            yield self.fit(rows, params, run).scores(held)

    def fit(self, rows: Rows, params: Params, run: Run) -> MlpFit:
        """Fit epoch by epoch: scikit-learn's own early stopping would put one subject's rows on both sides."""
        fitting, held = stopping_split(rows, run.seed)
        epochs = _epochs(fitting, params, run)
        best = next(epochs)
        least = _log_loss(best, held)
        for now in epochs:
            loss = _log_loss(now, held)
            if loss < least:
                best, least = now, loss
            elif now.epochs - best.epochs >= PATIENCE:
                break
        return best


def _epochs(rows: Rows, params: Params, run: Run) -> Iterator[MlpFit]:
    """Yield the network after each epoch."""
    model = MLPClassifier(
        hidden_layer_sizes=(int(params["units"]),) * int(params["layers"]),
        alpha=float(params["alpha"]),
        learning_rate_init=float(params["learning_rate"]),
        # A generator, not a number, which would shuffle every epoch alike.
        random_state=np.random.RandomState(run.seed),
    )
    for epoch in range(1, int(params["max_iter"]) + 1):
        run.checkpoint()
        try:
            model.partial_fit(rows.x, rows.y, rows.weight, classes=np.arange(rows.classes))
        except ValueError as error:
            raise NotTrainable("A fit diverged (its weights are not finite); give a smaller learning rate") from error
        yield MlpFit.of(model, epoch)


def _log_loss(fit: MlpFit, held: Rows) -> float:
    scores = fit.scores(held.x)
    own = scores[np.arange(len(held.y)), held.y]
    return float(np.average(logsumexp(scores, axis=1) - own, weights=held.weight))
