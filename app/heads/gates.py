"""What a head must pass before it may go live, beside parity."""

from collections.abc import Sequence

import numpy as np

from app.errors import HeadRefused, InvalidInput
from app.heads.arrays import Float32
from app.heads.metrics import roc_auc
from app.heads.scoring import Head


def polarity_ok(head: Head, avg: Float32, max_: Float32, labels: Sequence[str], *, margin: float = 0.1) -> float:
    """Return the AUC of the positive class on labelled rows; raise `HeadRefused` unless it is above 0.5 + `margin`.

    `labels` are class names, never indexes, so that a swapped order cannot pass. Raises `InvalidInput` for a class
    that the head does not know, or where the positive class or all others have no row.
    """
    metadata = head.metadata
    unknown = sorted(set(labels) - set(metadata.classes))
    if unknown:
        raise InvalidInput(f"The head knows {', '.join(metadata.classes)}, not {', '.join(unknown)}")
    positive = np.array(labels) == metadata.positive
    auc = roc_auc(positive, head.probabilities(avg, max_)[:, metadata.positive_index])
    if auc > 0.5 + margin:
        return auc
    verdict = "looks inverted" if auc < 0.5 - margin else "is no better than chance"
    raise HeadRefused(
        f"The head {verdict}: on {len(labels)} labelled rows '{metadata.positive}' has AUC {auc:.3f}, where more "
        f"than {0.5 + margin:g} is needed; look at the labels it was trained on"
    )
