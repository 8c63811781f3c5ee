"""Augmented copies: made for training rows alone, once, behind every extraction, and found by nothing else."""

from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text

from app import jobs, vectors
from app.db import transaction
from app.errors import InvalidInput, NotFound, NotTrainable
from app.features.spec import FeatureSetSpec, InputBatch
from app.models import AugmentationRequest, Dataset, FeatureSet
from app.services import augmentation, extraction, images, reconciling, search, stats
from app.services.filters import ImageFilter
from tests.conftest import FakeExtractor, TestStore, extracting
from tests.integration.calls import scan
from tests.integration.copies import ask, frozen, look, stored_codes
from tests.integration.processes import ROOT, running
from tests.integration.rows import embed, explained, framed, queue, regions_of, stored_images
from tests.waiting import PATIENCE, Gate, eventually


def extracted(store: TestStore, extractor: FakeExtractor, count: int, start: int = 0) -> list[UUID]:
    """Images with their vectors."""
    ids = stored_images(store, [scan(seed) for seed in range(start, start + count)])
    with extracting(store, extractor):
        eventually(lambda: waiting(store, "extract") == 0, what="the extraction of all images")
    return ids


def waiting(store: TestStore, kind: str) -> int:
    return int(
        str(store.scalar("SELECT count(*) FROM job WHERE kind = :kind AND state IN ('queued', 'running')", kind=kind))
    )


def augmented(store: TestStore, dataset: Dataset, recipe: str = "soft") -> augmentation.Progress:
    """The progress of a request once nothing of it is pending."""
    eventually(lambda: look(store, dataset, recipe).pending == 0, what="the augmentation of all rows")
    return look(store, dataset, recipe)


# What is made, and of what


def test_the_training_rows_get_their_copies_and_no_other_row_gets_any(
    store: TestStore, extractor: FakeExtractor
) -> None:
    ids = extracted(store, extractor, 6)
    dataset = frozen(store, ids, ["train", "test", "train", "validation", "train", "test"])
    asked = ask(store, dataset, "soft", 3)
    assert (asked.rows, asked.done, asked.pending, asked.present) == (3, 0, 3, 0)
    with extracting(store, extractor):
        done = augmented(store, dataset)
    assert (done.done, done.pending, done.failed, done.present) == (3, 0, 0, 9)
    copies = [0, 51, 52, 53]  # mirrored: a container may be seen from either side
    assert [stored_codes(store)[i] for i in ids] == [copies, [0], copies, [0], copies, [0]]


def test_a_task_that_may_not_be_mirrored_gets_copies_under_other_codes(
    store: TestStore, extractor: FakeExtractor
) -> None:
    ids = extracted(store, extractor, 1)
    dataset = frozen(store, ids, task="pneumonia")
    assert not ask(store, dataset, "strong", 2).mirrored
    with extracting(store, extractor):
        augmented(store, dataset, "strong")
    assert stored_codes(store)[ids[0]] == [0, 101, 102]


def test_copies_differ_from_their_scan_and_from_one_another(store: TestStore, extractor: FakeExtractor) -> None:
    ids = extracted(store, extractor, 2)
    dataset = frozen(store, ids)
    ask(store, dataset, "strong", 3)
    with extracting(store, extractor):
        augmented(store, dataset, "strong")
    with transaction(store.sessions) as session:
        regions = regions_of(session, ids)
        rows, codes = vectors.copy_out_augmented(session, store.feature_set(), regions, range(151, 154))
        plain = vectors.copy_out(session, store.feature_set(), regions)
    assert codes.tolist() == [151, 152, 153] * 2
    assert rows.region_ids.tolist() == np.repeat(sorted(regions), 3).tolist()
    assert len(np.unique(np.vstack([rows.avg, plain.avg]), axis=0)) == 8


def test_asking_again_adds_what_is_missing_and_keeps_what_is_there(store: TestStore, extractor: FakeExtractor) -> None:
    ids = extracted(store, extractor, 2)
    dataset = frozen(store, ids)
    ask(store, dataset, "soft", 2)
    with extracting(store, extractor):
        augmented(store, dataset)
        before = store.scalar("SELECT max(created_at) FROM embedding WHERE augmentation IN (51, 52)")
        assert ask(store, dataset, "soft", 4).pending == 2
        assert augmented(store, dataset).present == 8
    assert store.scalar("SELECT max(created_at) FROM embedding WHERE augmentation IN (51, 52)") == before
    assert ask(store, dataset, "soft", 1).copies == 4
    assert waiting(store, "augment") == 0


