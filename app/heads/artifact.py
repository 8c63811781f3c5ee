"""A head is one ONNX file whose metadata says what its numbers mean.

Nothing here needs the `onnx` package: the metadata is read through onnxruntime, so that a light process can.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields
from datetime import datetime
from typing import Any

import numpy as np

from app.errors import HeadRefused
from app.heads.arrays import Float32
from app.heads.familiarity import Familiarity
from app.heads.policy_words import UNDECIDED
from app.heads.pooling import Pooling

FORMAT = 1
METADATA_KEY = "penumbra.head"
GOLDEN_KEY = "penumbra.golden"
FAMILIARITY_KEY = "penumbra.familiarity"  # artifacts of before it was measured have none
SEAL_KEY = "penumbra.seal"
OUTPUT = "probabilities"

# The greatest difference of a probability between a head (float32) and its trainer (float64). A float32 sum of
# 2,048 terms within +-8 errs by 1e-6 to 1e-5 in the log-odds, and a probability moves by a quarter of that at
# most; a wrong conversion shows a thousand times the bound (skl2onnx 1.20 on isotonic calibration: 0.14).
PARITY_BOUND = 1e-4


@dataclass(frozen=True, kw_only=True)
class HeadMetadata:
    """What an artifact says about itself; column `i` of its output is the probability of `classes[i]`."""

    task: str
    classes: tuple[str, ...]
    positive: str  # the class that must not be missed
    threshold: float  # on the probability of `positive`; at or above it the decision is `positive`
    policy: str  # how the threshold was chosen
    pooling: Pooling
    avg_dimensions: int
    max_dimensions: int
    feature_set: str  # digest
    feature_set_name: str
    algorithm: str
    params: Mapping[str, Any]
    training_digest: str
    created_at: datetime
    libraries: Mapping[str, str]
    review_from: float | None = None  # at or above it, and below `threshold`, the decision is `review`
    format: int = FORMAT

    def __post_init__(self) -> None:
        problem = _problem(self)
        if problem:
            raise HeadRefused(f"The head's metadata is not usable: {problem}")

    @property
    def positive_index(self) -> int:
        return self.classes.index(self.positive)

    @property
    def edges(self) -> tuple[float, ...]:
        """The probabilities of `positive` at which the decision changes."""
        return (self.threshold,) if self.review_from is None else (self.review_from, self.threshold)

    def to_json(self) -> str:
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        plain |= {"created_at": self.created_at.isoformat(), "params": dict(self.params)}
        return json.dumps(plain | {"libraries": dict(self.libraries)}, sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "HeadMetadata":
        """Read what `to_json` wrote; raises `HeadRefused` for anything else. Unknown fields are left out."""
        try:
            raw = json.loads(text)
            known = {field.name: raw[field.name] for field in fields(cls) if field.name in raw or not _optional(field)}
            known["created_at"] = datetime.fromisoformat(known["created_at"])
            known["pooling"] = Pooling(known["pooling"])
            known["classes"] = tuple(known["classes"])
            return cls(**known)
        except (ValueError, TypeError, KeyError) as error:
            raise HeadRefused(f"The head's metadata cannot be read ({error!r}); train the head again") from error


def _optional(field: Field[Any]) -> bool:
    return field.default is not MISSING


def _problem(metadata: HeadMetadata) -> str | None:
    classes = metadata.classes
    if metadata.format != FORMAT:
        return f"format {metadata.format} where this version reads {FORMAT}"
    if len(classes) < 2 or len(set(classes)) != len(classes) or not all(classes):
        return f"classes {classes} are not two or more different names"
    if metadata.positive not in classes:
        return f"positive class '{metadata.positive}' is not one of {classes}"
    if taken := UNDECIDED.intersection(classes):
        return f"a class is named '{min(taken)}', which is said where the decision is left to a person"
    return _threshold_problem(metadata.threshold, metadata.review_from)


def _threshold_problem(threshold: float, review_from: float | None) -> str | None:
    if not 0.0 <= threshold <= 1.0:
        return f"threshold {threshold} is not a probability"
    if review_from is not None and not 0.0 <= review_from < threshold:
        return f"a review band from {review_from} to {threshold} is none"
    return None


@dataclass(frozen=True)
class GoldenRows:
    """Rows of features with the trainer's own answers, by which any process can check an artifact again."""

    avg: Float32  # (rows, avg_dimensions)
    max: Float32  # (rows, max_dimensions)
    probabilities: Float32  # (rows, classes)
    decisions: tuple[str, ...]

    def to_json(self) -> str:
        arrays = {name: _encode(getattr(self, name)) for name in ("avg", "max", "probabilities")}
        return json.dumps(arrays | {"decisions": list(self.decisions)}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "GoldenRows":
        """Read what `to_json` wrote; raises `HeadRefused` for anything else."""
        try:
            raw = json.loads(text)
            avg, max_, probabilities = (_decode(raw[name]) for name in ("avg", "max", "probabilities"))
            return cls(avg, max_, probabilities, tuple(raw["decisions"]))
        except (ValueError, TypeError, KeyError) as error:
            raise HeadRefused(f"The head's golden rows cannot be read ({error!r}); train it again") from error


def sealed(metadata: HeadMetadata, golden: GoldenRows, familiarity: Familiarity | None = None) -> dict[str, str]:
    """Return the texts that an artifact carries, with the digest that shows a later edit (not a forgery)."""
    texts = {METADATA_KEY: metadata.to_json(), GOLDEN_KEY: golden.to_json()}
    if familiarity is not None:
        texts[FAMILIARITY_KEY] = familiarity.to_json()
    return texts | {SEAL_KEY: _seal(texts)}


def unsealed(texts: Mapping[str, str]) -> tuple[HeadMetadata, GoldenRows, Familiarity | None]:
    """Read what `sealed` wrote; raises `HeadRefused` for a foreign graph or an edited text."""
    if not {METADATA_KEY, GOLDEN_KEY, SEAL_KEY} <= texts.keys():
        raise HeadRefused("The ONNX graph carries no head metadata; register heads that Penumbra trained")
    if _seal(texts) != texts[SEAL_KEY]:
        raise HeadRefused("The head's metadata was edited after training; train the head again")
    metadata, golden = HeadMetadata.from_json(texts[METADATA_KEY]), GoldenRows.from_json(texts[GOLDEN_KEY])
    return metadata, golden, Familiarity.from_json(texts[FAMILIARITY_KEY]) if FAMILIARITY_KEY in texts else None


def _seal(texts: Mapping[str, str]) -> str:
    # In this order, and without the last where there is none: older artifacts keep their seal.
    signed = [texts[key] for key in (METADATA_KEY, GOLDEN_KEY, FAMILIARITY_KEY) if key in texts]
    return hashlib.sha256("\n".join(signed).encode()).hexdigest()


def _encode(values: Float32) -> dict[str, Any]:
    content = np.ascontiguousarray(values, dtype="<f4").tobytes()
    return {"shape": list(values.shape), "float32": base64.b64encode(content).decode("ascii")}


def _decode(raw: Mapping[str, Any]) -> Float32:
    content = base64.b64decode(raw["float32"], validate=True)
    return np.frombuffer(content, dtype="<f4").astype(np.float32).reshape(raw["shape"])
