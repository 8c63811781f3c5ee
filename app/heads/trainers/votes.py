"""Shares of votes as decision scores, for algorithms whose shares are no honest probabilities."""

import numpy as np

from app.heads.arrays import Float64
from app.heads.convert import Graph


def vote_scores(share: Float64, voters: int) -> Float64:
    """Return (n, classes): the log-odds of each class's `share` (n, classes) of `voters` votes.

    One vote more is spread evenly over the classes, so that unanimity is finite.
    """
    smooth = (share * voters + 1.0 / share.shape[1]) / (voters + 1.0)
    return np.asarray(np.log(smooth) - np.log1p(-smooth))


def emit_vote_scores(graph: Graph, share: str, voters: int, classes: int, dtype: type) -> str:
    """Write `vote_scores` for `share` of `dtype`."""
    scaled = graph.node("Mul", share, graph.constant(voters / (voters + 1.0), dtype))
    smooth = graph.node("Add", scaled, graph.constant(1.0 / classes / (voters + 1.0), dtype))
    others = graph.node("Sub", graph.constant(1.0, dtype), smooth)
    return graph.node("Sub", graph.node("Log", smooth), graph.node("Log", others))