def test_more_copies_asked_for_while_the_first_are_made_are_made_too(store: TestStore, spec: FeatureSetSpec) -> None:
    ids = extracted(store, FakeExtractor(spec), 1)
    dataset = frozen(store, ids)
    gate = Gate()
    ask(store, dataset, "soft", 1)
    with extracting(store, FakeExtractor(spec, gate)):
        assert gate.reached.wait(PATIENCE)
        ask(store, dataset, "soft", 3)
        gate.opened.set()
        augmented(store, dataset)
    assert stored_codes(store)[ids[0]] == [0, 51, 52, 53]
    assert store.scalar("SELECT count(*) FROM job WHERE kind = 'augment'") == 1


def test_two_datasets_share_the_copies_of_an_image(store: TestStore, extractor: FakeExtractor) -> None:
    ids = extracted(store, extractor, 2)
    first, second = frozen(store, ids), frozen(store, ids[:1], name="pier")
    ask(store, first, "soft", 2)
    with extracting(store, extractor):
        augmented(store, first)
    assert ask(store, second, "soft", 2).done == 1
    assert waiting(store, "augment") == 0


@pytest.mark.parametrize(("recipe", "copies"), [("softer", 2), ("soft-mirrored", 2), ("soft", 0), ("soft", 50)])
def test_what_cannot_be_made_is_refused(store: TestStore, recipe: str, copies: int) -> None:
    dataset = frozen(store, stored_images(store, [scan(0)]))
    with pytest.raises(InvalidInput, match=r"say soft or strong|give 1 to 49"):
        ask(store, dataset, recipe, copies)
    assert store.scalar("SELECT count(*) FROM augmentation_request") == 0


def test_test_rows_cannot_be_asked_for(store: TestStore) -> None:
    dataset = frozen(store, stored_images(store, [scan(0), scan(1)]), ["test", "validation"])
    with pytest.raises(InvalidInput, match="no training row"):
        ask(store, dataset)
    assert waiting(store, "augment") == 0


def test_a_planted_request_for_test_rows_makes_nothing(store: TestStore, extractor: FakeExtractor) -> None:
    ids = extracted(store, extractor, 2)
    dataset = frozen(store, ids, ["test", "validation"])
    with transaction(store.sessions) as session:
        session.add(AugmentationRequest(dataset_id=dataset.id, recipe="soft-mirrored", copies=2, author="villain"))
        session.flush()
        assert augmentation.queue_missing(session) == 0


# In the queue


def test_copies_wait_until_no_extraction_does(store: TestStore, extractor: FakeExtractor) -> None:
    ids = extracted(store, extractor, 3)
    ask(store, frozen(store, ids), "soft", 2)
    stored_images(store, [scan(seed) for seed in range(10, 30)])
    with extracting(store, extractor):
        eventually(lambda: waiting(store, "augment") + waiting(store, "extract") == 0)
    last_scan = store.scalar("SELECT max(finished_at) FROM job WHERE kind = 'extract'")
    first_copy = store.scalar("SELECT min(started_at) FROM job WHERE kind = 'augment'")
    assert last_scan is not None
    assert first_copy is not None
    # One batch of scans may still be in hand when the first copies are claimed.
    assert store.scalar("SELECT count(*) FROM job WHERE kind = 'extract' AND started_at > :t", t=first_copy) == 0


def test_a_claim_takes_no_more_copies_than_a_batch_and_at_least_one_job(store: TestStore) -> None:
    ids = stored_images(store, [scan(seed) for seed in range(12)])
    with transaction(store.sessions) as session:
        session.execute(text("DELETE FROM job"))
    ask(store, frozen(store, ids[:8]), "soft", 3)
    ask(store, frozen(store, ids[8:], name="pier"), "soft", 49)
    taken = []
    while scans := take(store, limit=8):
        taken.append([len(scan.codes) for scan in scans])
    assert sorted(taken) == [[3, 3]] * 4 + [[49]] * 4


