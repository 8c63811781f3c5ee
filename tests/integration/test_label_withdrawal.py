"""A withdrawn label counts for no reader, whichever way it reads labels; the history keeps it and says why."""

from collections.abc import Iterator
from uuid import UUID

import pytest
from sqlalchemy import text

from app import embedded
from app.db import transaction
from app.errors import NotFound
from app.models import Head
from app.services import (
    dataset_rows,
    feature_sets,
    images,
    label_lists,
    label_review,
    labelling,
    suspect_neighbours,
    tasks,
)
from app.services.dataset_rows import Selection
from app.services.filters import ImageFilter
from app.services.label_lists import LabelFilter
from app.services.labelling import Statement
from tests.conftest import TestStore, new_store
from tests.integration.labelled import TASK, fill
from tests.integration.suspects import doubting


@pytest.fixture(scope="module")
def shared(
    server: embedded.EmbeddedServer, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[TestStore, list[UUID]]]:
    """Twelve labelled images, empty and loaded in turn by an import."""
    with new_store(server, template, tmp_path_factory.mktemp("withdrawal")) as store:
        yield store, fill(store, 12)


@pytest.fixture
def store(shared: tuple[TestStore, list[UUID]]) -> TestStore:
    with transaction(shared[0].sessions) as session:
        session.execute(text("DELETE FROM label WHERE source = 'review'"))
        session.execute(text("DELETE FROM label_withdrawal"))
        session.execute(text("DELETE FROM head WHERE author = 'test' AND version = 7"))
    return shared[0]


@pytest.fixture
def ids(shared: tuple[TestStore, list[UUID]]) -> list[UUID]:
    return shared[1]


def review(store: TestStore, image: UUID, class_name: str, author: str = "ann") -> int:
    with transaction(store.sessions) as session:
        return labelling.add(session, image, TASK, class_name, author=author).id


def withdraw(store: TestStore, label: int, reason: str | None = None) -> None:
    with transaction(store.sessions) as session:
        labelling.withdraw(session, label, author="ann", reason=reason)


def imported(store: TestStore, image: UUID) -> int:
    return int(str(store.scalar("SELECT id FROM label WHERE image_id = :image AND source = 'import'", image=image)))


def told(store: TestStore, image: UUID) -> list[tuple[str, bool, str]]:
    with transaction(store.sessions) as session:
        return [(one.label.class_name, one.effective, one.why) for one in labelling.history(session, image)]


def test_the_label_before_counts_again_and_the_history_says_why(store: TestStore, ids: list[UUID]) -> None:
    label = review(store, ids[0], "loaded", author="bob")
    assert told(store, ids[0])[1] == ("empty", False, "outranked by a review")
    withdraw(store, label, "wrong scan")
    assert told(store, ids[0]) == [
        ("loaded", False, "withdrawn by ann: wrong scan"), ("empty", True, "the only statement"),
    ]  # fmt: skip
    with transaction(store.sessions) as session:
        assert labelling.effective(session, TASK, [ids[0]]) == {ids[0]: "empty"}


def test_withdrawn_twice_it_is_withdrawn_once(store: TestStore, ids: list[UUID]) -> None:
    label = review(store, ids[0], "loaded")
    withdraw(store, label)
    withdraw(store, label, "again")
    assert store.scalar("SELECT count(*) FROM label_withdrawal") == 1
    assert store.scalar("SELECT reason FROM label_withdrawal") is None
    with pytest.raises(NotFound):
        withdraw(store, -1)


def test_the_filter_on_labels_passes_over_it(store: TestStore, ids: list[UUID]) -> None:
    label = review(store, ids[0], "loaded")
    loaded = ImageFilter(task=TASK, label="loaded")
    with transaction(store.sessions) as session:
        assert ids[0] in images.page(session, loaded, limit=20)
    withdraw(store, label)
    with transaction(store.sessions) as session:
        assert ids[0] not in images.page(session, loaded, limit=20)


def test_a_dataset_is_frozen_without_it(store: TestStore, ids: list[UUID]) -> None:
    label = review(store, ids[0], "loaded")

    def classes(*sources: str) -> dict[UUID, str]:
        with transaction(store.sessions) as session:
            feature_set = feature_sets.chosen(session, None, store.settings.feature_set)
            rows = dataset_rows.candidates(session, tasks.named(session, TASK), feature_set, Selection(sources=sources))
        return {row.image_id: row.class_name for row in rows}

    assert classes()[ids[0]] == "loaded"
    withdraw(store, label)
    assert classes()[ids[0]] == "empty"
    assert classes("review") == {}
    withdraw(store, imported(store, ids[0]))
    assert ids[0] not in classes()


def test_lists_show_it_as_withdrawn_and_it_makes_no_conflict(store: TestStore, ids: list[UUID]) -> None:
    label = review(store, ids[0], "loaded")
    with transaction(store.sessions) as session:
        assert [one.image_id for one in label_lists.conflicts(session, TASK, limit=9)] == [ids[0]]
    withdraw(store, label)
    with transaction(store.sessions) as session:
        assert label_lists.conflicts(session, TASK, limit=9) == []
        [listed] = label_lists.page(session, LabelFilter(task=TASK, source="review"), limit=9)
    assert (listed.stated.effective, listed.stated.why) == (False, "withdrawn")
    assert listed.stated.withdrawn is not None


def test_a_suspect_whose_review_was_withdrawn_is_open_again(store: TestStore, ids: list[UUID]) -> None:
    head = doubting(store, ids, [3])
    label = review(store, ids[3], "empty")
    with transaction(store.sessions) as session:
        assert label_review.review(session, head).suspects[0].state is label_review.State.ACCEPTED
    withdraw(store, label)
    with transaction(store.sessions) as session:
        [suspect] = label_review.review(session, head).suspects
    assert (suspect.state, suspect.label) == (label_review.State.OPEN, "loaded")


def test_a_suspect_s_neighbours_are_those_whose_labels_stand(store: TestStore, ids: list[UUID]) -> None:
    head = doubting(store, ids, [3])
    withdraw(store, imported(store, ids[5]))
    with transaction(store.sessions) as session:
        suspects = label_review.review(session, head).suspects
        [near] = suspect_neighbours.nearest(session, session.get_one(Head, head), suspects, count=20)
    assert {one.image_id for one in near} == set(ids) - {ids[3], ids[5]}


def test_what_was_withdrawn_can_be_said_again_by_a_person_but_not_by_the_same_file(
    store: TestStore, ids: list[UUID]
) -> None:
    label = review(store, ids[0], "loaded")
    withdraw(store, label)
    at = store.scalar("SELECT at FROM label WHERE id = :label", label=label)

    def said(**changes: object) -> int:
        one = Statement(image_id=ids[0], class_name="loaded", source="review", author="ann", **changes)  # type: ignore[arg-type]
        with transaction(store.sessions) as session:
            return labelling.state(session, tasks.named(session, TASK), [one], actor="ann")

    assert said(at=at) == 0
    assert said() == 1
    assert told(store, ids[0])[0] == ("loaded", True, "the review, which outranks import")
