"""The extraction worker: what can go wrong goes wrong for one image alone, and nothing is done twice."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image as Pixels
from pydantic import SecretStr
from sqlalchemy import text

from app import embedded
from app.blobs import BlobStore
from app.db import make_engine, make_sessions, transaction
from app.features.spec import Features, FeatureSetSpec, InputBatch
from app.imaging import Preprocessing, load
from app.models import Worker
from app.models.ids import uuid7
from app.services import images, reconciling, registry, schema
from app.services.ingest import limits
from tests.conftest import FakeExtractor, TestStore, calling, extracting, training
from tests.integration.calls import scan
from tests.integration.processes import running, with_graphs
from tests.integration.rows import job_states, stored_images
from tests.waiting import PATIENCE, Gate, eventually

Sample = Callable[..., bytes]


def prepared(store: TestStore, image_id: UUID) -> InputBatch:
    """What the extractor sees of an image."""
    with transaction(store.sessions) as session:
        sha256 = images.get(session, image_id).sha256
    return load(store.blobs.existing(sha256), limits(store.settings), Preprocessing())


def state_of(store: TestStore, image_id: UUID) -> tuple[str, dict[str, object] | None]:
    with transaction(store.sessions) as session:
        (view,) = images.describe(session, [image_id])
    return view.state, view.error


def finished(store: TestStore, image_ids: list[UUID]) -> bool:
    with transaction(store.sessions) as session:
        return not images.unfinished(session, image_ids)


def done(store: TestStore, image_ids: list[UUID]) -> dict[UUID, str]:
    """The images' states once none is pending."""
    eventually(lambda: finished(store, image_ids), what="the extraction of all images")
    return {image: state_of(store, image)[0] for image in image_ids}


def embeddings(store: TestStore) -> int:
    return int(str(store.scalar("SELECT count(*) FROM embedding")))


def raising_on(poison: InputBatch, error: Exception, seen: list[tuple[float, int]]) -> Callable[[InputBatch], None]:
    """An extractor's `before` that fails on any batch with the poison; `seen` tells when, in a batch of how many."""

    def before(batch: InputBatch) -> None:
        if any(np.array_equal(pixels, poison) for pixels in batch):
            seen.append((time.monotonic(), len(batch)))
            raise error

    return before


# One bad image


