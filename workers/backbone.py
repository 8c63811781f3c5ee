"""Training a network on labelled images of the store: its rows, its pixels, where it starts, what becomes of it."""

import hashlib
import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from app import jobs
from app.blobs import BlobStore
from app.db import transaction
from app.errors import Cancelled, LeaseLost, NotTrainable
from app.features.backbones import describe_backbone
from app.features.engines.environment import require_backend
from app.features.finetuning.recipe import BackboneRecipe
from app.features.spec import FeatureSetSpec
from app.features.weights import resolve_spec
from app.features.weights.arrays import write_arrays
from app.heads.arrays import Float32
from app.heads.recipe import HeadRecipe
from app.heads.scoring import Head as Scorer
from app.heads.table import TrainingTable
from app.imaging.prepare import prepare_scan
from app.jobs import Claim
from app.models import BackboneTraining, Dataset, FeatureSet, Head, Job, Task
from app.services import backbones, dataset_table
from app.services.backbones import LabelledImages
from app.services.ingest import limits
from workers.hold import Hold
from workers.runner import Base

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Order:
    """All that a training needs from the database, read once. `avg` and `max` are the rows' stored vectors."""

    training: BackboneTraining
    recipe: BackboneRecipe
    dataset: Dataset
    parent: FeatureSet
    rows: LabelledImages
    avg: Float32
    max: Float32
    mirrored: bool
    stored_heads: list[bytes]

    @property
    def spec(self) -> FeatureSetSpec:
        """What is trained: how it reads pixels, under the parent's weights or none."""
        parent = FeatureSetSpec.from_dict(self.parent.spec)
        return parent if self.recipe.scratch is None else backbones.spec_of(self.parent, self.training, "0" * 64)

    @property
    def key(self) -> str:
        """What a checkpoint must be of, to be gone on from."""
        said = [self.training.recipe, self.dataset.digest, self.parent.digest]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def train_backbone(base: Base, claim: Claim, hold: Hold) -> None:
    """Train the network of a claimed job; its weights are installed, its feature set registered with the job's end.

    What a worker before this one kept of the same training is gone on from. Raises what training raises, Cancelled
    when told to stop, LeaseLost when the job was cancelled or given away.
    """
    require_backend("tensorflow")
    from app.features.finetuning.loop import Watch  # noqa: PLC0415 - TensorFlow, 2 s
    from app.features.finetuning.training import LabelledScans, train  # noqa: PLC0415

    order = base.until_stopped(partial(_load, base, claim))
    log.info("training network %s on %d scans", order.training.name, len(order.rows.y))
    rows, dataset = order.rows, order.dataset
    scans = LabelledScans(
        tuple(dataset.classes), dataset.positive, rows.y, rows.subjects, rows.held,
        partial(_pixels, base, order, BlobStore(base.settings.blobs)), order.mirrored,
    )  # fmt: skip
    scans.check()
    start = None if order.recipe.scratch else _start(order, hold)
    epochs = order.recipe.epochs
    watch = Watch(
        on_epoch=partial(_record, base, order.training.id),
        on_filled=lambda done, total: hold.progress(epochs * done // total, 2 * epochs),
        on_progress=lambda done, _: hold.progress(epochs + done, 2 * epochs),
        checkpoint=partial(_stop_if_asked, hold),
    )
    folder = base.settings.cache_dir / "training" / str(order.training.id)
    trained = train(
        _body(base, order), order.spec, scans, order.recipe, start=start, folder=folder, key=order.key, watch=watch,
        threads=base.settings.decode_threads,
    )  # fmt: skip
    report = trained.report | {"own_validation": rows.own_validation}
    digest = write_arrays(trained.arrays, base.settings.weights_dir) if report["improved"] else None
    base.persist(lambda: _store(base, claim, order, digest, report, trained.curve))
    shutil.rmtree(folder, ignore_errors=True)


def _load(base: Base, claim: Claim) -> Order:
    with transaction(base.sessions) as session:
        training_id = session.get_one(Job, claim.job_id).backbone_training_id
        training = session.get_one(BackboneTraining, training_id)
        dataset, parent = backbones.dataset_of(session, training), backbones.parent_of(session, training)
        rows = backbones.load(session, training)
        stored = dataset_table.stored_vectors(session, parent, rows.region_ids.tolist())
        task = session.get_one(Task, training.task)
        heads = _heads(session, dataset) if rows.own_validation else []
        return Order(
            training, backbones.recipe_of(training), dataset, parent, rows, stored.avg, stored.max, task.mirrored, heads
        )


def _heads(session: Session, dataset: Dataset) -> list[bytes]:
    """Artifacts of heads that were trained on the dataset, newest first: its validation rows are new to them."""
    found = session.query(Head).where(Head.dataset_id == dataset.id, Head.artifact.is_not(None))
    return [head.artifact for head in found.order_by(Head.version.desc()) if head.artifact is not None]


def _pixels(base: Base, order: Order, blobs: BlobStore, row: int, codes: Sequence[int]) -> Float32:
    """Versions of one region, as an extraction would prepare them."""
    rows, steps = order.rows, order.spec.preprocessing
    sha256, ordinal = rows.sha256[row], int(rows.ordinals[row])
    regions = prepare_scan(blobs.existing(sha256), limits(base.settings), steps, sha256=sha256, codes=codes)
    for region in regions:
        if region.ordinal == ordinal:
            return region.pixels
    raise NotTrainable(f"Image {sha256.hex()[:12]} has no region {ordinal} any more; freeze the dataset again.")


def _start(order: Order, hold: Hold) -> Any:
    """The stored head of this dataset, if a linear one was trained; else a logistic regression, fitted now.

    A head that has seen the held-out rows would look best at step zero, and every training would end there: where the
    dataset validates on nothing, the head is fitted on the rows that are learned from alone.
    """
    from app.features.finetuning.start import StoredHead  # noqa: PLC0415 - Keras
    from app.features.finetuning.training import Start  # noqa: PLC0415

    held = order.rows.held
    for artifact in order.stored_heads:
        try:
            StoredHead(artifact)
        except NotTrainable:
            continue
        return Start(artifact, Scorer.load(artifact).probabilities(order.avg[held], order.max[held]))
    artifact = _fitted(order, hold)
    return Start(artifact, Scorer.load(artifact).probabilities(order.avg[held], order.max[held]))


def _fitted(order: Order, hold: Hold) -> bytes:
    from app.heads.trainers import train  # noqa: PLC0415 - scikit-learn

    rows, learned = order.rows, ~order.rows.held
    table = TrainingTable(
        task=order.dataset.task, classes=tuple(order.dataset.classes), positive=order.dataset.positive,
        feature_set=order.parent.digest, feature_set_name=order.parent.name,
        avg=order.avg[learned], max=order.max[learned], y=rows.y[learned], groups=rows.subjects[learned],
    )  # fmt: skip
    recipe = HeadRecipe.from_json({"params": {"C": [0.001, 0.01, 0.1]}, "folds": 3, "class_weight": "balanced"})
    return train(table, recipe, should_stop=hold.should_stop).artifact


def _body(base: Base, order: Order) -> Any:
    from app.features import backbone  # noqa: PLC0415 - Keras

    spec, settings = order.spec, base.settings
    if order.recipe.scratch is None:
        return backbone.load_body(resolve_spec(spec, settings.weights, settings.weights_dir))
    import keras  # noqa: PLC0415

    keras.utils.set_random_seed(order.recipe.seed)  # the initial weights are drawn with it
    side = describe_backbone(order.recipe.scratch).input_size
    return backbone.new_body(order.recipe.scratch, (side, side))


def _stop_if_asked(hold: Hold) -> None:
    if hold.should_stop():
        raise Cancelled("The training was interrupted; its last checkpoint is kept.")


def _record(base: Base, training_id: UUID, curve: list[dict[str, Any]]) -> None:
    def write() -> None:
        with transaction(base.sessions) as session:
            backbones.record_epochs(session, training_id, curve)

    base.until_stopped(write)


def _store(
    base: Base, claim: Claim, order: Order, digest: str | None, report: dict[str, Any], curve: list[dict[str, Any]]
) -> None:
    with transaction(base.sessions) as session:
        if not jobs.hold(session, [claim]):
            raise LeaseLost(f"Job {claim.job_id} was cancelled or given away; its network is not registered.")
        backbones.complete(session, order.training.id, digest, report=report, curve=curve)
        jobs.finish(session, [claim.job_id])
