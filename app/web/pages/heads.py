"""`/heads`: tasks, the versions of one, their reports with live plots, trainings, promotions."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query
from sqlalchemy.orm import Session
from starlette.responses import Response

from app.deps import SessionDep, SettingsDep
from app.errors import AppError, NotFound
from app.heads.algorithms import PARAMS, Param
from app.heads.report import caveats
from app.models import Head, Kind, Role, Stage, Task
from app.services import datasets, feature_sets, head_lists, registry, replay, reports, tasks
from app.services.head_lists import ListedHead
from app.web.rendering import page
from app.web.visitors import VisitorDep

router = APIRouter()
MOST_DATASETS = 50
MOST_COMPARED = 4
# What the plots are drawn from.
_DRAWN = (
    "classes", "positive", "threshold", "review_from", "class_counts", "curves", "sweep", "histogram", "reliability",
    "learning_curve", "prevalence",
)  # fmt: skip
# Reports of bundled heads and of earlier versions lack some of this.
_TOLD = (
    "contract", "tests", "slices", "worst", "grid", "tried", "dataset", "parity", "libraries", "seconds", "params",
    "policy", "abstain", "pooling", "folds", "seed", "training_digest", "algorithm", "threshold", "rows",
)  # fmt: skip
_FIGURES = ("auc", "auc_interval", "balanced_accuracy", "brier", "per_class")
# What a recipe says; the rest of a report is what came of it.
_RECIPE = (
    "spaces", "search", "ensemble", "class_weight", "sample_weight", "sampling", "augmentation", "folds", "seed",
    "prevalence", "policy", "abstain",
)  # fmt: skip


@router.get("/heads")
def show_tasks(visitor: VisitorDep, session: SessionDep) -> Response:
    """Every task with the head that answers it."""
    rows = []
    for task in tasks.every(session):
        versions = _versions(session, task.name)
        live = _live(versions)
        rows.append(
            {
                "task": task,
                "live": live,
                "since": head_lists.live_since(session, live.head.id) if live else None,
                "versions": len(versions),
                "training": sum(one.head.stage == Stage.TRAINING for one in versions),
                "newest": next((one for one in versions if one.head.stage == Stage.CANDIDATE), None),
            }
        )
    return page("heads.html", visitor, active="heads", rows=rows)


@router.get("/heads/{task}")
def show_versions(task: str, visitor: VisitorDep, session: SessionDep) -> Response:
    """The versions of a task side by side, what is being trained, and the task's settings."""
    asked = tasks.named(session, task)
    versions = _versions(session, task)
    live = _live(versions)
    trained = [one.head.id for one in versions if one.head.stage in (Stage.TRAINING, Stage.FAILED)]
    return page(
        "heads_task.html", visitor, active="heads", task=asked, every=tasks.every(session), versions=versions,
        live=live, since=head_lists.live_since(session, live.head.id) if live else None,
        returning=registry.returning(session, task), jobs=head_lists.jobs(session, trained, Kind.TRAIN),
        rescore=head_lists.at_work(session, [live.head.id], Kind.RESCORE).get(live.head.id) if live else None,
        labelled=head_lists.labelled(session, task),
    )  # fmt: skip


@router.get("/heads/{task}/compare")
def compare_versions(
    task: str,
    visitor: VisitorDep,
    session: SessionDep,
    version: Annotated[list[int], Query(max_length=20, default_factory=list)],
) -> Response:
    """Up to four versions of a task, figure by figure, their curves in one plot."""
    asked = tasks.named(session, task)
    chosen = sorted(set(version))[:MOST_COMPARED]
    heads = [registry.numbered(session, task, number) for number in chosen if number < 2**31]
    told = [(head, _whole(reports.report(session, head.id))) for head in heads if head.stage not in _UNREPORTED]
    drawn = [{"version": head.version, "stage": head.stage, **_drawn(report)} for head, report in told]
    return page("heads_compare.html", visitor, active="heads", task=asked, told=told, drawn=drawn)