def test_an_undecodable_image_is_parked_at_once_with_its_reason_and_alone(
    store: TestStore, extractor: FakeExtractor, sample: Sample
) -> None:
    whole = sample(1)
    ids = stored_images(store, [scan(1), scan(2), whole[: len(whole) // 2], scan(3)])
    with extracting(store, extractor):
        states = done(store, ids)
    assert list(states.values()) == ["ready", "ready", "failed", "ready"]
    error = state_of(store, ids[2])[1]
    assert error is not None
    assert (error["code"], error["reason"]) == ("unusable-image", "corrupt")
    assert store.scalar("SELECT attempts FROM job WHERE state = 'failed'") == 1


def test_an_image_that_the_extractor_fails_on_fails_alone_after_three_tries(
    store: TestStore, spec: FeatureSetSpec
) -> None:
    ids = stored_images(store, [scan(seed) for seed in range(6)])
    seen: list[tuple[float, int]] = []
    poison = FakeExtractor(spec, raising_on(prepared(store, ids[3]), RuntimeError("numerical trouble"), seen))
    with extracting(store, poison):
        states = done(store, ids)
    assert [image for image, state in states.items() if state == "failed"] == [ids[3]]
    assert embeddings(store) == 5
    assert state_of(store, ids[3])[1] == {"code": "internal", "message": "RuntimeError: numerical trouble"}
    assert store.scalar("SELECT attempts FROM job WHERE state = 'failed'") == 3


def test_the_tries_of_a_failing_image_are_further_and_further_apart(store: TestStore, spec: FeatureSetSpec) -> None:
    (image,) = stored_images(store, [scan(0)])
    seen: list[tuple[float, int]] = []
    poison = FakeExtractor(spec, raising_on(prepared(store, image), RuntimeError("no"), seen))
    with extracting(store, poison):
        done(store, [image])
    # Each try is one pass with its batch and one alone.
    starts = [at for at, _ in seen][::2]
    assert len(starts) == 3
    assert starts[1] - starts[0] >= store.settings.retry_delay_seconds
    assert starts[2] - starts[1] >= 2 * store.settings.retry_delay_seconds


def test_an_image_whose_features_are_not_finite_fails_alone(store: TestStore, spec: FeatureSetSpec) -> None:
    ids = stored_images(store, [scan(seed) for seed in range(4)])
    poison = prepared(store, ids[1])

    class Overflowing(FakeExtractor):
        def extract(self, batch: InputBatch) -> Features:
            features = super().extract(batch)
            for row, pixels in enumerate(batch):
                if np.array_equal(pixels, poison):
                    features.max[row, 7] = np.nan
            return features

    with extracting(store, Overflowing(spec)):
        states = done(store, ids)
    assert [image for image, state in states.items() if state == "failed"] == [ids[1]]
    error = state_of(store, ids[1])[1]
    assert error is not None
    assert "NaN" in str(error["message"])


def test_an_image_whose_original_is_lost_is_parked_and_says_what_to_restore(
    store: TestStore, extractor: FakeExtractor
) -> None:
    ids = stored_images(store, [scan(0), scan(1)])
    with transaction(store.sessions) as session:
        store.blobs.delete(images.get(session, ids[0]).sha256)
    with extracting(store, extractor):
        states = done(store, ids)
    assert list(states.values()) == ["failed", "ready"]
    error = state_of(store, ids[0])[1]
    assert error is not None
    assert "restore the blob folder from its backup" in str(error["message"])


# While a batch is in flight


def test_an_image_deleted_in_flight_leaves_nothing_and_disturbs_nobody(store: TestStore, spec: FeatureSetSpec) -> None:
    ids = stored_images(store, [scan(seed) for seed in range(3)])
    gate = Gate()
    with extracting(store, FakeExtractor(spec, gate)):
        assert gate.reached.wait(PATIENCE)
        with transaction(store.sessions) as session:
            images.remove(session, ids[1], author="test")
        gate.opened.set()
        assert set(done(store, [ids[0], ids[2]]).values()) == {"ready"}
    assert embeddings(store) == 2
    assert job_states(store) == {"succeeded": 2}


def test_a_result_that_comes_after_the_lease_is_refused_and_nothing_is_stored_twice(
    store: TestStore, spec: FeatureSetSpec
) -> None:
    ids = stored_images(store, [scan(seed) for seed in range(3)])
    gate = Gate()
    with extracting(store, FakeExtractor(spec, gate)):
        assert gate.reached.wait(PATIENCE)
        with transaction(store.sessions) as session:
            session.execute(text("UPDATE job SET lease_until = now() - interval '1 second' WHERE state = 'running'"))
        second = FakeExtractor(spec)
        second.engine = "second/fp32"
        with extracting(store, second):
            assert set(done(store, ids).values()) == {"ready"}
            gate.opened.set()
    assert embeddings(store) == 3
    assert store.scalar("SELECT string_agg(DISTINCT engine, ',') FROM embedding") == "second/fp32"
    assert job_states(store) == {"succeeded": 3}


def test_a_late_worker_that_lost_its_lease_to_nobody_yet_does_not_store_either(
    store: TestStore, spec: FeatureSetSpec
) -> None:
    ids = stored_images(store, [scan(0)])
    gate = Gate()
    with extracting(store, FakeExtractor(spec, gate)):
        assert gate.reached.wait(PATIENCE)
        with transaction(store.sessions) as session:
            session.execute(text("UPDATE job SET lease_until = now() - interval '1 second'"))
            assert reconciling.reconcile(session, max_attempts=3, everything=False) == 1
        gate.opened.set()
        done(store, ids)
    assert store.scalar("SELECT attempts FROM job WHERE state = 'succeeded'") == 2
    assert embeddings(store) == 1


# What is missing is found


def test_the_reconciler_makes_deleted_jobs_again(store: TestStore, extractor: FakeExtractor) -> None:
    ids = stored_images(store, [scan(seed) for seed in range(3)])
    with transaction(store.sessions) as session:
        session.execute(text("DELETE FROM job"))
    with extracting(store, extractor):
        assert set(done(store, ids).values()) == {"ready"}
    assert embeddings(store) == 3


def test_old_images_are_found_by_the_full_look_only(store: TestStore) -> None:
    stored_images(store, [scan(0)])
    with transaction(store.sessions) as session:
        session.execute(text("UPDATE image SET received_at = now() - interval '2 hours'"))
        session.execute(text("DELETE FROM job"))
        assert reconciling.reconcile(session, max_attempts=3, everything=False) == 0
        assert reconciling.reconcile(session, max_attempts=3, everything=True) == 1
        assert reconciling.reconcile(session, max_attempts=3, everything=True) == 0


def test_a_parked_image_is_not_queued_again_by_the_reconciler(store: TestStore) -> None:
    stored_images(store, [scan(0)])
    with transaction(store.sessions) as session:
        session.execute(text("UPDATE job SET state = 'failed', error = '{}'"))
        assert reconciling.reconcile(session, max_attempts=3, everything=True) == 0


def test_two_reconcilers_do_not_work_at_once(store: TestStore) -> None:
    stored_images(store, [scan(0)])
    with transaction(store.sessions) as first, transaction(store.sessions) as second:
        first.execute(text("DELETE FROM job"))
        assert reconciling.reconcile(first, max_attempts=3, everything=True) == 1
        assert reconciling.reconcile(second, max_attempts=3, everything=True) == 0


def test_lost_predictions_are_made_again_from_stored_vectors(store: TestStore, extractor: FakeExtractor) -> None:
    ids = stored_images(store, [scan(seed) for seed in range(4)])
    with extracting(store, extractor):
        done(store, ids)
    before = store.scalar("SELECT count(*) FROM prediction")
    assert before == 4 * int(str(store.scalar("SELECT count(*) FROM head WHERE stage = 'live'")))
    with transaction(store.sessions) as session:
        session.execute(text("DELETE FROM prediction WHERE image_id = :id"), {"id": ids[0]})
    with training(store):
        eventually(lambda: store.scalar("SELECT count(*) FROM prediction") == before, what="every prediction")
    assert embeddings(store) == 4


# A head that cannot judge


@pytest.fixture
def broken_head(store: TestStore) -> UUID:
    """A live head whose artifact is damaged."""
    with transaction(store.sessions) as session:
        head_id = session.scalar(text("SELECT id FROM head WHERE stage = 'live' AND task = 'empty-container'"))
        session.execute(text("UPDATE head SET artifact = 'damaged' WHERE id = :id"), {"id": head_id})
    assert isinstance(head_id, UUID)
    return head_id


def test_a_head_that_cannot_judge_stops_neither_extraction_nor_the_other_heads(
    store: TestStore, extractor: FakeExtractor, broken_head: UUID
) -> None:
    ids = stored_images(store, [scan(seed) for seed in range(10)])
    with extracting(store, extractor):
        assert set(done(store, ids).values()) == {"ready"}
    assert embeddings(store) == 10
    assert store.scalar("SELECT count(*) FROM prediction WHERE head_id = :id", id=broken_head) == 0
    assert store.scalar("SELECT count(*) FROM prediction") == 10


def test_the_failed_rescoring_of_a_broken_head_says_why(
    store: TestStore, extractor: FakeExtractor, broken_head: UUID
) -> None:
    ids = stored_images(store, [scan(0)])
    with extracting(store, extractor):
        done(store, ids)
    with training(store):
        eventually(lambda: store.scalar("SELECT count(*) FROM job WHERE kind = 'rescore' AND state = 'failed'") == 1)
    assert store.scalar("SELECT error ->> 'code' FROM job WHERE kind = 'rescore'") == "head-refused"
    with transaction(store.sessions) as session:
        assert registry.get(session, broken_head).stage == "live"


# Liveness


def test_a_worker_is_seen_while_it_works_and_gone_afterwards(store: TestStore, extractor: FakeExtractor) -> None:
    with extracting(store, extractor) as base:
        row = "SELECT kind || ' ' || engine || ' ' || pid FROM worker WHERE id = :id"
        assert str(store.scalar(row, id=base.worker_id)).startswith("extract fake/fp32 ")
        first = store.scalar("SELECT seen_at FROM worker")
        eventually(lambda: store.scalar("SELECT seen_at FROM worker") != first, what="a heartbeat")
    assert store.scalar("SELECT count(*) FROM worker") == 0


def test_ready_means_that_a_worker_was_heard_of_lately(store: TestStore, extractor: FakeExtractor) -> None:
    with calling(store) as client:
        assert readiness(client) == (503, "no extraction worker has reported lately")
        with extracting(store, extractor):
            assert readiness(client) == (200, "ok")
        assert readiness(client)[0] == 503
        with transaction(store.sessions) as session:
            session.add(Worker(id=uuid7(), kind="extract", host="h", pid=1))
        assert readiness(client)[0] == 200
        with transaction(store.sessions) as session:
            session.execute(text("UPDATE worker SET seen_at = now() - interval '1 minute'"))
        assert readiness(client)[0] == 503


def readiness(client: TestClient) -> tuple[int, str]:
    answer = client.get("/readyz")
    assert answer.json()["ready"] == (answer.status_code == 200)
    assert answer.json()["checks"]["search"] == "ok"
    return answer.status_code, answer.json()["checks"]["workers"]


def test_a_training_worker_alone_does_not_make_it_ready(store: TestStore) -> None:
    with training(store), calling(store) as client:
        assert client.get("/readyz").status_code == 503


# A restart of the database


@contextmanager
def own_server(folder: Path, store: TestStore, spec: FeatureSetSpec) -> Iterator[TestStore]:
    """A store on a server of its own, which may be stopped and killed."""
    server = embedded.ensure_running(folder)
    engine = make_engine(server.url())
    schema.migrate(engine)
    with transaction(make_sessions(engine)) as session:
        schema.seed(session, spec)
    settings = store.settings.model_copy(update={"database_url": SecretStr(server.url()), "batch_size": 4})
    yield TestStore(settings, engine, make_sessions(engine), BlobStore(settings.blobs))
    engine.dispose()
    embedded.stop(folder, mode="immediate")


def test_a_worker_waits_out_a_restart_of_the_database(store: TestStore, spec: FeatureSetSpec, tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    with own_server(folder, store, spec) as own:
        ids = stored_images(own, [scan(seed) for seed in range(60)])
        with extracting(own, FakeExtractor(spec, lambda _: time.sleep(0.05))):
            for _ in range(2):
                before = embeddings(own)
                eventually(lambda b=before: embeddings(own) > b, what="some progress")  # type: ignore[misc]
                embedded.stop(folder, mode="immediate")
                time.sleep(0.5)
                embedded.ensure_running(folder)
            assert set(done(own, ids).values()) == {"ready"}
            assert embeddings(own) == 60
            assert int(str(own.scalar("SELECT count(DISTINCT region_id) FROM embedding"))) == 60
            eventually(lambda: own.scalar("SELECT now() - seen_at < interval '2 seconds' FROM worker"))
        assert job_states(own) == {"succeeded": 60}


# Real processes


def start_worker(store: TestStore, log: Path, kind: str = "extract", **more: str):
    return running(["-m", "workers", kind], store.settings, log, **more)


def test_sigterm_finishes_what_was_claimed_and_exits_cleanly(
    store: TestStore, graphs: Path, tmp_path: Path, sample: Sample
) -> None:
    with_graphs(store.settings, graphs)
    first = stored_images(store, [sample(0)])
    with start_worker(store, tmp_path / "log") as process:
        done(store, first)
        assert store.scalar("SELECT engine FROM worker") == store.scalar("SELECT engine FROM embedding")
        stored_images(store, [scan(seed) for seed in range(200)])
        eventually(lambda: embeddings(store) > 8, what="some progress")
        process.terminate()
        assert process.wait(timeout=PATIENCE) == 0, (tmp_path / "log").read_text()
    states = job_states(store)
    assert set(states) <= {"succeeded", "queued"}
    assert states.get("succeeded") == embeddings(store)
    assert store.scalar("SELECT count(*) FROM worker") == 0
    assert store.scalar("SELECT max(attempts) FROM job WHERE state = 'queued'") in (0, None)
    assert "Traceback" not in (tmp_path / "log").read_text()


def wrong_weights(tmp_path: Path) -> str:
    import app.features.weights as bundled

    arrays = dict(np.load(Path(bundled.__file__).parent / bundled.CURRENT.file))
    name = next(iter(arrays))
    arrays[name] = arrays[name] * np.float16(1.5)
    np.savez(tmp_path / "wrong.npz", **arrays)
    return str(tmp_path / "wrong.npz")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"weights": "WRONG"}, "are not those of densenet121-xray"),
        ({"weights": "/nowhere/weights.npz"}, "/nowhere/weights.npz"),
        ({"engine": "abacus"}, "abacus"),
        ({"feature_set": "unheard-of"}, "unheard-of"),
        ({"lease_seconds": "soon"}, "PENUMBRA_LEASE_SECONDS"),
        ({"database_url": ""}, "PENUMBRA_DATABASE_URL"),
        ({"database_url": "my database"}, "PENUMBRA_DATABASE_URL"),
    ],
)
def test_a_worker_that_is_set_up_wrongly_says_so_exits_with_2_and_touches_nothing(
    store: TestStore, tmp_path: Path, wrong: dict[str, str], says: str
) -> None:
    stored_images(store, [scan(0)])
    settings = {name: wrong_weights(tmp_path) if value == "WRONG" else value for name, value in wrong.items()}
    with start_worker(store, tmp_path / "log", **settings) as process:
        assert process.wait(timeout=PATIENCE) == 2
    log = (tmp_path / "log").read_text()
    assert says in log.splitlines()[-1]
    assert "Traceback" not in log
    assert job_states(store) == {"queued": 1}
    assert store.scalar("SELECT count(*) FROM worker") == 0


