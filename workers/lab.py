"""Training one head: load its rows, train with a log in the database, score its test rows once, store it whole."""

import logging
from uuid import UUID

from app import jobs
from app.db import transaction
from app.errors import LeaseLost
from app.heads.card import model_card
from app.heads.recipe import HeadRecipe
from app.heads.table import TrainingTable
from app.heads.trainers import TrainedHead, train
from app.jobs import Claim
from app.models import Head
from app.services import training
from workers.hold import Hold
from workers.runner import Base
from workers.trials import DatabaseLog

log = logging.getLogger(__name__)


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
    base.persist(lambda: _store(base, claim, trained))


def _store(base: Base, claim: Claim, trained: TrainedHead) -> None:
    with transaction(base.sessions) as session:
        if not jobs.hold(session, [claim]):
            raise LeaseLost(f"Job {claim.job_id} was cancelled or given away; its head is not stored.")
        assert claim.head_id is not None
        training.complete(
            session, claim.head_id, trained.artifact, threshold=trained.threshold, report=trained.report,
            card=model_card(trained.report), algorithm=trained.metadata.algorithm,
            evidence=trained.evidence.to_bytes(),
        )  # fmt: skip
        jobs.finish(session, [claim.job_id])
