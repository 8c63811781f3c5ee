"""What a head must pass before it may go live, beside parity."""

from collections.abc import Sequence

import numpy as np

from app.errors import HeadRefused, InvalidInput
from app.heads.arrays import Float32
from app.heads.metrics import roc_auc
from app.heads.scoring import Head

# A head may be weak on hard labels, but not as weak as chance.
POLARITY_BOUND = 0.6


def polarity(head: Head, avg: Float32, max_: Float32, labels: Sequence[str]) -> float:
    """Return the AUC of the positive class on labelled rows.

    `labels` are class names, never indexes, so that a swapped order cannot pass. Raises `InvalidInput` for a class
    that the head does not know, or where the positive class or all others have no row.
    """
    metadata = head.metadata
    unknown = sorted(set(labels) - set(metadata.classes))
    if unknown:
        raise InvalidInput(f"The head knows {', '.join(metadata.classes)}, not {', '.join(unknown)}")
    positive = np.array(labels) == metadata.positive
    return roc_auc(positive, head.probabilities(avg, max_)[:, metadata.positive_index])


def polarity_verdict(auc: float) -> str:
    if auc > POLARITY_BOUND:
        return "is the right way round"
    return "looks inverted" if auc < 1 - POLARITY_BOUND else "is no better than chance"


def polarity_ok(head: Head, avg: Float32, max_: Float32, labels: Sequence[str]) -> float:
    """Return `polarity`; raise `HeadRefused` unless it is above `POLARITY_BOUND`. Raises as `polarity` does."""
    auc = polarity(head, avg, max_, labels)
    if auc > POLARITY_BOUND:
        return auc
    raise HeadRefused(
        f"The head {polarity_verdict(auc)}: on {len(labels)} labelled rows '{head.metadata.positive}' has AUC "
        f"{auc:.3f}, where more than {POLARITY_BOUND:g} is needed; look at the labels it was trained on"
    )