def test_a_worker_told_to_stop_before_the_database_answers_just_stops(store: TestStore, tmp_path: Path) -> None:
    nobody = "postgresql://nobody@127.0.0.1:9/none"
    with start_worker(store, tmp_path / "log", "train", database_url=nobody) as process:
        eventually(lambda: "does not answer" in (tmp_path / "log").read_text(), what="a complaint")
        process.terminate()
        assert process.wait(timeout=PATIENCE) == 0
    assert "Traceback" not in (tmp_path / "log").read_text()
    assert "refused" in (tmp_path / "log").read_text()


# Where the poison kills: its bright frame is easily recognised in either place.
KILLER = """
import os, sys
import workers.decoding as decoding
from app.config import load_settings
from app.features.weights import resolve
from tests.conftest import FakeExtractor, serving_worker
from workers.runner import beating, open_base

where, whole = sys.argv[1], decoding.prepare_scan
def poisonous(pixels): return pixels.mean() > 0.95
def die(pixels):
    if poisonous(pixels): os._exit(9)
    return pixels
def decode(*arguments, **more):
    found = whole(*arguments, **more)
    for region in found: die(region.pixels)
    return found
if where == "decode":
    decoding.prepare_scan = decode
base = open_base(load_settings())
extractor = FakeExtractor(resolve("densenet121-xray", None).spec, lambda batch: [die(p) for p in batch])
worker = serving_worker(base, extractor)
with beating(base, "extract", report=worker.report):
    worker.run()
"""


