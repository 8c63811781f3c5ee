"""What is gathered on a scan for whoever must decide, and what a blind task keeps."""

from collections.abc import Iterator
from uuid import UUID, uuid4

import numpy as np
import pytest

from app import embedded
from app.db import transaction
from app.errors import NotFound
from app.services import evidence, scan_history
from app.services.evidence import Evidence
from app.services.scan_history import Happening
from tests.integration.desk_work import Desk, desk
from tests.integration.fabricated import TASK, vectors
from tests.integration.rows import embed


@pytest.fixture(scope="module")
def shared(server: embedded.EmbeddedServer, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk(server, template, tmp_path_factory.mktemp("evidence")) as shared:
        yield shared


@pytest.fixture
def bright(shared: Desk) -> Desk:
    shared.clear()
    return shared


def gathered(bright: Desk, image: UUID, who: str = "ann") -> Evidence:
    with transaction(bright.store.sessions) as session:
        return evidence.gather(session, image, TASK, author=who, default_set=bright.store.settings.feature_set)


def test_the_worst_region_comes_first_and_the_greatest_risk_is_told(bright: Desk) -> None:
    [image] = bright.images(("dark", 0.2, "dark"))
    bright.predict(image, bright.region(image, 1), "light", 0.9)
    told = gathered(bright, image)
    assert [one.decision for one in told.answers] == ["light", "dark"]
    assert (told.declared, told.risk) == ("dark", 0.9)
    assert sorted(told.ordinals.values()) == [0, 1]


def test_similar_scans_come_by_distance_with_a_persons_word_before_the_heads(bright: Desk) -> None:
    ids = bright.images(("light", 0.9), ("light", 0.8), ("dark", 0.1), ("dark", 0.2))
    feature_set = bright.store.feature_set()
    # Directions, not lengths: each turns a little further away from the first.
    avg = vectors(feature_set, np.ones(4))
    avg[:, 1] = [0.0, 0.1, 0.2, 0.4]
    embed(bright.store, feature_set, ids, avg)
    bright.said(ids[2], class_name="light", who="bea")
    told = gathered(bright, ids[0])
    assert [one.outcome.image.id for one in told.similar] == ids[1:]
    assert [one.outcome.word for one in told.similar] == ["light", "light", "dark"]
    assert [one.outcome.label and one.outcome.label.author for one in told.similar] == [None, "bea", None]
    assert told.similar[0].distance < told.similar[1].distance


def test_a_scan_without_vectors_has_no_similar_ones(bright: Desk) -> None:
    [image] = bright.images(("light", 0.9))
    assert gathered(bright, image).similar == []


def test_others_of_the_subject_are_told_and_those_without_a_subject_are_nobodys(bright: Desk) -> None:
    first, second = bright.images(("light", 0.9), ("dark", 0.1, "dark"), subject="BOX 1")
    [nameless] = bright.images(("dark", 0.1))
    assert [(one.image.id, one.item.declared) for one in gathered(bright, first).of_subject] == [(second, "dark")]
    assert gathered(bright, nameless).of_subject == []


def test_history_tells_what_was_taken_back_and_what_counts(bright: Desk) -> None:
    [image] = bright.images(("light", 0.9, "dark"))
    opinion = bright.said(image, "correct", class_name="dark", reason="a shadow")
    bright.client.put(f"/v1/images/{image}/labels/{TASK}", json={"class": "light"})
    bright.call("ann", "DELETE", f"/v1/opinions/{opinion['id']}")
    bright.said(image, "cannot_judge", who="bea", anyway=True)
    told = gathered(bright, image)
    assert told.counting is not None
    assert (told.counting.author, told.counting.class_name) == ("test-admin", "light")
    events = told.events
    assert [(one.kind, one.author, one.class_name, one.counts, one.taken_back) for one in events[:4]] == [
        (Happening.JUDGED, "bea", None, False, False),
        (Happening.WITHDRAWN, "ann", "dark", False, False),
        (Happening.LABELLED, "test-admin", "light", True, False),
        (Happening.JUDGED, "ann", "dark", False, True),
    ]
    assert {one.kind for one in events[4:]} == {Happening.PREDICTED, Happening.DECLARED, Happening.RECEIVED}


def test_a_blind_task_keeps_answers_and_what_others_said_until_an_opinion(bright: Desk) -> None:
    [image] = bright.images(("light", 0.9, "dark"))
    bright.said(image, class_name="light", who="bea")
    bright.client.patch(f"/v1/tasks/{TASK}", json={"blind": True})
    told = gathered(bright, image)
    assert (told.hidden, told.answers, told.risk, told.contract, told.declared) == (True, [], None, None, "dark")
    assert {one.kind for one in told.events} == {scan_history.Happening.RECEIVED, scan_history.Happening.DECLARED}
    bright.said(image, class_name="dark", anyway=True)
    told = gathered(bright, image)
    assert (told.hidden, told.risk) == (False, 0.9)
    assert {one.author for one in told.events if one.kind is Happening.JUDGED} == {"ann", "bea"}


def test_nothing_is_told_of_what_does_not_exist(bright: Desk) -> None:
    [image] = bright.images(("light", 0.9))
    with pytest.raises(NotFound, match="no image"):
        gathered(bright, uuid4())
    with transaction(bright.store.sessions) as session, pytest.raises(NotFound, match="no task"):
        evidence.gather(session, image, "none", author="ann", default_set=None)
