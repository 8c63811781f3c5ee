"""Training: for workers only, this package loads scikit-learn (and Keras when a recipe asks for a network)."""

from app.heads.algorithms import Algorithm
from app.heads.recipe import HeadRecipe
from app.heads.table import TrainingTable
from app.heads.trainers.fitting import TrainedHead, train

__all__ = ["Algorithm", "HeadRecipe", "TrainedHead", "TrainingTable", "train"]
