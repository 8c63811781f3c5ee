"""The command `dataset freeze`."""

from datetime import datetime
from typing import Annotated, Any

import typer
from sqlalchemy.orm import Session

from app.cli import dataset_options as options
from app.cli.dataset_views import print_dataset, said
from app.cli.output import DataOption, JsonOption, print_json, progress_bar
from app.cli.store import actor, opened
from app.datasets.duplicates import BOUND
from app.datasets.splits import Method, SplitSpec
from app.db import transaction
from app.errors import InvalidInput
from app.services import dataset_lists, datasets
from app.services.dataset_rows import Selection
from app.services.filters import ImageFilter


def freeze(
    name: Annotated[str, typer.Argument(help="Its name; each content is a version of it.")],
    task: Annotated[str, typer.Option("--task", "-t", help="The task whose labels are frozen.")],
    split: options.SplitOption = Method.SUBJECT,
    train: options.TrainOption = 0.8,
    validation: options.ValidationOption = 0.0,
    test: options.TestOption = 0.2,
    seed: options.SeedOption = 0,
    cut: options.CutOption = None,
    given: options.GivenOption = None,
    like: options.LikeOption = None,
    rest: options.RestOption = None,
    together: options.TogetherOption = False,
    allow_leaks: options.AllowLeaksOption = False,
    bound: options.BoundOption = BOUND,
    source: options.SourceOption = None,
    subject: options.SubjectOption = None,
    tag: options.TagOption = None,
    captured_from: options.CapturedFromOption = None,
    captured_until: options.CapturedUntilOption = None,
    label_source: options.LabelSourceOption = None,
    limit: options.LimitOption = None,
    feature_set: options.FeatureSetOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Freeze labelled images with their classes, subjects and splits. The same content is frozen once."""
    times: dict[str, Any] = {"captured_from": _moment(captured_from), "captured_until": _moment(captured_until)}
    where = ImageFilter(source=source, subject=subject, tag=tag, **times)
    selection = Selection(where=where, sources=tuple(label_source or ()), limit=limit)
    shares: dict[str, Any] = {
        "train": train, "validation": validation, "test": test, "seed": seed, "cut": _moment(cut), "rest": rest
    }  # fmt: skip
    listed = dataset_lists.read(given) if given else {}
    crossing: dict[str, Any] = {"together": together, "allow_leaks": allow_leaks, "duplicate_bound": bound}
    with opened(data) as store, progress_bar("freezing"), transaction(store.sessions) as session:
        chosen = store.feature_set(feature_set)
        spec = SplitSpec(
            method=Method.GIVEN if given or like else split, given=listed | _as_in(session, like), **shares
        )
        dataset = datasets.freeze(session, name, task, chosen, selection, spec, author=actor(), **crossing)
    print_json(said(dataset)) if as_json else print_dataset(dataset)


def _as_in(session: Session, like: str | None) -> dict[str, str]:
    return datasets.splits_of(session, datasets.named(session, like)) if like else {}


def _moment(text: str | None) -> datetime | None:
    """An ISO 8601 time; without a zone, of this machine's."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(f"{text} is no time; write it as 2026-05-01 or 2026-05-01T10:00:00Z.") from error
    return moment if moment.tzinfo else moment.astimezone()
