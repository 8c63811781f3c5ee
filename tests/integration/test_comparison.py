"""Heads before and after cleaning, on the test rows of the raw and of the cleaned dataset."""

import json
from math import comb
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from typer.testing import CliRunner

from app.cli import app
from app.datasets.splits import Method, SplitSpec
from app.db import transaction
from app.errors import AppError, Conflict, InvalidInput, NotFound
from app.models import Dataset, Split
from app.services import comparison, datasets, labelling, tasks
from app.services.labelling import Statement
from tests.conftest import TestStore
from tests.integration.calls import is_problem
from tests.integration.fabricated import TASK, Archive, Rule, archive, register

GOOD, OFF = Rule(0.5), Rule(0.7)
ROWS = 80


def freeze(store: TestStore, name: str, like: Dataset | None = None) -> Dataset:
    with transaction(store.sessions) as session:
        given = {} if like is None else datasets.splits_of(session, like)
        split = SplitSpec(test=0.5, train=0.5) if like is None else SplitSpec(method=Method.GIVEN, given=given)
        return datasets.freeze(
            session, name, TASK, store.feature_set(), split=split, author="test", duplicate_bound=None
        )


@pytest.fixture
def lit(store: TestStore) -> Archive:
    """Images by brightness, labelled by it but for ten that were mistaken; two heads, one of them off."""
    made = archive(store, ROWS)
    words = np.where(made.light > 0.5, "light", "dark")
    words[:10] = np.where(made.light[:10] > 0.5, "dark", "light")
    made.label([str(word) for word in words])
    register(store, GOOD)
    register(store, OFF)
    return made


@pytest.fixture
def both(store: TestStore, lit: Archive) -> tuple[Dataset, Dataset]:
    """The raw dataset, and the cleaned one with the same splits."""
    raw = freeze(store, "raw")
    with transaction(store.sessions) as session:
        said = [
            Statement(image_id=image, class_name="light" if light > 0.5 else "dark", source="review", author="ann")
            for image, light in zip(lit.images[:10], lit.light[:10].tolist(), strict=True)
        ]
        assert labelling.state(session, tasks.named(session, TASK), said, actor="ann") == 10
    return raw, freeze(store, "cleaned", like=raw)


def run(store: TestStore, *names: str, first: int = 1, second: int = 2) -> list[comparison.Compared]:
    with transaction(store.sessions) as session:
        return comparison.compare(session, TASK, first, second, names, author="test")


def right(store: TestStore, lit: Archive, dataset: Dataset, rule: Rule) -> list[bool]:
    """Whether `rule` has each test row right, worked out from the labels that were frozen."""
    query = text("SELECT region_id, class_name FROM dataset_row WHERE dataset_id = :id AND split = 'test'")
    with transaction(store.sessions) as session:
        frozen = dict(session.execute(query, {"id": dataset.id}).all())  # type: ignore[arg-type]
    decided = dict(zip(lit.regions.tolist(), rule.decide(lit.light), strict=True))
    return [decided[region] == name for region, name in sorted(frozen.items())]


def test_a_cleaned_dataset_has_the_splits_of_the_raw_one(store: TestStore, both: tuple[Dataset, Dataset]) -> None:
    raw, cleaned = both
    with transaction(store.sessions) as session:
        assert datasets.splits_of(session, raw) == datasets.splits_of(session, cleaned)
    assert raw.digest != cleaned.digest


def test_both_heads_are_compared_on_the_raw_and_on_the_cleaned_test(
    store: TestStore, lit: Archive, both: tuple[Dataset, Dataset]
) -> None:
    found = run(store, "raw@1", "cleaned@1")
    assert [one.dataset.full_name for one in found] == ["raw@1", "cleaned@1"]
    for one, dataset in zip(found, both, strict=True):
        good, off = (right(store, lit, dataset, rule) for rule in (GOOD, OFF))
        assert [f["accuracy"] for f in one.figures] == pytest.approx([np.mean(good), np.mean(off)])
        only_good = sum(a and not b for a, b in zip(good, off, strict=True))
        only_off = sum(b and not a for a, b in zip(good, off, strict=True))
        assert (one.contest["only_first_right"], one.contest["only_second_right"]) == (only_good, only_off)
        n = only_good + only_off
        tail = sum(comb(n, k) for k in range(min(only_good, only_off) + 1)) / 2**n
        assert one.contest["mcnemar_p"] == pytest.approx(min(1, 2 * tail))
        for told in one.figures:
            assert told["accuracy_interval"]["low"] < told["accuracy"] <= told["accuracy_interval"]["high"]
    cleaned = found[1]
    assert cleaned.figures[0]["accuracy"] == 1.0
    assert found[0].figures[0]["accuracy"] < 1.0


