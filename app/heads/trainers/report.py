"""The report of a head version, as JSON-able values: what was tried, what was measured, on which rows."""

from collections.abc import Collection, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from app.heads.algorithms import Algorithm
from app.heads.arrays import Float64
from app.heads.artifact import HeadMetadata
from app.heads.evidence import Evidence
from app.heads.parity import Parity
from app.heads.pooling import Pooling
from app.heads.recipe import HeadRecipe
from app.heads.report.mistakes import nearest
from app.heads.report.parts import parts
from app.heads.table import TrainingTable
from app.heads.trainers.ensemble import Joint
from app.heads.trainers.links import Calibrated
from app.heads.trainers.search import Searched

MOST_CANDIDATES = 200  # in a report; a search may try more


def build_report(
    table: TrainingTable,
    recipe: HeadRecipe,
    metadata: HeadMetadata,
    searched: Searched,
    evidence: Evidence,
    parity: Parity,
    seconds: Mapping[str, float],
    *,
    calibrated: Calibrated,
    contract: Mapping[str, Any],
    learning_curve: Mapping[str, Any],
    joint: Joint | None = None,
) -> dict[str, Any]:
    """Return the report; `evidence` are the out-of-fold answers that the threshold was chosen among."""
    subjects = None if table.groups is None else table.group_codes
    found = parts(
        evidence, positive=table.positive, threshold=metadata.threshold, review_from=metadata.review_from,
        groups=subjects, by=table.slices, honest=_at_own_mix(table, recipe, calibrated.out_of_fold), seed=recipe.seed,
    )  # fmt: skip
    _add_neighbours(table, found["worst"])
    return {
        "task": table.task,
        "classes": list(table.classes),
        "positive": table.positive,
        "recipe": recipe.to_json(),
        **recipe.to_json(),
        **_described(metadata),
        **_rows(table, searched),
        **_searched(searched, joint),
        "out_of_fold": found.pop("figures"),
        **found,
        "calibration_report": dict(calibrated.report),
        "contract": dict(contract),
        "learning_curve": dict(learning_curve),
        "parity": parity.to_json(),
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "notes": _notes(table, recipe, searched),
    }


def _at_own_mix(table: TrainingTable, recipe: HeadRecipe, probabilities: Float64) -> Float64:
    """Take a stated prevalence back: whether a promise is kept can only be seen at the rows' own mix of classes."""
    if recipe.prevalence is None:
        return probabilities
    own = float(table.is_positive.mean())
    weights = np.full(len(table.classes), (1 - own) / (1 - recipe.prevalence))
    weights[table.positive_index] = own / recipe.prevalence
    weighed = probabilities * weights
    return np.asarray(weighed / weighed.sum(axis=1, keepdims=True))


def _described(metadata: HeadMetadata) -> dict[str, Any]:
    return {
        "algorithm": metadata.algorithm,
        "pooling": metadata.pooling.value,
        "params": dict(metadata.params),
        "threshold": metadata.threshold,
        "review_from": metadata.review_from,
        "decides_by": metadata.policy,
        "feature_set": {"name": metadata.feature_set_name, "digest": metadata.feature_set},
        "training_digest": metadata.training_digest,
        "created_at": metadata.created_at.isoformat(),
        "libraries": dict(metadata.libraries),
    }


def _rows(table: TrainingTable, searched: Searched) -> dict[str, Any]:
    return {
        "rows": len(table.y),
        "groups": int(table.group_codes.max()) + 1,
        "grouped": table.groups is not None,
        "class_counts": table.class_counts,
        "augmented_rows": 0 if table.augmented is None else len(table.augmented.of),
        "weighted_rows": table.weight is not None,
        "folds": len(searched.folds),
    }


def _searched(searched: Searched, joint: Joint | None) -> dict[str, Any]:
    """The best `MOST_CANDIDATES`, in the order in which they were tried; `chosen` are places in that list."""
    best = sorted(range(len(searched.tried)), key=lambda i: -searched.tried[i].auc)[:MOST_CANDIDATES]
    winners = {one.candidate.key for one in searched.winners}
    chosen = [i for i, one in enumerate(searched.tried) if one.candidate.key in winners]
    shown = sorted({*best, *chosen})
    return {
        "fold_auc": list(max(searched.winners, key=lambda one: one.tried.auc).tried.fold_auc),
        "grid": [searched.tried[i].to_json() for i in shown],
        "chosen": [shown.index(i) for i in chosen],
        "tried": len(searched.tried),
        "stopped_by": searched.stopped_by,
        "members": [one.tried.to_json() for one in searched.winners] if joint is not None else [],
    }


def _add_neighbours(table: TrainingTable, worst: list[dict[str, Any]]) -> None:
    """Say of each error which rows of other subjects look most alike, and what class those were given."""
    if not worst:
        return
    rows = np.array([one.pop("row") for one in worst])
    found, cosine = nearest(table.features(Pooling.AVG), table.group_codes, rows)
    for place, one in enumerate(worst):
        one["alike"] = [
            {
                "image_id": table.image_ids[row] if table.image_ids else str(row),
                "given": table.classes[int(table.y[row])],
                "cosine": round(float(value), 4),
            }
            for row, value in zip(found[place].tolist(), cosine[place].tolist(), strict=True)
            if row >= 0
        ]


def library_versions(algorithms: Collection[Algorithm]) -> dict[str, str]:
    """Return the versions that shaped a head, read from package metadata: nothing is imported for it."""
    names = ["penumbra", "numpy", "scikit-learn", "onnx", "onnxruntime"]
    if Algorithm.KERAS_NETWORK in algorithms:
        names += ["keras", "tensorflow"]
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # a source tree that was never installed
            found[name] = "unknown"
    return found


def _notes(table: TrainingTable, recipe: HeadRecipe, searched: Searched) -> list[str]:
    notes = []
    used = len(searched.folds)
    if used < recipe.folds:
        notes.append(f"{used} folds instead of {recipe.folds}: a class has too few subjects for more")
    if table.groups is None:
        notes.append("no subjects were given: each row was taken for its own, which flatters where films repeat")
    if len(searched.tried) > 1:
        notes.append(
            f"one of {len(searched.tried)} candidates was chosen on these out-of-fold rows: "
            "its AUC is the upper end of what fresh rows will show"
        )
    if searched.stopped_by == "seconds":
        notes.append(f"the search ended when its {recipe.search.seconds:g} seconds were over")
    return notes
