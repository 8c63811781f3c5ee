"""Many live heads judge a batch in one pass, as each would alone; the archive is judged again, whatever interrupts."""

from typing import Any
from uuid import UUID

import numpy as np
import pytest
from sqlalchemy import text

import workers.replay
from app import jobs, vectors
from app.db import transaction
from app.features.spec import Features, FeatureSetSpec
from app.heads import scoring
from app.heads.scoring import Head as Scorer
from app.models import Head, Kind, Stage
from app.services import extraction, prediction, reconciling, tasks
from app.services.prediction import LoadedHeads
from tests.conftest import TestStore, training
from tests.integration import fabricated
from tests.integration.fabricated import CLASSES, Archive, Rule, archive, register
from tests.integration.rows import add_numbered, framed, queue
from tests.waiting import eventually

ROWS = 300


@pytest.fixture
def filled(store: TestStore) -> Archive:
    return archive(store, ROWS)


def live(store: TestStore, rule: Rule | bytes, name: str) -> UUID:
    """A live head on a task of its own."""
    with transaction(store.sessions) as session:
        tasks.create(session, name, "Is it?", list(CLASSES), "light", author="test")
    return register(store, rule, stage=Stage.LIVE, task=name)


def score(store: TestStore, heads: list[UUID], regions: list[int] | None = None) -> int:
    with transaction(store.sessions) as session:
        rows = vectors.copy_out(session, store.feature_set(), regions)
        return prediction.score(session, LoadedHeads(), [session.get_one(Head, head) for head in heads], rows)


def stored(store: TestStore, head: UUID) -> list[tuple[Any, ...]]:
    with transaction(store.sessions) as session:
        statement = (
            "SELECT region_id, image_id, task, decision, threshold, probabilities FROM prediction "
            "WHERE head_id = :head ORDER BY region_id"
        )
        return [tuple(row) for row in session.execute(text(statement), {"head": head})]


def test_many_heads_say_in_one_pass_what_each_says_alone(store: TestStore, filled: Archive) -> None:
    rules = [Rule(0.02 * n, review_from=0.2 if n % 3 == 0 else None) for n in range(1, 41)]
    heads = [live(store, rule, f"t{n}") for n, rule in enumerate(rules)]
    assert score(store, heads) == len(heads) * ROWS
    with transaction(store.sessions) as session:
        rows = vectors.copy_out(session, store.feature_set())
    light = dict(zip(filled.regions.tolist(), filled.light, strict=True))
    for head, rule in zip(heads, rules, strict=True):
        alone = Scorer.load(rule.artifact(store.feature_set())).probabilities(rows.avg, rows.max)
        found = stored(store, head)
        assert [row[0] for row in found] == rows.region_ids.tolist()
        kept = np.array([[row[5][name] for name in CLASSES] for row in found], np.float32)
        assert kept.tobytes() == alone.tobytes()  # every digit of a float32 is kept
        assert [row[3] for row in found] == rule.decide(np.array([light[row[0]] for row in found]))


