"""Decision trees as one ONNX node."""

from dataclasses import dataclass

import numpy as np

from app.heads.arrays import Bools, Float32, Float64, Ints
from app.heads.convert import TREES, Graph

NODE_BYTES = 30  # at the least, in the artifact


@dataclass(frozen=True)
class Tree:
    """Node 0 is the root; a row goes left where `x[feature] <= threshold`.

    `feature`, `left`, `right` (nodes,), `threshold` float64 (nodes,), `leaf` (nodes,) and `value` float64
    (nodes, len(targets)), of which the leaves' count; column i goes to output `targets[i]`.
    """

    feature: Ints
    threshold: Float64
    left: Ints
    right: Ints
    leaf: Bools
    value: Float64
    targets: Ints


def emit_sum(graph: Graph, x: str, trees: list[Tree], base: Float64) -> str:
    """Return `base` (outputs,) plus the sum of the trees' values, (n, outputs). Raises `HeadRefused` for too many.

    All trees have as many targets.
    """
    sizes = np.array([len(tree.leaf) for tree in trees])
    graph.require_room(NODE_BYTES * int(sizes.sum()))
    number, node = np.repeat(np.arange(len(trees)), sizes), np.concatenate([np.arange(size) for size in sizes])
    leaf, value = np.concatenate([tree.leaf for tree in trees]), np.concatenate([tree.value for tree in trees])
    inner, width = ~leaf, value.shape[1]
    return graph.node(
        "TreeEnsembleRegressor",
        x,
        domain=TREES,
        n_targets=len(base),
        base_values=base.astype(np.float32).tolist(),
        nodes_treeids=number.tolist(),
        nodes_nodeids=node.tolist(),
        nodes_modes=np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(),
        nodes_featureids=(_joined(trees, "feature") * inner).tolist(),
        nodes_values=(round_down(np.concatenate([tree.threshold for tree in trees])) * inner).tolist(),
        nodes_truenodeids=(_joined(trees, "left") * inner).tolist(),
        nodes_falsenodeids=(_joined(trees, "right") * inner).tolist(),
        target_treeids=np.repeat(number[leaf], width).tolist(),
        target_nodeids=np.repeat(node[leaf], width).tolist(),
        target_ids=np.concatenate([np.tile(tree.targets, int(tree.leaf.sum())) for tree in trees]).tolist(),
        target_weights=value[leaf].ravel().astype(np.float32).tolist(),
    )


def round_down(threshold: Float64) -> Float32:
    """Return the greatest float32 not above each threshold: every float32 x lies on the same side of both."""
    nearest = threshold.astype(np.float32)
    return np.where(nearest > threshold, np.nextafter(nearest, np.float32(-np.inf)), nearest)


def _joined(trees: list[Tree], name: str) -> Ints:
    return np.concatenate([getattr(tree, name) for tree in trees]).astype(np.int64)