@pytest.mark.parametrize("where", ["decode", "extract"])
def test_an_image_that_kills_the_process_is_parked_and_all_others_become_ready(
    store: TestStore, tmp_path: Path, where: str
) -> None:
    white = Pixels.new("L", (64, 64), 255)
    white.save(tmp_path / "white.png")
    contents = [scan(seed) for seed in range(40)]
    poisonous = {5, 17}
    white.putpixel((0, 0), 254)
    white.save(tmp_path / "whiter.png")
    contents[5] = (tmp_path / "white.png").read_bytes()
    contents[17] = (tmp_path / "whiter.png").read_bytes()
    ids = stored_images(store, contents)
    deaths = 0
    while not finished(store, ids):
        assert deaths < 12
        with running(["-c", KILLER, where], store.settings, tmp_path / "log", lease_seconds="0.5") as process:
            eventually(lambda p=process: p.poll() is not None or finished(store, ids))  # type: ignore[misc]
            deaths += process.poll() == 9
            assert process.poll() in (None, 9), (tmp_path / "log").read_text()
    states = {image: state_of(store, image)[0] for image in ids}
    assert {i for i, image in enumerate(ids) if states[image] == "failed"} == poisonous
    assert embeddings(store) == 38
    error = state_of(store, ids[5])[1]
    assert error is not None
    assert error["code"] == "worker-died"
    assert store.scalar("SELECT max(losses) FROM job WHERE state = 'succeeded'") in (0, 1, 2)
    print(f"{where}: {deaths} deaths")
