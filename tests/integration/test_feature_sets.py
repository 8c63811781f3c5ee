"""Adding and listing feature sets: known ones, weights from a file, untrained ones, the same again, another one."""

import json
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from typer.testing import CliRunner

from app.cli import app
from app.db import transaction
from app.errors import AppError, Conflict, InvalidInput, NotFound
from app.features.weights import CURRENT, KNOWN, read_arrays, write_arrays
from app.features.weights.resolution import BUNDLE
from app.models import FeatureStage
from app.services import feature_set_adding, feature_set_use, feature_sets
from app.services.feature_set_adding import Wanted
from tests.conftest import TestStore
from tests.integration.calls import is_problem
from tests.integration.rows import add_numbered
from tests.integration.second import SECOND, registered

FIRST = "densenet121-xray"
BUNDLED = BUNDLE / CURRENT.file


def add(store: TestStore, name: str, **given: Any) -> tuple[Any, bool]:
    wanted = Wanted(name, **given)
    with transaction(store.sessions) as session:
        base = feature_set_adding.base_of(session, wanted)
    spec, origin = feature_set_adding.prepare(wanted, store.settings, base=base)
    with transaction(store.sessions) as session:
        return feature_set_adding.add(session, spec, origin, author="test")


def changed(folder: Path) -> Path:
    """The bundled weights with one array changed: weights of their own."""
    arrays = read_arrays(BUNDLED)
    return folder / f"{write_arrays({**arrays, 'bn/beta': arrays['bn/beta'] + 1}, folder)}.npz"


def test_a_known_set_needs_no_more_than_its_name(store: TestStore) -> None:
    known = next(one for one in KNOWN.values() if one.bundled and one.name != FIRST)
    added, new = add(store, known.name)
    assert (new, added.stage, added.profile) == (True, FeatureStage.FILLING, known.preprocessing.profile)
    assert add(store, known.name)[1] is False
    assert store.scalar("SELECT to_regclass(:name)", name=f"embedding_fs{added.id}") is not None
    assert store.scalar("SELECT count(*) FROM audit_event WHERE action = 'feature_set.register' AND object_id = :name",
                        name=known.name) == 1  # fmt: skip


def test_weights_from_a_file_are_put_where_workers_find_them(store: TestStore, tmp_path: Path) -> None:
    weights = changed(tmp_path)
    added, new = add(store, "ours", weights=str(weights), profile="chest")
    assert (new, added.profile, added.spec["backbone"]) == (True, "chest", "densenet121")
    assert (store.settings.weights_dir / weights.name).is_file()
    assert added.origin == {"weights": weights.name}
    assert add(store, "ours", weights=str(weights), profile="chest")[1] is False
    # Installed once, they may be named by their digest.
    assert add(store, "ours-plain", weights=weights.stem)[0].digest != added.digest


def test_another_digest_under_a_name_that_is_taken_is_refused(store: TestStore, tmp_path: Path) -> None:
    weights = changed(tmp_path)
    add(store, "ours", weights=str(weights))
    with pytest.raises(Conflict, match="is registered with digest"):
        add(store, "ours", weights=str(weights), profile="chest")
    with pytest.raises(Conflict, match="ours has these weights"):
        add(store, "theirs", weights=str(weights))
    with pytest.raises(InvalidInput, match="are not those of densenet121-imagenet"):
        add(store, "densenet121-imagenet", weights=str(weights))


@pytest.mark.parametrize(
    ("name", "given", "says"),
    [
        ("No Name", {}, "is no name"),
        ("unheard-of", {}, "none of the known feature sets"),
        ("densenet121-imagenet", {}, "do not come with Penumbra"),
        ("densenet121-imagenet", {"backbone": "resnet50"}, "is known"),
        (FIRST, {"profile": "chest"}, "is known"),
        ("ours", {"weights": "/nowhere.npz"}, "do not exist"),
        ("ours", {"weights": "random:x"}, "names no seed"),
        ("ours", {"weights": "0" * 64}, "are installed"),
        ("ours", {"weights": "random:1", "backbone": "vgg"}, "There is no backbone"),
        ("ours", {"int8_of": FIRST, "weights": "random:1"}, "leave them out"),
    ],
)
def test_what_cannot_be_added_is_refused_with_the_remedy(
    store: TestStore, name: str, given: dict[str, Any], says: str
) -> None:
    with pytest.raises(InvalidInput, match=says):
        add(store, name, **given)
    with transaction(store.sessions) as session:
        assert [one.name for one in feature_sets.every(session)] == [FIRST]


def test_a_set_in_eight_bits_needs_the_one_that_it_is_made_from(store: TestStore) -> None:
    with pytest.raises(NotFound, match="no feature set nothing"):
        add(store, "ours", int8_of="nothing")


def test_sets_are_listed_with_coverage_and_use(client: TestClient, store: TestStore) -> None:
    registered(store)
    add_numbered(store.sessions, 3)
    first, second = client.get("/v1/feature-sets").json()
    assert (first["name"], first["stage"], first["backbone"]) == (FIRST, "live", "densenet121")
    assert {"empty-container", "pneumonia"} <= set(first["tasks"])
    assert set(first["live_heads"].values()) <= {1}
    assert second["coverage"] == {"applicable": 3, "done": 0, "failed": 0, "pending": 3}
    assert (second["tasks"], second["live_heads"], second["waiting"]) == ([], {}, 0)
    assert client.get(f"/v1/feature-sets/{SECOND.name}").json() == second
    is_problem(client.get("/v1/feature-sets/nothing"), 404)


