"""Labels: statements about images, files of them, disagreements."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.api.schemas.common import Body, KeyName, LongText, Moment, Name, Text
from app.services.label_csv import KEYS, Line, line
from app.services.label_import import Summary
from app.services.label_lists import LabelConflict, ListedLabel
from app.services.label_together import Together
from app.services.labelling import Stated

Source = Literal["import", "declared", "review"]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{64}$")]


class LabelIn(Body):
    class_name: Name = Field(alias="class")
    reason: LongText | None = None


class LabelWithdrawalOut(BaseModel):
    author: str
    reason: str | None
    at: datetime


class LabelOut(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    task: str
    class_name: str = Field(serialization_alias="class")
    author: str
    source: str
    reason: str | None
    at: datetime = Field(description="when it was stated")
    effective: bool = Field(description="whether it is the one that counts")
    why: str = Field(description="why it counts, or what outranks it")
    withdrawn: LabelWithdrawalOut | None = Field(description="who took it back, if somebody did")

    @classmethod
    def of(cls, stated: Stated) -> "LabelOut":
        label = stated.label
        return cls(
            task=label.task, class_name=label.class_name, author=label.author, source=label.source,
            reason=label.reason, at=label.at, effective=stated.effective, why=stated.why,
            withdrawn=stated.withdrawn and LabelWithdrawalOut(
                author=stated.withdrawn.author, reason=stated.withdrawn.reason, at=stated.withdrawn.at
            ),
        )  # fmt: skip


class ListedLabelOut(LabelOut):
    id: int
    image_id: UUID
    name: str | None = Field(description="the image's file name")
    subject: str | None

    @classmethod
    def of_listed(cls, listed: ListedLabel) -> "ListedLabelOut":
        return cls(
            **LabelOut.of(listed.stated).model_dump(), id=listed.label.id, image_id=listed.label.image_id,
            name=listed.file_name, subject=listed.subject,
        )  # fmt: skip


class LabelPage(BaseModel):
    items: list[ListedLabelOut]
    next: int | None = Field(description="`cursor` of the next page; null on the last")


class LabelTogetherIn(Body):
    """One class for all of these images."""

    images: list[UUID] = Field(min_length=1, max_length=500)
    class_name: Name = Field(alias="class")
    reason: LongText | None = None


class MadeLabelOut(BaseModel):
    id: int
    image_id: UUID


class LabelTogetherOut(BaseModel):
    labels: list[MadeLabelOut]
    known: list[UUID] = Field(description="images of which the caller said the same before")
    missing: list[UUID] = Field(description="images that are not there")

    @classmethod
    def of(cls, done: Together) -> "LabelTogetherOut":
        made = [MadeLabelOut(id=label_id, image_id=image_id) for image_id, label_id in done.labels.items()]
        return cls(labels=made, known=done.known, missing=done.missing)


class WithdrawalsIn(Body):
    ids: list[Annotated[int, Field(ge=1, le=2**53)]] = Field(min_length=1, max_length=5000)
    reason: LongText | None = None


class WithdrawalsOut(BaseModel):
    withdrawn: int = Field(description="how many stood until now")


class LabelConflictOut(BaseModel):
    image_id: UUID
    name: str | None
    subject: str | None
    classes: dict[str, str] = Field(description="source: the class of its last word")
    effective: str = Field(description="the class that counts")
    settled: bool = Field(description="a reviewer has decided")

    @classmethod
    def of(cls, found: LabelConflict) -> "LabelConflictOut":
        return cls(
            image_id=found.image_id, name=found.file_name, subject=found.subject, classes=found.classes,
            effective=found.effective, settled=found.settled,
        )  # fmt: skip


class LabelConflictPage(BaseModel):
    items: list[LabelConflictOut]
    next: UUID | None = Field(description="`cursor` of the next page; null on the last")


class LabelLineIn(Body):
    """One statement. All of id, sha256, file and subject that are given must name the same images."""

    id: UUID | None = None
    sha256: Sha256 | None = None
    file: Text | None = None
    subject: Text | None = Field(default=None, description="alone: all images of the subject")
    class_name: Text = Field(alias="class")
    source: Source | None = None
    author: KeyName | None = None
    at: Moment | None = Field(default=None, description="when it was stated; now without it")
    reason: LongText | None = None

    def to_line(self, number: int) -> Line:
        values = {key: str(value) for key in (*KEYS, "source", "author", "reason") if (value := getattr(self, key))}
        return line(number, {**values, "class": self.class_name, "time": self.at.isoformat() if self.at else ""})


class LabelsIn(Body):
    labels: list[LabelLineIn] = Field(min_length=1, max_length=1000)


class RefusedLineOut(BaseModel):
    line: int = Field(description="of the file, or of the list from 1")
    reason: str
    text: str


class LabelImportOut(BaseModel):
    task: str
    dry_run: bool
    lines: int
    stored: int = Field(description="new labels; a line that names a subject may give many")
    known: int = Field(description="labels that were stored before")
    refused_lines: int
    refused: list[RefusedLineOut] = Field(description="the first 1,000 of them")
    ignored_columns: list[str]

    @classmethod
    def of(cls, task: str, summary: Summary, *, dry_run: bool) -> "LabelImportOut":
        return cls(
            task=task, dry_run=dry_run, lines=summary.lines, stored=summary.stored, known=summary.known,
            refused_lines=summary.refused_lines, ignored_columns=summary.ignored_columns,
            refused=[RefusedLineOut(line=r.number, reason=r.reason, text=r.text) for r in summary.refused],
        )  # fmt: skip
