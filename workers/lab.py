"""Training one head: load its rows, train with a log in the database, score its test rows once, store it whole."""

import logging
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app import jobs
from app.db import transaction
from app.errors import LeaseLost
from app.heads.card import model_card
from app.heads.comparison import Judged
from app.heads.evidence import Evidence
from app.heads.recipe import HeadRecipe
from app.heads.scoring import Head as Scorer
from app.heads.table import TrainingTable
from app.heads.trainers import TrainedHead, train
from app.jobs import Claim
from app.models import FeatureSet, Head, Split
from app.services import backbone_origins, datasets, evaluation, reports, training
from workers.hold import Hold
from workers.page import render
from workers.runner import Base
from workers.trials import DatabaseLog

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Finished:
    """A trained head with all that is told of it, ready to be stored at once."""

    trained: TrainedHead
    report: dict[str, Any]
    page: str | None
    test: tuple[dict[str, Any], Evidence] | None  # what it says of its dataset's test rows, if there are any


def train_head(base: Base, claim: Claim, hold: Hold) -> None:
    """Train the head of a claimed job; its artifact, report and evidence are stored with the job's end, or not at all.

    Raises what training raises, and LeaseLost when the job was cancelled or given to another worker meanwhile.
    """
    assert claim.head_id is not None
    head_id: UUID = claim.head_id

    def load() -> tuple[HeadRecipe, TrainingTable]:
        with transaction(base.sessions) as session:
            head = session.get_one(Head, head_id)
            return HeadRecipe.from_json(head.recipe), training.load(session, head)

    recipe, table = base.until_stopped(load)
    log.info("training %s for %s on %d rows", recipe.algorithm_name, table.task, len(table.y))
    trials = DatabaseLog(base, head_id)
    try:
        trained = train(table, recipe, on_progress=hold.progress, should_stop=hold.should_stop, log=trials)
    finally:
        trials.flush()
    finished = base.until_stopped(lambda: _finish(base, head_id, trained))
    base.persist(lambda: _store(base, claim, finished))


def _finish(base: Base, head_id: UUID, trained: TrainedHead) -> Finished:
    """Compare with the live head, score the test rows, render the page."""
    with transaction(base.sessions) as session:
        head = session.get_one(Head, head_id)
        assert head.dataset_id is not None
        dataset = datasets.get(session, head.dataset_id)
        metadata, version = trained.metadata, head.version
        candidate = Judged(
            name=f"version {version}", evidence=trained.evidence, positive=metadata.positive,
            threshold=metadata.threshold, review_from=metadata.review_from,
        )  # fmt: skip
        report = trained.report | {
            "dataset": {"name": dataset.full_name, "digest": dataset.digest, "findings": dataset.findings},
            "notes": [
                *trained.report["notes"],
                *datasets.notes(dataset),
                *backbone_origins.notes(session, session.get_one(FeatureSet, head.feature_set_id), dataset),
            ],
            "comparison": reports.live_comparison(session, head, candidate),
        }
        held = evaluation.labelled(session, dataset, Split.TEST) if any(dataset.counts[Split.TEST].values()) else None
    test = None if held is None else evaluation.judge(Scorer.load(trained.artifact), held)
    page = render(base, report, title=f"{report['task']}, version {version}")
    return Finished(trained, report, page, test)


def _store(base: Base, claim: Claim, finished: Finished) -> None:
    with transaction(base.sessions) as session:
        if not jobs.hold(session, [claim]):
            raise LeaseLost(f"Job {claim.job_id} was cancelled or given away; its head is not stored.")
        assert claim.head_id is not None
        trained = finished.trained
        head = training.complete(
            session, claim.head_id, trained.artifact, threshold=trained.threshold, report=finished.report,
            card=model_card(finished.report), algorithm=trained.metadata.algorithm, page=finished.page,
            evidence=trained.evidence.to_bytes(),
        )  # fmt: skip
        if finished.test is not None:
            assert head.dataset_id is not None
            figures, evidence = finished.test
            evaluation.record(session, datasets.get(session, head.dataset_id), head.id, figures, evidence, head.author)
        jobs.finish(session, [claim.job_id])