def test_a_set_is_added_and_filled_by_api(client: TestClient, store: TestStore, tmp_path: Path) -> None:
    weights = changed(tmp_path)
    is_problem(client.post("/v1/feature-sets", json={"name": "ours", "weights": str(weights)}), 422)
    digest = write_arrays(read_arrays(weights), store.settings.weights_dir)
    body = {"name": "ours", "weights": digest, "profile": "chest"}
    assert client.post("/v1/feature-sets", json=body).status_code == 201
    assert client.post("/v1/feature-sets", json=body).status_code == 200
    url = "/v1/feature-sets/ours"
    begun = client.post(f"{url}/backfill", json={"rate": 5})
    assert (begun.status_code, begun.json()["rate"], begun.json()["stage"]) == (202, 5, "filling")
    assert client.post(f"{url}/pause").json()["paused"] is True
    assert client.post(f"{url}/resume").json()["paused"] is False
    assert client.put(f"{url}/rate", json={"rate": None}).json()["rate"] is None
    is_problem(client.put(f"{url}/rate", json={"rate": 0}), 422)
    assert client.post(f"{url}/retry").json() == {"queued": 0}
    assert client.post(f"{url}/retire").json()["stage"] == "retired"
    is_problem(client.post(f"{url}/pause"), 409)
    is_problem(client.post(f"/v1/feature-sets/{FIRST}/retire"), 409)
    actions = {event["action"] for event in client.get("/v1/audit").json()["items"]}
    named = {"register", "backfill", "pause", "resume", "rate", "retire"}
    assert {f"feature_set.{one}" for one in named} <= actions


def test_the_speed_of_a_set_is_that_of_its_backfill_without_the_pauses(store: TestStore) -> None:
    second = registered(store)
    insert = text(
        """
        INSERT INTO job (id, kind, state, image_id, feature_set_id, priority, finished_at)
        SELECT gen_random_uuid(), 'extract', 'succeeded', image.id, :fs, :priority,
            now() - interval '1 hour' + interval '1 s' * (n / :each + CASE WHEN n > 50 THEN 600 ELSE 0 END)
        FROM (SELECT id, row_number() OVER (ORDER BY id) - 1 AS n FROM image) image
        """
    )
    add_numbered(store.sessions, 100)
    with transaction(store.sessions) as session:
        session.execute(insert, {"fs": second.id, "priority": 0, "each": 1})
        assert feature_set_use.speed(session, second) is None
        session.execute(insert, {"fs": second.id, "priority": 10, "each": 20.0})
        assert feature_set_use.speed(session, second) == pytest.approx(20, rel=0.05)


# The command line


@pytest.fixture
def terminal(store: TestStore, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("PENUMBRA_DATABASE_URL", store.url)
    monkeypatch.setenv("PENUMBRA_DATA_DIR", str(store.settings.data_dir))
    return lambda *words: CliRunner().invoke(app, ["features", *words])


def test_the_life_of_a_set_on_the_command_line(terminal: Any, store: TestStore, tmp_path: Path) -> None:
    weights = str(changed(tmp_path))
    add_numbered(store.sessions, 2)

    def said(*words: str) -> Any:
        ended = terminal(*words, "--json")
        assert ended.exit_code == 0, ended.output
        return json.loads(ended.stdout)

    assert said("add", "ours", "--weights", weights)["new"] is True
    assert "is here already" in terminal("add", "ours", "--weights", weights).stdout
    assert [row["name"] for row in said("list")] == [FIRST, "ours"]
    assert "0 of 2" in terminal("list").stdout
    assert said("show", "ours")["origin"]["weights"].endswith(".npz")
    assert "densenet121" in terminal("show", "ours").stdout
    assert said("backfill", "ours", "--rate", "20/s")["rate"] == 20
    assert "at most 20 images/s" in terminal("backfill", "ours").stdout
    assert said("rate", "ours", "none")["rate"] is None
    assert said("pause", "ours")["paused"] is True
    assert isinstance(terminal("backfill", "ours", "--rate", "fast").exception, InvalidInput)
    assert said("resume", "ours")["pending"] == 2
    assert said("retire", "ours")["stage"] == "retired"
    refused = terminal("drop", "ours").exception
    assert isinstance(refused, InvalidInput)
    assert "Say --yes" in str(refused)
    gone = terminal("drop", "ours", "--yes")
    assert "MiB of disk freed" in gone.stdout
    assert isinstance(terminal("show", "ours").exception, NotFound)


def test_watching_a_backfill_that_nobody_does_says_what_to_start(
    terminal: Any, store: TestStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENUMBRA_HEARTBEAT_SECONDS", "0.1")
    registered(store)
    add_numbered(store.sessions, 1)
    watched = terminal("backfill", SECOND.name, "--wait").exception
    assert isinstance(watched, AppError)
    assert "no extraction worker runs" in watched.message
    with transaction(store.sessions) as session:
        feature_sets.named(session, SECOND.name).paused = True
    assert "pending" in terminal("pause", SECOND.name).stdout