def take(store: TestStore, *, limit: int = 8, busy: bool = False) -> list[extraction.Scan]:
    from tests.integration.rows import WORKER

    feature_set = store.feature_set()
    with transaction(store.sessions) as session:
        return extraction.take(session, {feature_set.id: limit}, worker_id=WORKER, lease_seconds=60, busy=busy)


def test_a_suspect_scan_is_not_held_up_by_copies(store: TestStore, extractor: FakeExtractor) -> None:
    """Or its turn would never come: a worker that makes copies is never idle."""
    ids = extracted(store, extractor, 1)
    ask(store, frozen(store, ids), "soft", 1)
    stored_images(store, [scan(9)])
    with transaction(store.sessions) as session:
        session.execute(text("UPDATE job SET losses = 1 WHERE kind = 'extract' AND state = 'queued'"))
    assert take(store, busy=True) == []
    assert [scan.codes for scan in take(store)] == [(0,)]
    assert [scan.codes for scan in take(store)] == [(51,)]


def test_lost_jobs_are_made_again_for_what_is_missing(store: TestStore, extractor: FakeExtractor) -> None:
    ids = extracted(store, extractor, 3)
    dataset = frozen(store, ids)
    ask(store, dataset, "soft", 2)
    with transaction(store.sessions) as session:
        session.execute(text("DELETE FROM job WHERE kind = 'augment'"))
    with extracting(store, extractor):
        done = augmented(store, dataset)
    assert (done.done, done.present) == (3, 6)
    with transaction(store.sessions) as session:
        assert reconciling.reconcile(session, max_attempts=3, everything=True) == 0


def test_a_cancelled_job_stays_cancelled_until_copies_are_asked_for_again(store: TestStore) -> None:
    dataset = frozen(store, stored_images(store, [scan(0), scan(1)]))
    ask(store, dataset, "soft", 2)
    with transaction(store.sessions) as session:
        job = session.scalar(text("SELECT id FROM job WHERE kind = 'augment' ORDER BY id LIMIT 1"))
        jobs.cancel(session, job)
        assert augmentation.queue_missing(session) == 0
    assert (look(store, dataset).failed, waiting(store, "augment")) == (1, 1)
    ask(store, dataset, "soft", 2)
    assert (look(store, dataset).failed, waiting(store, "augment")) == (0, 2)


def test_a_withdrawn_request_cancels_its_jobs_but_not_those_of_another_dataset(store: TestStore) -> None:
    ids = stored_images(store, [scan(seed) for seed in range(3)])
    first, second = frozen(store, ids), frozen(store, ids[:1], name="pier")
    ask(store, first)
    ask(store, second)
    with transaction(store.sessions) as session:
        augmentation.withdraw(session, first, "soft", author="test")
        assert augmentation.queue_missing(session) == 0
    assert waiting(store, "augment") == 1
    with pytest.raises(NotFound, match="penumbra augment port@1"):
        look(store, first)


# What goes wrong goes wrong alone, and nothing twice


