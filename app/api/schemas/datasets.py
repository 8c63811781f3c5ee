"""Frozen datasets: what to freeze, what was frozen, and how heads did on it."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StringConstraints

from app.api.schemas.common import Body, ConditionsIn, Decision, Moment, Name, Number, Text
from app.api.schemas.images import HeadRef
from app.datasets.duplicates import BOUND
from app.datasets.splits import Method, SplitSpec
from app.models import Dataset, DatasetRow, Head, Split, TestScore
from app.services.dataset_rows import Selection
from app.services.evaluation import Judged
from app.services.filters import ImageFilter

DatasetName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?(@[0-9]{1,9})?$"),
    Field(description="`NAME`, the newest version, or `NAME@VERSION`"),
]  # fmt: skip
Share = Annotated[Number, Field(ge=0, le=1)]
Key = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class SelectionIn(ConditionsIn):
    """Which labelled images; all conditions must hold."""

    label: Name | None = Field(default=None, description="class by the label that counts")
    decision: Decision | None = Field(default=None, description="of the live head: a class, review, or cannot_judge")
    sources: list[Literal["import", "declared", "review"]] = Field(
        default=[], max_length=3, description="look at labels of these sources alone; empty: at all"
    )
    limit: Annotated[StrictInt, Field(ge=1, le=10**9)] | None = Field(
        default=None, description="a sample of that many images, the same each time"
    )

    def to_selection(self) -> Selection:
        where = self.model_dump(exclude={"sources", "limit"})
        return Selection(where=ImageFilter(**where), sources=tuple(self.sources), limit=self.limit)


class SplitIn(Body):
    """How rows are divided; `given` and `like` belong to the method `given`, `cut` to `time`."""

    method: Method = Method.SUBJECT
    train: Share = 0.8
    validation: Share = 0.0
    test: Share = 0.2
    seed: Annotated[StrictInt, Field(ge=0, lt=2**32)] = 0
    cut: Moment | None = Field(default=None, description="what was taken from then on is tested on")
    given: dict[Key, Split] = Field(default={}, description="split by image id, SHA-256 or file name")
    like: DatasetName | None = Field(default=None, description="divide as that dataset is")
    rest: Literal["train", "validation", "test", "omit"] | None = Field(
        default=None, description="where images go that are not named"
    )

    def to_spec(self, given: dict[str, str]) -> SplitSpec:
        listed = {key: split.value for key, split in self.given.items()} | given
        said = self.model_dump(exclude={"given", "like"})
        return SplitSpec(**said, given=listed)


class DatasetIn(Body):
    name: Name
    task: Name
    feature_set: Text | None = None
    selection: SelectionIn = SelectionIn()
    split: SplitIn = SplitIn()
    together: StrictBool = Field(default=False, description="move subjects and near-duplicates into one split")
    allow_leaks: StrictBool = Field(
        default=False, description="let a subject be in several splits; reports will say so"
    )
    duplicate_bound: Annotated[Number, Field(ge=0.5, le=1)] | None = Field(
        default=BOUND, description="cosine from which two rows are near-duplicates; null: do not look"
    )


class DatasetOut(BaseModel):
    id: UUID
    name: str
    version: int
    task: str
    feature_set: str
    classes: list[str]
    positive: str
    digest: str
    rows: int
    counts: dict[str, dict[str, int]] = Field(description="rows by split and class")
    consultations: int = Field(description="head versions that were scored on the test rows")
    notes: list[str] = Field(description="what every report on these rows says")
    author: str
    created_at: datetime

    @classmethod
    def of(cls, dataset: Dataset, feature_set: str, consultations: int, notes: list[str]) -> "DatasetOut":
        return cls(
            id=dataset.id, name=dataset.name, version=dataset.version, task=dataset.task, feature_set=feature_set,
            classes=dataset.classes, positive=dataset.positive, digest=dataset.digest, rows=dataset.rows,
            counts=dataset.counts, consultations=consultations, notes=notes, author=dataset.author,
            created_at=dataset.created_at,
        )  # fmt: skip


class ConsultationOut(BaseModel):
    head: HeadRef
    author: str
    at: datetime

    @classmethod
    def of(cls, score: TestScore, head: Head) -> "ConsultationOut":
        return cls(head=HeadRef(id=head.id, version=head.version), author=score.author, at=score.at)


class DatasetDetailOut(DatasetOut):
    selection: dict[str, Any]
    split: dict[str, Any]
    findings: dict[str, Any] = Field(description="what crosses the splits, and what is missing")
    lost: int = Field(description="rows whose images were deleted since")
    consulted_by: list[ConsultationOut]


class DatasetPage(BaseModel):
    items: list[DatasetOut]
    next: UUID | None = Field(description="`cursor` of the next page; null on the last")


class DatasetRowOut(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    region_id: int
    image_id: UUID
    sha256: str
    ordinal: int
    class_name: str = Field(serialization_alias="class")
    split: Split
    subject: str

    @classmethod
    def of(cls, row: DatasetRow) -> "DatasetRowOut":
        return cls(
            region_id=row.region_id, image_id=row.image_id, sha256=row.sha256.hex(), ordinal=row.ordinal,
            class_name=row.class_name, split=Split(row.split), subject=row.subject,
        )  # fmt: skip


class DatasetRowPage(BaseModel):
    items: list[DatasetRowOut]
    next: int | None = Field(description="`cursor` of the next page; null on the last")


class TestOut(BaseModel):
    __test__ = False  # no test class, whatever pytest thinks of the name

    head: HeadRef
    dataset: str
    split: Split
    repeated: bool = Field(description="the head was scored on these test rows before; this is that answer")
    consultations: int = Field(description="head versions that were scored on the test rows so far")
    figures: dict[str, Any]

    @classmethod
    def of(cls, head: Head, judged: Judged) -> "TestOut":
        return cls(
            head=HeadRef(id=head.id, version=head.version), dataset=judged.dataset.full_name, split=judged.split,
            repeated=judged.repeated, consultations=judged.consultations, figures=judged.figures,
        )  # fmt: skip