def test_a_comparison_again_gives_the_stored_answers_and_consults_nothing(
    store: TestStore, both: tuple[Dataset, Dataset]
) -> None:
    first = run(store, "raw@1")
    assert store.scalar("SELECT count(*) FROM test_score") == 2
    assert [one.contest for one in run(store, "raw@1")] == [one.contest for one in first]
    assert store.scalar("SELECT count(*) FROM test_score") == 2


def test_without_datasets_the_heads_own_are_meant(store: TestStore, both: tuple[Dataset, Dataset]) -> None:
    with pytest.raises(InvalidInput, match="no test rows"):
        run(store)
    with transaction(store.sessions) as session:
        session.execute(text("UPDATE head SET dataset_id = :id"), {"id": both[1].id})
    assert [one.dataset.full_name for one in run(store)] == ["cleaned@1"]


def test_a_head_that_learned_from_the_rows_is_refused_and_nothing_is_kept(
    store: TestStore, both: tuple[Dataset, Dataset]
) -> None:
    with transaction(store.sessions) as session:
        everything = datasets.freeze(
            session, "all", TASK, store.feature_set(), split=SplitSpec(method=Method.NONE), author="test",
            duplicate_bound=None,
        )  # fmt: skip
        session.execute(text("UPDATE head SET dataset_id = :id WHERE version = 2"), {"id": everything.id})
    with pytest.raises(Conflict, match="learned from"):
        run(store, "raw@1")
    assert store.scalar("SELECT count(*) FROM test_score") == 0


def test_what_cannot_be_compared_is_said(store: TestStore, both: tuple[Dataset, Dataset]) -> None:
    with pytest.raises(InvalidInput, match="with itself"):
        run(store, "raw@1", second=1)
    with pytest.raises(NotFound, match="version 9"):
        run(store, "raw@1", second=9)
    with pytest.raises(NotFound, match="no dataset"):
        run(store, "raw@9")
    assert {one.value for one in Split} == {"train", "validation", "test"}


def test_heads_are_compared_by_api(client: TestClient, both: tuple[Dataset, Dataset]) -> None:
    url = f"/v1/tasks/{TASK}/comparisons"
    found = client.post(url, json={"first": 1, "second": 2, "datasets": ["raw@1", "cleaned@1"]}).json()
    assert [(one["dataset"], one["versions"]) for one in found] == [("raw@1", [1, 2]), ("cleaned@1", [1, 2])]
    assert {"auc", "accuracy", "per_class"} <= set(found[0]["figures"][0])
    is_problem(client.post(url, json={"first": 1, "second": 1, "datasets": ["raw"]}), 422)
    is_problem(client.post(url, json={"first": 1, "second": 2, "datasets": ["nothing"]}), 404)


def test_the_command_prints_each_dataset_with_intervals(
    store: TestStore, both: tuple[Dataset, Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENUMBRA_DATABASE_URL", store.url)

    def said(*words: str) -> Any:
        return CliRunner().invoke(app, ["compare", TASK, *words])

    printed = said("1", "2", "--dataset", "raw@1", "--dataset", "cleaned@1").output
    assert printed.count("McNemar's exact p = ") == 2
    assert "cleaned@1: 40 test rows" in printed
    assert "recall of light" in printed
    assert len(json.loads(said("1", "2", "--dataset", "raw@1", "--json").output)) == 1
    assert isinstance(said("1", "1").exception, AppError)
