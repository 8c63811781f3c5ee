"""Feature sets: what they are, how far they are, what uses them; comparisons and switches."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field, StringConstraints

from app.api.schemas.common import Body, Name, Text
from app.api.schemas.heads import HeadOut, JobOut, Progress
from app.api.schemas.promotion import Reason, ReplayOut
from app.api.schemas.training import TrainIn
from app.models import FeatureSet
from app.services.backfill import Coverage
from app.services.feature_set_removal import Dropped
from app.services.feature_set_use import Described
from app.services.set_comparison import Compared, Row
from app.services.switching import State, Step

SetName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
Rate = Annotated[float, Field(gt=0, le=1e6, description="images a second at most")]


class CoverageOut(BaseModel):
    applicable: int = Field(description="images that the set is for")
    done: int
    failed: int = Field(description="given up on; POST .../retry queues them again")
    pending: int

    @classmethod
    def of(cls, found: Coverage) -> "CoverageOut":
        return cls(applicable=found.applicable, done=found.done, failed=found.failed, pending=found.pending)


class FeatureSetOut(BaseModel):
    name: str
    digest: str
    backbone: str
    avg_dim: int
    max_dim: int
    stage: str = Field(description="live, filling, retired, or dropped: a record without vectors")
    profile: str | None = Field(description="the kind of scan it is for; null: every kind")
    cut: str = Field(description="which regions it describes: whole frames, or those a detector finds")
    paused: bool
    rate: float | None = Field(description="images a second at most while it is filled; null: unbounded")
    origin: dict[str, Any] = Field(description="where its weights come from")
    created_at: datetime
    spec: dict[str, Any]

    @classmethod
    def of(cls, stored: FeatureSet) -> "FeatureSetOut":
        return cls(**_columns(stored))


class DescribedOut(FeatureSetOut):
    coverage: CoverageOut | None = Field(description="null for a set that was dropped")
    waiting: int = Field(description="images that are queued or in a worker's hands; never all that is pending")
    images_per_second: float | None = Field(description="of its last backfill")
    tasks: list[str] = Field(description="whose next heads are trained on it")
    live_heads: dict[str, int] = Field(description="versions of live heads that read it, by task")
    superseded_by: str | None = Field(
        description="the set of a newer network that comes with this version; `penumbra features upgrade` moves to it"
    )

    @classmethod
    def described(cls, found: Described) -> "DescribedOut":
        return cls(
            **_columns(found.feature_set), coverage=found.coverage and CoverageOut.of(found.coverage),
            waiting=found.waiting, images_per_second=found.images_per_second, tasks=found.use.tasks,
            live_heads=dict(found.use.heads), superseded_by=found.superseded_by,
        )  # fmt: skip


def _columns(stored: FeatureSet) -> dict[str, Any]:
    names = (
        "name",
        "digest",
        "avg_dim",
        "max_dim",
        "stage",
        "profile",
        "cut",
        "paused",
        "rate",
        "origin",
        "created_at",
    )
    return {name: getattr(stored, name) for name in names} | {
        "backbone": stored.spec.get("backbone", "unknown"),
        "spec": stored.spec,
    }


class FeatureSetIn(Body):
    name: SetName
    backbone: Text | None = Field(default=None, description="such as densenet121; a known name has its own")
    weights: Text | None = Field(
        default=None, description="imagenet-download, random:SEED, or the digest of installed weights"
    )
    profile: Text | None = Field(default=None, description="container or chest; null: every kind of scan")
    int8_of: SetName | None = Field(default=None, description="quantise this set's network instead")


class BackfillIn(Body):
    rate: Rate | None = None


class RateIn(Body):
    rate: Rate | None = Field(description="null: unbounded")


class DroppedOut(BaseModel):
    name: str
    vectors: int
    bytes_freed: int
    jobs: int
    preparations: int
    regions: int = Field(description="of its cut, which nothing else describes")
    regions_kept: int = Field(description="of its cut that were judged: the record of what was decided")
    heads: int = Field(description="that stay as records and cannot be promoted")
    datasets: int = Field(description="that stay as records and cannot be trained on")

    @classmethod
    def of(cls, found: Dropped) -> "DroppedOut":
        return cls(**{name: getattr(found, name) for name in cls.model_fields})


class CompareSetsIn(TrainIn):
    """A recipe, as a training takes it, and the feature sets to train it in; `dataset` says on which images."""

    feature_set: None = None
    feature_sets: list[SetName] = Field(min_length=2, max_length=8)


class ComparedRowOut(BaseModel):
    feature_set: str
    backbone: str
    dimensions: int = Field(description="of both poolings together")
    dataset: str
    head: HeadOut
    lacking: int = Field(description="labelled images that the set does not describe")
    images_per_second: float | None
    seconds: float | None = Field(description="of the training")
    out_of_fold: dict[str, Any] | None = Field(description="figures by image; null while its head is trained")
    test: dict[str, Any] | None

    @classmethod
    def of(cls, row: Row) -> "ComparedRowOut":
        name = row.feature_set.name
        return cls(
            feature_set=name, backbone=row.feature_set.spec.get("backbone", "unknown"),
            dimensions=row.feature_set.avg_dim + row.feature_set.max_dim, dataset=row.dataset.full_name,
            head=HeadOut.of(row.head, name), lacking=row.lacking, images_per_second=row.images_per_second,
            seconds=row.seconds, out_of_fold=row.out_of_fold, test=row.test,
        )  # fmt: skip


class ComparedSetsOut(BaseModel):
    task: str
    images: int = Field(description="that all the sets describe; every figure is of them")
    missing: int = Field(description="labelled images left out because some set lacks them")
    unclear: int = Field(description="positive images left out because some set sees several regions in them")
    same_folds: bool | None = Field(description="whether every image lies in the same fold in all the sets")
    rows: list[ComparedRowOut]
    contests: list[dict[str, Any]] = Field(description="every two sets, image by image")
    pending: list[JobOut] = Field(description="trainings to wait for; then ask again")

    @classmethod
    def of(cls, found: Compared, pending: list[JobOut]) -> "ComparedSetsOut":
        return cls(
            task=found.task.name, images=found.images, missing=found.missing, unclear=found.unclear,
            same_folds=found.same_folds, rows=[ComparedRowOut.of(row) for row in found.rows],
            contests=found.contests, pending=pending,
        )  # fmt: skip


class SwitchIn(Body):
    task: Name
    head: int | None = Field(default=None, ge=1, lt=2**31, description="a version; else the live head's recipe is used")
    allow_incomplete: Reason | None = Field(default=None, description="why a set that lacks images is accepted")
    override: Reason | None = Field(default=None, description="why a failed check that may be weighed is passed over")
    agreed: bool = Field(default=False, description="go live once nothing is in the way")


class SwitchOut(BaseModel):
    """How far a switch is. `augmenting`, `training`, `replaying`: wait, then ask again. `ready`: look at the replay,
    then ask with `agreed`."""

    state: State
    task: str
    feature_set: str
    head: HeadOut | None
    job: JobOut | None
    progress: Progress | None = Field(description="training rows with all their augmented copies")
    replay: ReplayOut | None
    left_out: int = Field(description="images of the live head's dataset that this set cannot be trained on")

    @classmethod
    def of(cls, task: str, name: str, step: Step) -> "SwitchOut":
        return cls(
            state=step.state, task=task, feature_set=name, head=step.head and HeadOut.of(step.head, name),
            job=step.job and JobOut.of(step.job),
            progress=step.progress and Progress(done=step.progress[0], total=step.progress[1]),
            replay=step.standing and ReplayOut.of(step.standing), left_out=step.left_out,
        )  # fmt: skip
