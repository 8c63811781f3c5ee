"""The report of a head version, as JSON-able values: what was tried, what was measured, on which rows."""

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from app.heads.arrays import Float32
from app.heads.artifact import HeadMetadata
from app.heads.figures import figures
from app.heads.parity import Parity
from app.heads.recipe import Algorithm, HeadRecipe
from app.heads.table import TrainingTable
from app.heads.trainers.search import Searched


def build_report(
    table: TrainingTable,
    recipe: HeadRecipe,
    metadata: HeadMetadata,
    searched: Searched,
    out_of_fold: Float32,
    parity: Parity,
    seconds: dict[str, float],
) -> dict[str, Any]:
    """Return the report; `out_of_fold` are the calibrated out-of-fold probabilities (n, classes)."""
    return {
        "task": table.task,
        "classes": list(table.classes),
        "positive": table.positive,
        "feature_set": {"name": table.feature_set_name, "digest": table.feature_set},
        **recipe.to_json(),
        "params": dict(searched.winner.params),
        "threshold": metadata.threshold,
        "rows": len(table.y),
        "groups": int(table.group_codes.max()) + 1,
        "grouped": table.groups is not None,
        "class_counts": table.class_counts,
        "folds": int(searched.fold_of.max()) + 1,
        "fold_auc": list(searched.winner.fold_auc),
        "grid": [one.to_json() for one in searched.candidates],
        "out_of_fold": out_of_fold_figures(table, metadata, out_of_fold, seed=recipe.seed),
        "parity": parity.to_json(),
        "training_digest": metadata.training_digest,
        "created_at": metadata.created_at.isoformat(),
        "libraries": dict(metadata.libraries),
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "notes": _notes(table, recipe, searched),
    }


def out_of_fold_figures(
    table: TrainingTable, metadata: HeadMetadata, probabilities: Float32, *, seed: int
) -> dict[str, Any]:
    """Return the figures of `probabilities` (n, classes) at the head's threshold, on the rows of `table`."""
    return figures(
        table.y,
        probabilities,
        classes=table.classes,
        positive=table.positive,
        threshold=metadata.threshold,
        review_from=metadata.review_from,
        groups=None if table.groups is None else table.group_codes,
        seed=seed,
    )


def library_versions(algorithm: Algorithm) -> dict[str, str]:
    """Return the versions that shaped a head, read from package metadata: nothing is imported for it."""
    names = ["penumbra", "numpy", "scikit-learn", "onnx", "onnxruntime"]
    if algorithm is Algorithm.KERAS_NETWORK:
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
    used = int(searched.fold_of.max()) + 1
    if used < recipe.folds:
        notes.append(f"{used} folds instead of {recipe.folds}: a class has too few subjects for more")
    if table.groups is None:
        notes.append("no subjects were given: each row was taken for its own, which flatters where films repeat")
    if len(searched.candidates) > 1:
        notes.append(
            f"one of {len(searched.candidates)} candidates was chosen on these out-of-fold rows: "
            "its AUC is the upper end of what fresh rows will show"
        )
    return notes
