"""The options of `dataset freeze`: how rows are chosen and divided."""

from pathlib import Path
from typing import Annotated

import typer

from app.datasets.splits import Method

SplitOption = Annotated[Method, typer.Option(help="subject, stratified (by image), time, given or none.")]
TrainOption = Annotated[float, typer.Option(min=0, max=1, help="Share to train on.")]
ValidationOption = Annotated[float, typer.Option(min=0, max=1, help="Share to look at freely.")]
TestOption = Annotated[float, typer.Option(min=0, max=1, help="Share that each head version sees once.")]
SeedOption = Annotated[int, typer.Option(min=0)]
CutOption = Annotated[str | None, typer.Option(help="With time: test on what was taken from then on (ISO 8601).")]
GivenOption = Annotated[
    Path | None, typer.Option(help="With given: CSV with id, sha256 or file, and split.", exists=True, dir_okay=False)
]
LikeOption = Annotated[str | None, typer.Option(help="Divide as the dataset NAME@VERSION is.")]
RestOption = Annotated[str | None, typer.Option(help="Split of images that are not named, or omit.")]
TogetherOption = Annotated[bool, typer.Option("--together", help="Move what must not be parted into one split.")]
AllowLeaksOption = Annotated[bool, typer.Option("--allow-leaks", help="Let subjects be in several splits.")]
BoundOption = Annotated[float, typer.Option(min=0.5, max=1, help="Cosine from which two rows are near-duplicates.")]
SourceOption = Annotated[str | None, typer.Option(help="Only images of this source.")]
SubjectOption = Annotated[str | None, typer.Option(help="Only images of this subject.")]
TagOption = Annotated[str | None, typer.Option(help="Only images with this tag.")]
CapturedFromOption = Annotated[str | None, typer.Option(help="Only images taken then or later (ISO 8601).")]
CapturedUntilOption = Annotated[str | None, typer.Option(help="Only images taken before (ISO 8601).")]
LabelSourceOption = Annotated[
    list[str] | None, typer.Option(help="Look at labels of this source alone: import, declared, review.")
]
LimitOption = Annotated[int | None, typer.Option(min=1, help="A sample of that many images, the same each time.")]
FeatureSetOption = Annotated[str | None, typer.Option(help="Feature set of the vectors.")]
