"""Which trainer an algorithm has. Each is loaded when it is asked for: a logistic regression needs no TensorFlow."""

from importlib import import_module
from typing import Any

from app.heads.algorithms import Algorithm
from app.heads.trainers.base import Trainer

_TRAINERS = {
    Algorithm.LOGISTIC_REGRESSION: ("logistic", "LogisticTrainer"),
    Algorithm.LINEAR_SVM: ("linear_svm", "LinearSvmTrainer"),
    Algorithm.RBF_SVM: ("svm", "SvmTrainer"),
    Algorithm.RANDOM_FOREST: ("forest", "ForestTrainer"),
    Algorithm.GRADIENT_BOOSTING: ("boosting", "BoostingTrainer"),
    Algorithm.K_NEAREST: ("neighbours", "NeighboursTrainer"),
    Algorithm.MLP: ("mlp", "MlpTrainer"),
    Algorithm.KERAS_NETWORK: ("network", "NetworkTrainer"),
}
# Keras draws from one random generator a process: two fits side by side would not repeat.
ONE_AT_A_TIME = frozenset({Algorithm.KERAS_NETWORK})


def trainer_for(algorithm: Algorithm) -> Trainer:
    """Return a new trainer, for one training."""
    module, name = _TRAINERS[algorithm]
    made: Any = getattr(import_module(f"app.heads.trainers.{module}"), name)()
    trainer: Trainer = made
    return trainer
