"""The last step of a head: scores -> probabilities, fitted on out-of-fold scores, as good as it proves out of fold."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from app.errors import InvalidInput
from app.heads.arrays import Float64, Ints
from app.heads.calibration import BINS, expected_calibration_error, log_losses
from app.heads.convert import Graph, Step
from app.heads.metrics import brier
from app.heads.trainers.isotonic import Isotonic
from app.heads.trainers.sigmoid import Platt, Softmax, normalised

METHODS = ("none", "temperature", "platt", "isotonic")  # from the simplest to the freest


class Link(Step, Protocol):
    def __call__(self, scores: Float64) -> Float64:
        """Return probabilities float64 (n, classes)."""
        ...


@dataclass(frozen=True)
class Calibrated:
    """A link, and what it makes of the out-of-fold scores that it was fitted on.

    `out_of_fold` float64 (n, classes): each fold by a link fitted on the others, for figures of calibration. `final`:
    by `link` itself, for thresholds, which must lie on the scale that scoring will have; two classes keep their ranks.
    """

    link: Link
    out_of_fold: Float64
    final: Float64
    report: dict[str, Any]


def fit_link(
    scores: Float64,
    y: Ints,
    fold_of: Ints,
    *,
    log_odds: bool,
    calibration: str = "auto",
    prevalence: float | None = None,
    positive_index: int = 1,
) -> Calibrated:
    """Return the step behind out-of-fold `scores` (n, classes), and how well it does where it was not fitted.

    `auto` takes the simplest method whose cross-fitted log loss is within one standard error of the best. Scores that
    are no log-odds are never left as they are by `auto`. `prevalence` moves the log-odds of the positive class from
    the rows' mix to that share. Raises `InvalidInput` for an unknown method.
    """
    if calibration not in ("auto", *METHODS):
        raise InvalidInput(f"calibration is {calibration!r}; say auto, {', '.join(METHODS)}")
    tried = METHODS if log_odds else METHODS[1:]
    if calibration not in ("auto", *tried):
        tried = (calibration, *tried)
    answers = {method: _cross_fitted(method, scores, y, fold_of) for method in tried}
    chosen = _simplest(answers, y) if calibration == "auto" else calibration
    link = _fitted(chosen, scores, y)
    share = float(np.mean(y == positive_index))
    report = _report(calibration, chosen, answers, Softmax()(scores), y, positive_index)
    report["prevalence"] = None if prevalence is None else {"stated": prevalence, "dataset": share}
    if prevalence is None:
        return Calibrated(link, answers[chosen], link(scores), report)
    prior = Prior.shift(share, prevalence, positive_index, scores.shape[1])
    shifted = Shifted(link, prior)
    return Calibrated(shifted, prior(answers[chosen]), shifted(scores), report)


def _fitted(method: str, scores: Float64, y: Ints) -> Link:
    match method:
        case "temperature":
            return Softmax.temperature(scores, y)
        case "platt":
            return Platt.fit(scores, y)
        case "isotonic":
            return Isotonic.fit(scores, y)
        case _:
            return Softmax()


def _cross_fitted(method: str, scores: Float64, y: Ints, fold_of: Ints) -> Float64:
    answers = np.empty(scores.shape)
    for fold in np.unique(fold_of):
        held = fold_of == fold
        answers[held] = _fitted(method, scores[~held], y[~held])(scores[held])
    return answers


def _simplest(answers: dict[str, Float64], y: Ints) -> str:
    """Return the first method whose log loss is no more than a standard error (of the difference) above the least."""
    losses = {method: log_losses(y, answer) for method, answer in answers.items()}
    best = min(losses, key=lambda method: float(losses[method].mean()))
    for method, loss in losses.items():
        worse = loss - losses[best]
        if worse.mean() <= worse.std() / np.sqrt(len(y)):
            return method
    return best


def _report(
    asked: str, chosen: str, answers: dict[str, Float64], before: Float64, y: Ints, positive_index: int
) -> dict[str, Any]:
    """Return figures at the rows' own mix: a stated prevalence cannot be judged on rows of another."""
    positive = y == positive_index

    def judged(answer: Float64) -> dict[str, float]:
        said = answer[:, positive_index]
        return {
            "log_loss": float(log_losses(y, answer).mean()),
            "brier": brier(positive, said),
            "ece": expected_calibration_error(positive, said),
        }

    return {
        "asked": asked,
        "method": chosen,
        "bins": BINS,
        "methods": {method: judged(answer) for method, answer in answers.items()},
        "before": judged(before),
        "after": judged(answers[chosen]),
    }


@dataclass(frozen=True)
class Prior:
    """Bayes' rule for another mix of classes: probabilities times `weights` (classes,), normalised.

    With two classes it adds log(pi' / (1 - pi')) - log(pi / (1 - pi)) to the log-odds: Saerens, Latinne and
    Decaestecker, Neural Computation 14 (2002).
    """

    weights: Float64

    @classmethod
    def shift(cls, share: float, prevalence: float, positive_index: int, classes: int) -> "Prior":
        weights = np.full(classes, (1 - prevalence) / (1 - share))
        weights[positive_index] = prevalence / share
        return cls(weights)

    def __call__(self, probabilities: Float64) -> Float64:
        weighed = probabilities * self.weights
        return np.asarray(weighed / weighed.sum(axis=1, keepdims=True))

    def emit(self, graph: Graph, x: str) -> str:
        return normalised(graph, graph.node("Mul", x, graph.constant(self.weights)))


@dataclass(frozen=True)
class Shifted:
    """A link whose answers are moved to another mix of classes."""

    link: Link
    prior: Prior

    def __call__(self, scores: Float64) -> Float64:
        return self.prior(self.link(scores))

    def emit(self, graph: Graph, x: str) -> str:
        return self.prior.emit(graph, self.link.emit(graph, x))
