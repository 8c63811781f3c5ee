"""Real Postgres for every test that asks for one: one embedded server a session, one database a test."""

import hashlib
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray
from pydantic import SecretStr
from sqlalchemy import Engine, make_url, text

from app import embedded, features
from app.blobs import BlobStore
from app.config import Settings
from app.db import JOBS_CHANNEL, Sessions, make_engine, make_sessions, notify, transaction
from app.errors import ConfigurationError
from app.features.spec import Features, FeatureSetSpec, InputBatch
from app.features.weights import resolve
from app.main import create_app
from app.models import FeatureSet, Role
from app.services import feature_sets, keys, schema
from tests.waiting import PATIENCE
from workers.pipeline import ExtractionWorker
from workers.roster import Roster
from workers.runner import Base, Stop, beating

CORPUS = Path(__file__).resolve().parents[1] / "../shared/corpus"
_numbers = itertools.count()


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The real scans; a test that needs them skips where they are absent."""
    if not CORPUS.is_dir():
        pytest.skip("the real scans of ../shared/corpus are not on this machine")
    return CORPUS


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[embedded.EmbeddedServer]:
    folder = tmp_path_factory.mktemp("server") / "postgres"
    yield embedded.ensure_running(folder)
    embedded.stop(folder, mode="immediate")


@pytest.fixture(scope="session")
def spec() -> FeatureSetSpec:
    return resolve("densenet121-xray", None).spec


@pytest.fixture(scope="session")
def graphs(request: pytest.FixtureRequest) -> Path:
    """A folder for converted graphs, kept between sessions, new whenever what makes them changes."""
    root = Path(features.__file__).parent
    makers = sorted(
        [*root.glob("backbone*.py"), root / "convert.py", *root.glob("golden/*.py"), *root.glob("engines/cache.py")]
    )
    digest = hashlib.sha256(b"".join(maker.read_bytes() for maker in makers)).hexdigest()[:12]
    return Path(request.config.cache.mkdir(f"graphs-{digest}"))


@pytest.fixture(scope="session")
def template(server: embedded.EmbeddedServer, spec: FeatureSetSpec) -> str:
    """A migrated, seeded database that each test's own is copied from."""
    name = "template_penumbra"
    administer(server, f"CREATE DATABASE {name}")
    engine = make_engine(server.url(name))
    schema.migrate(engine)
    with transaction(make_sessions(engine)) as session:
        schema.seed(session, spec)
    engine.dispose()
    return name


def administer(server: embedded.EmbeddedServer, statement: str) -> None:
    engine = make_engine(server.url("postgres"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(statement))
    engine.dispose()


@dataclass(frozen=True)
class TestStore:
    """A store of a test's own."""

    __test__ = False

    settings: Settings
    engine: Engine
    sessions: Sessions
    blobs: BlobStore

    @property
    def url(self) -> str:
        assert self.settings.database_url is not None
        return self.settings.database_url.get_secret_value()

    def feature_set(self) -> FeatureSet:
        with transaction(self.sessions) as session:
            return feature_sets.chosen(session, None, self.settings.feature_set)

    def key(self, role: Role = Role.ADMIN, name: str | None = None) -> str:
        with transaction(self.sessions) as session:
            return keys.create(session, name or f"test-{role}", role, author="test")[1]

    def scalar(self, statement: str, **values: object) -> object:
        with transaction(self.sessions) as session:
            return session.scalar(text(statement), values)


@contextmanager
def new_store(server: embedded.EmbeddedServer, template: str, folder: Path, **changes: object) -> Iterator[TestStore]:
    """A store on a database and a folder of its own, until the block ends; `changes` are settings."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    administer(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    settings = Settings(
        data_dir=folder / "data",
        database_url=SecretStr(server.url(name)),
        feature_set="densenet121-xray",
        retry_delay_seconds=0.05,
        reconcile_seconds=0.5,
        heartbeat_seconds=0.5,
        lease_seconds=5,
        batch_size=8,
    ).model_copy(update=changes)
    engine = make_engine(make_url(server.url(name)))
    yield TestStore(settings, engine, make_sessions(engine), BlobStore(settings.blobs))
    engine.dispose()
    administer(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def store(server: embedded.EmbeddedServer, template: str, tmp_path: Path) -> Iterator[TestStore]:
    with new_store(server, template, tmp_path) as store:
        yield store


@contextmanager
def calling(store: TestStore, **changes: object) -> Iterator[TestClient]:
    """The API on `store`, called as an administrator; `changes` are settings."""
    settings = store.settings.model_copy(update=changes)
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        client.headers["Authorization"] = f"Bearer {store.key()}"
        yield client


@pytest.fixture
def client(store: TestStore) -> Iterator[TestClient]:
    """The API on the test's own store, called as an administrator."""
    with calling(store) as client:
        yield client


@contextmanager
def serving(store: TestStore) -> Iterator[str]:
    """A real HTTP server on `store` in a thread, until the block ends; its address."""
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(create_app(store.settings), port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, name="http")
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.01)
    host, port = server.servers[0].sockets[0].getsockname()
    try:
        yield f"http://{host}:{port}"
    finally:  # a test that failed within must not leave a thread that keeps the process alive
        server.should_exit = True
        thread.join(timeout=PATIENCE)
    assert not thread.is_alive()