def test_a_corrupt_scan_is_parked_and_the_others_get_their_copies(
    store: TestStore, extractor: FakeExtractor, sample: Callable[..., bytes]
) -> None:
    whole = sample(1)
    ids = stored_images(store, [scan(1), scan(2), whole[: len(whole) // 2], scan(3)])
    dataset = frozen(store, ids)
    ask(store, dataset, "soft", 2)
    with extracting(store, extractor):
        done = augmented(store, dataset)
        assert (done.rows, done.done, done.failed) == (4, 3, 1)
    error = store.scalar("SELECT error ->> 'reason' FROM job WHERE kind = 'augment' AND state = 'failed'")
    assert error == "corrupt"
    with transaction(store.sessions) as session:
        assert augmentation.queue_missing(session) == 0


def test_an_image_of_which_only_a_copy_failed_is_ready_and_shows_no_error(
    store: TestStore, extractor: FakeExtractor
) -> None:
    ids = extracted(store, extractor, 1)
    ask(store, frozen(store, ids), "soft", 1)
    with transaction(store.sessions) as session:
        session.execute(text("UPDATE job SET state = 'failed', error = '{}' WHERE kind = 'augment'"))
    with transaction(store.sessions) as session:
        (view,) = images.describe(session, ids)
    assert (view.state, view.error) == ("ready", None)


def test_a_copy_that_the_extractor_fails_on_fails_its_own_image_alone(store: TestStore, spec: FeatureSetSpec) -> None:
    ids = extracted(store, FakeExtractor(spec), 4)
    white = stored_images(store, [scan(50, light=0.95)])
    with extracting(store, FakeExtractor(spec)):
        eventually(lambda: waiting(store, "extract") == 0)
    dataset = frozen(store, ids + white)

    def poison(batch: InputBatch) -> None:
        if (batch.mean((1, 2)) > 0.75).any():
            raise RuntimeError("numerical trouble")

    ask(store, dataset, "soft", 2)
    with extracting(store, FakeExtractor(spec, poison)):
        done = augmented(store, dataset)
    assert (done.done, done.failed, done.present) == (4, 1, 8)
    assert stored_codes(store)[white[0]] == [0]


def test_a_result_that_comes_after_the_lease_is_refused(store: TestStore, spec: FeatureSetSpec) -> None:
    ids = extracted(store, FakeExtractor(spec), 2)
    dataset = frozen(store, ids)
    gate = Gate()
    ask(store, dataset, "soft", 2)
    second = FakeExtractor(spec)
    second.engine = "second/fp32"
    with extracting(store, FakeExtractor(spec, gate)):
        assert gate.reached.wait(PATIENCE)
        with transaction(store.sessions) as session:
            session.execute(text("UPDATE job SET lease_until = now() - interval '1 second' WHERE state = 'running'"))
        with extracting(store, second):
            assert augmented(store, dataset).present == 4
            gate.opened.set()
    assert store.scalar("SELECT count(*) FROM embedding WHERE augmentation > 0") == 4
    assert (
        store.scalar("SELECT string_agg(DISTINCT engine, ',') FROM embedding WHERE augmentation > 0") == "second/fp32"
    )


# Dies in its batch of this number.
MORTAL = """
import os, sys
from app.config import load_settings
from app.features.weights import resolve
from tests.conftest import FakeExtractor, serving_worker
from workers.runner import beating, open_base

batches = []
def die(batch):
    batches.append(batch)
    if len(batches) == int(sys.argv[1]): os._exit(9)
base = open_base(load_settings())
extractor = FakeExtractor(resolve("densenet121-xray", None).spec, die)
worker = serving_worker(base, extractor)
with beating(base, "extract", report=worker.report):
    worker.run()
"""


def test_workers_killed_in_the_middle_lose_nothing_and_make_nothing_twice(store: TestStore, tmp_path: Path) -> None:
    ids = stored_images(store, [scan(seed) for seed in range(12)])
    with transaction(store.sessions) as session:
        session.execute(text("UPDATE job SET state = 'succeeded', finished_at = now()"))
    embed(store, store.feature_set(), ids, np.ones((12, store.feature_set().avg_dim), np.float32))
    dataset = frozen(store, ids)
    ask(store, dataset, "soft", 4)  # two jobs a batch of eight
    for dies_in in ("3", "2", "0"):
        with running(["-c", MORTAL, dies_in], store.settings, tmp_path / "log", lease_seconds="0.5") as process:
            eventually(lambda p=process: p.poll() is not None or not look(store, dataset).pending)  # type: ignore[misc]
            assert process.poll() == (None if dies_in == "0" else 9), (tmp_path / "log").read_text()
    assert (look(store, dataset).done, look(store, dataset).failed) == (12, 0)
    assert set(map(tuple, stored_codes(store).values())) == {(0, 51, 52, 53, 54)}


# Found by nothing but a training


@pytest.fixture
def with_copies(store: TestStore, extractor: FakeExtractor) -> tuple[list[UUID], Dataset]:
    """Four images, and three copies of each that is trained on."""
    ids = extracted(store, extractor, 4)
    dataset = frozen(store, ids, ["train", "train", "train", "test"])
    ask(store, dataset, "strong", 3)
    with extracting(store, extractor):
        augmented(store, dataset, "strong")
    return ids, dataset


def test_copies_are_never_found_and_never_counted(store: TestStore, with_copies: tuple[list[UUID], Dataset]) -> None:
    ids, _ = with_copies
    feature_set = store.feature_set()
    with transaction(store.sessions) as session:
        copies, _ = vectors.copy_out_augmented(session, feature_set, regions_of(session, ids), range(151, 154))
        for exact in (False, True):
            found = vectors.nearest(session, feature_set, copies.avg[0], limit=50, exact=exact).found
            assert len(found) == 4
            assert min(hit.distance for hit in found) > 1e-7
        assert len(search.by_image(session, feature_set, ids[0], ImageFilter(), limit=50).found) == 3
        assert len(vectors.copy_out(session, feature_set)) == 4
        assert stats.gather(session, within_seconds=60).embeddings == {feature_set.name: 4}
        assert images.unfinished(session, ids) == []


def test_copies_are_never_judged(store: TestStore, with_copies: tuple[list[UUID], Dataset]) -> None:
    live = int(str(store.scalar("SELECT count(*) FROM head WHERE stage = 'live'")))
    assert live
    assert store.scalar("SELECT count(*) FROM prediction") == 4 * live
    with transaction(store.sessions) as session:
        assert reconciling.reconcile(session, max_attempts=3, everything=True) == 0


def test_an_image_with_copies_alone_is_still_to_be_extracted(store: TestStore, extractor: FakeExtractor) -> None:
    (image,) = stored_images(store, [scan(0)])
    with transaction(store.sessions) as session:
        session.execute(text("DELETE FROM job"))
    dataset = frozen(store, [image])
    ask(store, dataset, "soft", 1)
    copies_only = take(store)
    assert [scan.codes for scan in copies_only] == [(51,)]
    with transaction(store.sessions) as session:
        features = extractor.extract(np.full((1, 224, 224), 0.5, np.float32))
        from app.services.prediction import LoadedHeads

        extraction.store(session, LoadedHeads(), store.feature_set(), framed(copies_only), features, engine="e")
        (view,) = images.describe(session, [image])
        assert (view.state, view.predictions) == ("pending", [])
        assert reconciling.reconcile(session, max_attempts=3, everything=True) == 1


def test_the_index_holds_no_copies_and_a_search_beside_copies_still_uses_it(
    store: TestStore, extractor: FakeExtractor
) -> None:
    feature_set = store.feature_set()
    index = f"ix_embedding_fs{feature_set.id}_avg"
    definition = str(store.scalar("SELECT indexdef FROM pg_indexes WHERE indexname = :index", index=index))
    assert definition.endswith("WHERE (augmentation = 0)")
    ids = stored_images(store, [scan(seed) for seed in range(40)])
    rng = np.random.default_rng(0)
    regions = embed(store, feature_set, ids, rng.random((40, feature_set.avg_dim), np.float32))
    before = store.scalar("SELECT pg_relation_size(CAST(:index AS regclass))", index=index)
    put_copies(store, feature_set, regions, rng)
    assert store.scalar("SELECT pg_relation_size(CAST(:index AS regclass))", index=index) == before
    with explained(store) as plans, transaction(store.sessions) as session:
        session.execute(text("SET LOCAL enable_sort = off"))
        vectors.nearest(session, feature_set, rng.random(feature_set.avg_dim, np.float32), limit=5)
    assert index in plans[0]


def put_copies(store: TestStore, feature_set: FeatureSet, regions: list[int], rng: np.random.Generator) -> None:
    """Ten random copies of each region."""
    rows = vectors.Rows(
        np.repeat(regions, 10), rng.random((len(regions) * 10, feature_set.avg_dim), np.float32),
        np.zeros((len(regions) * 10, feature_set.max_dim), np.float32),
    )  # fmt: skip
    codes = np.tile(np.arange(1, 11, dtype=np.int16), len(regions))
    with transaction(store.sessions) as session:
        vectors.copy_in(session, feature_set, rows, engine="test", augmentation=codes)


def test_each_copy_comes_back_bit_for_bit_under_its_code(store: TestStore) -> None:
    feature_set = store.feature_set()
    ids = stored_images(store, [scan(seed) for seed in range(3)])
    rng = np.random.default_rng(1)
    with transaction(store.sessions) as session:
        regions = np.repeat(sorted(regions_of(session, ids)), 2)
        avg, longest = (rng.normal(size=(6, dim)).astype(np.float32) for dim in (1024, 1024))
        codes = np.array([5, 7] * 3, np.int16)
        vectors.copy_in(
            session, feature_set, vectors.Rows(regions, avg, longest), engine="e", augmentation=codes
        )  # fmt: skip
        rows, found = vectors.copy_out_augmented(session, feature_set, regions.tolist(), range(1, 50))
        some, seven = vectors.copy_out_augmented(session, feature_set, [int(regions[2])], range(7, 8))
    assert (rows.region_ids.tolist(), found.tolist()) == (regions.tolist(), codes.tolist())
    assert (rows.avg.tobytes(), rows.max.tobytes()) == (avg.tobytes(), longest.tobytes())
    assert (seven.tolist(), some.avg.tobytes()) == ([7], avg[3].tobytes())


def test_the_scan_itself_is_no_copy(store: TestStore) -> None:
    with pytest.raises(InvalidInput, match="from 1"), transaction(store.sessions) as session:
        vectors.copy_out_augmented(session, store.feature_set(), [1], range(3))


# Loaded for a training


def test_copies_are_loaded_beside_the_rows_that_they_copy(
    store: TestStore, with_copies: tuple[list[UUID], Dataset]
) -> None:
    ids, dataset = with_copies
    with transaction(store.sessions) as session:
        regions = regions_of(session, ids)
        loaded = augmentation.load(session, dataset, "strong", [regions[2], regions[0]])
        rows, _ = vectors.copy_out_augmented(session, store.feature_set(), regions[:3], range(151, 154))
    assert sorted(loaded.of.tolist()) == [0, 0, 0, 1, 1, 1]
    for position, region in enumerate((regions[2], regions[0])):
        assert np.array_equal(loaded.avg[loaded.of == position], rows.avg[rows.region_ids == region])


def test_a_test_row_planted_among_the_rows_to_load_is_refused(
    store: TestStore, with_copies: tuple[list[UUID], Dataset]
) -> None:
    ids, dataset = with_copies
    with transaction(store.sessions) as session:
        regions = regions_of(session, ids)
        put = vectors.Rows(np.array(regions[3:]), np.ones((1, 1024), np.float32), np.ones((1, 1024), np.float32))
        vectors.copy_in(session, store.feature_set(), put, engine="villain", augmentation=151)
        with pytest.raises(InvalidInput, match="no training row"):
            augmentation.load(session, dataset, "strong", regions)
        assert len(augmentation.load(session, dataset, "strong", regions[:3]).of) == 9


def test_a_training_with_copies_that_are_missing_is_told_what_to_do(store: TestStore) -> None:
    dataset = frozen(store, stored_images(store, [scan(0)]))
    with transaction(store.sessions) as session:
        with pytest.raises(NotTrainable, match="penumbra augment port@1 --recipe soft"):
            augmentation.check_ready(session, dataset, "soft")
        augmentation.request(session, dataset, "soft", 2, author="test")
        with pytest.raises(NotTrainable, match="1 of 1 training rows"):
            augmentation.check_ready(session, dataset, "soft")


def test_parked_copies_are_tried_again_with_the_parked_scans(store: TestStore) -> None:
    ids = stored_images(store, [scan(0)])
    ask(store, frozen(store, ids), "soft", 1)
    with transaction(store.sessions) as session:
        session.execute(text("UPDATE job SET state = 'failed', error = '{}'"))
        assert reconciling.retry_failed(session, store.feature_set().id, author="test") == 2
    assert queue(store, ids) == 1


# From the release before


def migrated(store: TestStore, ask: str, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "migrations"))
    with store.engine.begin() as connection:
        config.attributes["connection"] = connection
        getattr(command, ask)(config, revision)


def test_a_store_of_the_first_release_gets_a_partial_index_and_loses_it_with_its_copies(
    store: TestStore, with_copies: tuple[list[UUID], Dataset]
) -> None:
    name = f"ix_embedding_fs{store.feature_set().id}_avg"
    definition = "SELECT indexdef FROM pg_indexes WHERE indexname = :name"
    after = store.scalar(definition, name=name)
    migrated(store, "downgrade", "0001")
    assert "WHERE" not in str(store.scalar(definition, name=name))
    assert store.scalar("SELECT array_agg(DISTINCT augmentation) FROM embedding") == [0]
    assert store.scalar("SELECT count(*) FROM embedding") == 4
    assert store.scalar("SELECT count(*) FROM job WHERE kind = 'augment'") == 0
    migrated(store, "upgrade", "head")
    assert store.scalar(definition, name=name) == after
    with transaction(store.sessions) as session:
        query = np.ones(store.feature_set().avg_dim, np.float32)
        assert len(vectors.nearest(session, store.feature_set(), query, limit=50).found) == 4