def test_a_head_is_asked_about_each_row_once_and_features_are_checked_once(
    store: TestStore, filled: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads = [live(store, Rule(0.5), f"t{n}") for n in range(5)]
    checked, asked = [], []
    really_check, really_score = scoring.FeatureRows.checked.__func__, Scorer.score  # type: ignore[attr-defined]
    monkeypatch.setattr(
        scoring.FeatureRows, "checked", classmethod(lambda cls, *a: checked.append(1) or really_check(cls, *a))
    )
    monkeypatch.setattr(Scorer, "score", lambda self, rows: asked.append(len(rows.avg)) or really_score(self, rows))
    score(store, heads)
    assert len(checked) == 1
    assert sum(asked) == 5 * ROWS


def test_what_was_predicted_stays_and_is_not_stored_twice(store: TestStore, filled: Archive) -> None:
    head = live(store, Rule(0.5), "t")
    half = filled.regions[: ROWS // 2].tolist()
    assert score(store, [head], half) == len(half)
    before = stored(store, head)
    assert score(store, [head]) == ROWS - len(half)
    assert [row for row in stored(store, head) if row[0] in set(half)] == before


def test_predictions_carry_their_image_task_and_threshold(store: TestStore, filled: Archive) -> None:
    head = live(store, Rule(0.5), "odd-task")
    score(store, [head])
    owners = dict(zip(filled.regions.tolist(), filled.images, strict=True))
    assert {(row[1] == owners[row[0]], row[2], row[4]) for row in stored(store, head)} == {(True, "odd-task", 0.5)}


def test_an_image_that_vanished_is_left_out(store: TestStore, filled: Archive) -> None:
    head = live(store, Rule(0.5), "t")
    with transaction(store.sessions) as session:
        rows = vectors.copy_out(session, store.feature_set())
        session.execute(text("DELETE FROM image WHERE id = :id"), {"id": filled.images[0]})
    with transaction(store.sessions) as session:
        assert prediction.score(session, LoadedHeads(), [session.get_one(Head, head)], rows) == ROWS - 1


def test_no_rows_and_no_heads_are_no_work(store: TestStore, filled: Archive) -> None:
    assert score(store, [live(store, Rule(0.5), "t")], []) == 0
    assert score(store, []) == 0


# A head that cannot judge


def extract(store: TestStore, count: int) -> int:
    """Store features of new scans, as the extraction worker does."""
    feature_set = store.feature_set()
    queue(store, add_numbered(store.sessions, count, start=50_000))
    light = np.linspace(0, 1, count)
    features = Features(fabricated.vectors(feature_set, light), np.zeros((count, feature_set.max_dim), np.float32))
    with transaction(store.sessions) as session:
        scans = extraction.take(session, {feature_set.id: count}, worker_id=UUID(int=1), lease_seconds=60)
    with transaction(store.sessions) as session:
        return extraction.store(session, LoadedHeads(), feature_set, framed(scans), features, engine="test")


def test_a_broken_head_does_not_stop_the_others_nor_the_extraction(store: TestStore, spec: FeatureSetSpec) -> None:
    broken = live(store, b"no graph at all", "broken")
    narrow = live(store, Rule(0.5).artifact(store.feature_set(), max_dimensions=3), "narrow")
    sound = live(store, Rule(0.5), "sound")
    assert extract(store, 5) == 5
    assert [len(stored(store, head)) for head in (broken, narrow, sound)] == [0, 0, 5]


def rescorings(store: TestStore, head: UUID) -> object:
    return store.scalar("SELECT count(*) FROM job WHERE kind = 'rescore' AND head_id = :head", head=head)


def reconcile(store: TestStore) -> None:
    with transaction(store.sessions) as session:
        reconciling.reconcile(session, max_attempts=3, everything=True)


def test_a_refused_head_is_not_judged_by_again_and_again(store: TestStore, filled: Archive) -> None:
    """Its re-scoring used to be queued again at each full look, for ever."""
    broken = live(store, b"no graph at all", "broken")
    reconcile(store)
    with training(store):
        ends(store, broken, "failed")
    reconcile(store)
    reconcile(store)
    assert rescorings(store, broken) == 1


def test_a_rescoring_that_failed_for_another_reason_is_tried_again(store: TestStore, filled: Archive) -> None:
    head = live(store, Rule(0.5), "t")
    reconcile(store)
    with transaction(store.sessions) as session:
        session.execute(
            text("UPDATE job SET state = 'failed', error = '{\"code\": \"internal\"}', finished_at = now()")
        )
    reconcile(store)
    assert rescorings(store, head) == 2


# The archive judged again


def ends(store: TestStore, head: UUID, state: str) -> None:
    eventually(
        lambda: store.scalar("SELECT state FROM job WHERE head_id = :head", head=head), lambda found: found == state
    )


def rescore(store: TestStore, head: UUID) -> None:
    with transaction(store.sessions) as session:
        jobs.enqueue_for_head(session, Kind.RESCORE, head, store.feature_set().id)


def test_a_rescoring_judges_every_vector_whatever_the_batches(
    store: TestStore, filled: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers.replay, "BATCH_ROWS", 7)
    head = live(store, Rule(0.4), "t")
    rescore(store, head)
    with training(store):
        ends(store, head, "succeeded")
    assert len(stored(store, head)) == ROWS
    assert store.scalar("SELECT done = :n AND total = :n FROM job WHERE head_id = :h", n=ROWS, h=head)


def test_a_rescoring_goes_on_where_an_earlier_one_ended(
    store: TestStore, filled: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = live(store, Rule(0.4), "t")
    score(store, [head], filled.regions[::2].tolist())
    read: list[int] = []
    really_read = prediction.next_unjudged

    def watched(*arguments: Any, **options: Any) -> vectors.Rows:
        rows = really_read(*arguments, **options)
        read.extend(rows.region_ids.tolist() if options["head_id"] == head else [])
        return rows

    monkeypatch.setattr(prediction, "next_unjudged", watched)
    rescore(store, head)
    with training(store):
        ends(store, head, "succeeded")
    assert read == sorted(filled.regions[1::2].tolist())
    assert len(stored(store, head)) == ROWS


def test_what_goes_wrong_while_writing_fails_the_job_and_not_in_silence(
    store: TestStore, filled: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = live(store, Rule(0.4), "t")
    monkeypatch.setattr(prediction, "store", lambda *_: (_ for _ in ()).throw(RuntimeError("the disk is full")))
    rescore(store, head)
    with training(store):
        ends(store, head, "failed")
    assert "the disk is full" in str(store.scalar("SELECT error ->> 'message' FROM job WHERE head_id = :h", h=head))
    assert stored(store, head) == []