@router.get("/heads/{task}/train")
def show_training_form(
    task: str, visitor: VisitorDep, session: SessionDep, settings: SettingsDep,
    like: Annotated[int | None, Query(ge=1, lt=2**31)] = None, policy: str | None = None,
) -> Response:  # fmt: skip
    """What to train and how; `like` a version, or by a `policy`. As it opens, one button trains."""
    visitor.caller.require(Role.ADMIN)
    asked = tasks.named(session, task)
    model = registry.numbered(session, task, like) if like else None
    recipe = {name: (registry.report(session, model.id)).get(name) for name in _RECIPE} if model else {}
    frozen = datasets.page(session, limit=MOST_DATASETS, task=task)
    return page(
        "heads_train.html", visitor, active="heads", task=asked, model=model, recipe=recipe, policy=policy,
        labelled=head_lists.labelled(session, task), datasets=frozen, parameters=_parameters(),
        feature_set=_feature_set(session, asked, settings.feature_set),
        learned=registry.report(session, model.id).get("dataset") if model else None,
    )  # fmt: skip


@router.get("/heads/{task}/{version}")
def show_report(task: str, version: int, visitor: VisitorDep, session: SessionDep) -> Response:
    """All that is known of a head version, with live plots."""
    asked = tasks.named(session, task)
    if not 0 < version < 2**31:
        raise NotFound(f"Task {task} has no head version {version}.")
    head = registry.numbered(session, task, version)
    live = tasks.live_head(session, task)
    common: dict[str, Any] = {"task": asked, "head": head, "live": live, "active": "heads"}
    common["feature_set"] = next(one.name for one in feature_sets.every(session) if one.id == head.feature_set_id)
    if head.stage in _UNREPORTED:
        job = head_lists.jobs(session, [head.id], Kind.TRAIN).get(head.id)
        return page("heads_unfinished.html", visitor, job=job, **common)
    report = reports.report(session, head.id)
    return page(
        "heads_report.html", visitor, report=_whole(report), drawn=_drawn(report), beliefs=_beliefs(report),
        shown=head_lists.present(session, reports.shown_images(report)),
        since=head_lists.live_since(session, head.id), has_page=head.page is not None,
        has_answers=head.evidence is not None, replayed=_replayed(session, head),
        replay_job=head_lists.at_work(session, [head.id], Kind.REPLAY).get(head.id), **common,
    )  # fmt: skip


_UNREPORTED = (Stage.TRAINING, Stage.FAILED)


def _versions(session: Session, task: str) -> list[ListedHead]:
    found = head_lists.versions(session, task)
    return [one if one.report is None else replace(one, report=_whole(one.report)) for one in found]


def _whole(report: Mapping[str, Any]) -> dict[str, Any]:
    """A report with None for what it does not hold."""
    return {**dict.fromkeys(_TOLD), **report, "out_of_fold": {**dict.fromkeys(_FIGURES), **report["out_of_fold"]}}


def _live(versions: list[ListedHead]) -> ListedHead | None:
    return next((one for one in versions if one.head.stage == Stage.LIVE), None)


def _drawn(report: Mapping[str, Any]) -> dict[str, Any]:
    return {name: report.get(name) for name in _DRAWN} | {"measured": (report.get("contract") or {}).get("measured")}


def _beliefs(report: Mapping[str, Any]) -> list[str]:
    """What a sceptic should know, the tests first."""
    told = [caveats.sentence(text) for text in caveats.of_tests(report["tests"])]
    return told + (caveats.caveats(report) if "per_class" in report["out_of_fold"] else [])


def _replayed(session: Session, head: Head) -> replay.Standing | None:
    """What the last replay of a head said, if there was one."""
    try:
        return replay.standing(session, head)
    except NotFound:
        return None


def _feature_set(session: Session, task: Task, otherwise: str | None) -> str | None:
    """What a training without a dataset would read."""
    try:
        return feature_sets.of_task(session, task, None, otherwise).name
    except AppError:
        return None


def _parameters() -> dict[str, list[dict[str, Any]]]:
    """The parameters of each algorithm: what each is when it is left out, and what it may be."""
    return {algorithm.value: [_parameter(*one) for one in known.items()] for algorithm, known in PARAMS.items()}


def _parameter(name: str, param: Param) -> dict[str, Any]:
    return {
        "name": name, "default": list(param.default), "choices": list(param.choices), "integer": param.integer,
        "low": param.low, "high": param.high,
    }  # fmt: skip
