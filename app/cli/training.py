"""The command `train`, and how its report is printed."""

from pathlib import Path
from typing import Any

import typer
from sqlalchemy.orm import Session

from app.cli import recipe_options as options
from app.cli import recipes as words
from app.cli.follow import follow
from app.cli.output import DataOption, JsonOption, console, print_json, print_table
from app.cli.store import actor, opened
from app.db import transaction
from app.models import Head
from app.services import recipes, reports, trials


def register(app: typer.Typer) -> None:
    app.command()(train)


def train(
    task: options.TaskArgument,
    algorithm: options.AlgorithmOption = None,
    pooling: options.PoolingOption = None,
    param: options.ParamOption = None,
    recipe: options.RecipeOption = None,
    dataset: options.DatasetOption = None,
    search: options.SearchOption = None,
    tries: options.TrialsOption = None,
    seconds: options.SecondsOption = None,
    ensemble: options.EnsembleOption = None,
    class_weight: options.ClassWeightOption = None,
    sample_weight: options.SampleWeightOption = None,
    sampling: options.SamplingOption = None,
    augmentation: options.AugmentationOption = None,
    folds: options.FoldsOption = None,
    policy: options.PolicyOption = None,
    abstain: options.AbstainOption = None,
    calibration: options.CalibrationOption = None,
    prevalence: options.PrevalenceOption = None,
    seed: options.SeedOption = None,
    feature_set: options.FeatureSetOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a new head version on the stored vectors and print its report. It becomes a candidate, not live.

    Ctrl-C cancels. A training whose worker dies goes on, where it was, with the next worker.
    """
    budget = {"method": search, "trials": tries, "seconds": seconds}
    given = {
        "ensemble": ensemble, "class_weight": words.class_weight(class_weight), "sampling": sampling,
        "sample_weight": words.sample_weight(sample_weight or []) or None,
        "augmentation": augmentation, "folds": folds, "policy": policy, "abstain": abstain,
        "calibration": calibration, "prevalence": prevalence, "seed": seed,
        "search": words.without_none(budget) or None,
    }  # fmt: skip
    _train(task, words.whole(given, recipe, algorithm, pooling, param), dataset, feature_set, data, as_json=as_json)


def _train(
    task: str, given: dict[str, Any], dataset: str | None, feature_set: str | None, data: Path | None, *, as_json: bool
) -> None:
    with opened(data) as store:
        with transaction(store.sessions) as session:
            job, head = recipes.queue(
                session, task, given, dataset=dataset, feature_set=feature_set,
                otherwise=store.settings.feature_set, author=actor(),
            )  # fmt: skip
        follow(store, job, "training", lambda session: _best(session, head))
        with transaction(store.sessions) as session:
            report = reports.report(session, head.id)
    if as_json:
        print_json({"head": str(head.id), "task": task, "version": head.version, "report": report})
    else:
        print_report(head, report)


def _best(session: Session, head: Head) -> str:
    found = trials.best(session, head.id)
    if found is None:
        return ""
    candidate, auc = found
    return f"(best AUC {auc:.4f}: {candidate['algorithm']}, {candidate['pooling']})"


def print_report(head: Head, report: dict[str, Any]) -> None:
    figures = report["out_of_fold"]
    interval = figures["auc_interval"]
    console.print(f"{head.task} version {head.version} (candidate), id {head.id}", style="bold")
    console.print(
        f"{report['algorithm']}, {report['pooling']}, {report['rows']} rows of {report['groups']} subjects, "
        f"{report['folds']} folds; figures are out of fold, subjects apart."
    )
    console.print(
        f"AUC {figures['auc']:.4f} (95 % interval {interval['low']:.4f} to {interval['high']:.4f}), "
        f"accuracy {_figure(figures['accuracy'])}, balanced {_figure(figures['balanced_accuracy'])}, "
        f"threshold {report['threshold']:.4f} ({report['policy']})"
    )
    rows = [
        [name, f"{c['precision']:.4f}", f"{c['recall']:.4f}", f"{c['f1']:.4f}", c["support"]]
        for name, c in figures["per_class"].items()
    ]
    print_table(["class", "precision", "recall", "F1", "rows"], rows)
    console.print(f"Contract: {report['contract']['sentence']}.")
    for test in report["tests"]:
        held = test["figures"]
        console.print(
            f"Test rows of {test['dataset']}, seen by {test['consultations']} heads so far: "
            f"AUC {_figure(held['auc'])}, accuracy {_figure(held['accuracy'])}."
        )
    console.print(
        f"Read all of it: `penumbra report {head.task} {head.version} --out report.html`. "
        f"Make it live: `penumbra promote {head.task} {head.version}`."
    )


def _figure(value: float | None) -> str:
    """Four digits; a dash where the rows cannot tell, as when all of them go to review."""
    return "-" if value is None else f"{value:.4f}"