class FakeExtractor:
    """Fast, deterministic features of the right shape, where the network is not the point.

    `avg` is a rectified random projection of the coarsened scan, so that alike scans are near; the 7 x 7 map shares
    it out by what each place shows, and `max` is the map's maximum. `before` may raise or block.
    """

    engine = "fake/fp32"

    def __init__(self, spec: FeatureSetSpec, before: Callable[[InputBatch], None] = lambda _: None) -> None:
        self.spec = spec
        self._before = before
        rng = np.random.default_rng(0)
        self._avg = rng.normal(size=(196, spec.avg_dim)).astype(np.float32)
        self._place = rng.normal(size=(4, spec.max_dim)).astype(np.float32)

    def extract(self, batch: InputBatch) -> Features:
        self._before(batch)
        avg, shares = self._pooled(batch)
        return Features(avg, avg * 49 * shares.max(axis=(1, 2)))

    def feature_map(self, batch: InputBatch) -> NDArray[np.float32]:
        avg, shares = self._pooled(batch)
        return np.asarray(avg[:, None, None] * 49 * shares, np.float32)

    def _pooled(self, batch: InputBatch) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """`avg` (n, dim), and what part of it each place has: (n, 7, 7, dim), 1 in sum over places."""
        n, height, width = len(batch), batch.shape[1] // 14, batch.shape[2] // 14
        whole = batch[:, : 14 * height, : 14 * width].reshape(n, 14, height, 14, width)
        coarse = whole.mean((2, 4)).reshape(n, 196) - np.float32(0.5)
        places = coarse.reshape(n, 7, 2, 7, 2).transpose(0, 1, 3, 2, 4).reshape(n, 7, 7, 4)
        shares = np.maximum(places @ self._place, 0) + np.float32(0.1)
        shares /= shares.sum(axis=(1, 2), keepdims=True)
        return np.maximum(coarse @ self._avg, 0) + np.float32(1e-3), shares


@pytest.fixture
def extractor(spec: FeatureSetSpec) -> FakeExtractor:
    return FakeExtractor(spec)


@contextmanager
def machinery(store: TestStore) -> Iterator[Base]:
    """What a worker works with, without a loop that works."""
    from app.models.ids import uuid7

    engine = make_engine(store.url, pool_size=4)
    yield Base(store.settings, engine, make_sessions(engine), Stop(), uuid7())
    engine.dispose()


@contextmanager
def _running(base: Base, run: Callable[[], None]) -> Iterator[None]:
    thread = threading.Thread(target=run, name="worker")
    thread.start()
    try:
        yield
    finally:
        base.stop.ask()
        with transaction(base.sessions) as session:
            notify(session, JOBS_CHANNEL)  # it would look up from its wait a second later otherwise
        thread.join(timeout=PATIENCE)
    assert not thread.is_alive()


def serving_worker(base: Base, *extractors: FakeExtractor, batch: int = 8) -> ExtractionWorker:
    """An extraction worker that has these extractors, and misses the weights of every other feature set."""

    def build(stored: FeatureSet) -> tuple[FakeExtractor, int]:
        for extractor in extractors:
            if extractor.spec.digest == stored.digest:
                return extractor, batch
        raise ConfigurationError(f"The weights of {stored.name} are not here.")

    builder = ThreadPoolExecutor(1, "build")
    roster = Roster(build, builder)
    with transaction(base.sessions) as session:
        wanted = roster.wanted(session)
    roster.open(wanted)
    return ExtractionWorker(base, roster, BlobStore(base.settings.blobs))


@contextmanager
def extracting(store: TestStore, *extractors: FakeExtractor) -> Iterator[Base]:
    """An extraction worker in a thread, with its beat and its reconciler, until the block ends."""
    with machinery(store) as base:
        worker = serving_worker(base, *extractors, batch=store.settings.batch_size or 8)
        with beating(base, "extract", report=worker.report), _running(base, worker.run):
            yield base


@contextmanager
def training(store: TestStore) -> Iterator[Base]:
    """A training worker in a thread, with its beat and its reconciler, until the block ends."""
    from workers.train import TrainingWorker

    with machinery(store) as base, beating(base, "train"), _running(base, TrainingWorker(base).run):
        yield base


@pytest.fixture
def worker(store: TestStore, extractor: FakeExtractor) -> Iterator[Base]:
    """A running extraction worker with the fake extractor."""
    with extracting(store, extractor) as base:
        yield base


@pytest.fixture
def trainer(store: TestStore) -> Iterator[Base]:
    """A running training worker."""
    with training(store) as base:
        yield base


@pytest.fixture(scope="session")
def sample() -> Callable[..., bytes]:
    """Bytes of a small simulated container scan; `loaded` and `seed` choose which."""
    from app.simulator import encode_jpeg, simulate

    def make(seed: int = 0, loaded: bool = True) -> bytes:
        return encode_jpeg(simulate(np.random.default_rng(seed), loaded=loaded, scanner="port"))

    return make
