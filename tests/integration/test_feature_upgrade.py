"""A newer network is bundled: stores go on with the former one until somebody upgrades them, task by task."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from app.cli import app
from app.db import transaction
from app.errors import Conflict, HeadRefused, NotFound
from app.features.spec import FeatureSetSpec
from app.features.weights import KNOWN, versions
from app.main import create_app
from app.models import FeatureSet, FeatureStage, Stage
from app.services import feature_set_removal, feature_sets, registry, schema, starters, switching, tasks, upgrading
from app.services.upgrading import Upgrade
from tests.conftest import FakeExtractor, TestStore, calling, extracting, training
from tests.integration.calls import scan, stored
from tests.integration.outdated import FORMER, PRESENT, outdate, superseded
from tests.integration.second import coverage, registered
from tests.integration.teaching import fill, promote, train
from workers.roster import Roster

SHIPPED = ("empty-container", "pneumonia")
BY_SCRIPT = {"Sec-Fetch-Dest": "empty", "Sec-Fetch-Site": "same-origin"}
Terminal = Callable[..., Any]


@pytest.fixture
def former(store: TestStore, monkeypatch: pytest.MonkeyPatch) -> FeatureSetSpec:
    """The test's store describes its scans by an earlier network, whose starters are live."""
    superseded(monkeypatch)
    return outdate(store)


@pytest.fixture
def terminal(store: TestStore, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("PENUMBRA_DATABASE_URL", store.url)
    monkeypatch.setenv("PENUMBRA_DATA_DIR", str(store.settings.data_dir))
    return lambda *words: CliRunner().invoke(app, list(words))


@pytest.fixture
def house(store: TestStore, former: FeatureSetSpec) -> Iterator[TestClient]:
    """The API and both workers, of which one can extract with either network."""
    with (
        calling(store) as client,
        extracting(store, FakeExtractor(former), FakeExtractor(KNOWN[PRESENT].spec)),
        training(store),
    ):
        yield client


def upgraded(terminal: Terminal, *words: str, status: int = 0) -> dict[str, dict[str, Any]]:
    """What `features upgrade` says of each task."""
    ended = terminal("features", "upgrade", *words, "--json")
    assert ended.exit_code == status, ended.output + str(ended.exception)
    return {row["task"]: row for row in json.loads(ended.stdout)["tasks"]}


def live(store: TestStore, task: str) -> tuple[int, str, str]:
    """The live head's version and feature set, and the task's."""
    with transaction(store.sessions) as session:
        head = tasks.live_head(session, task)
        assert head is not None
        own = session.get_one(FeatureSet, tasks.named(session, task).feature_set_id)
        return head.version, session.get_one(FeatureSet, head.feature_set_id).name, own.name


# Before anybody upgrades


def test_a_store_of_an_earlier_network_goes_on_with_it(store: TestStore, house: TestClient) -> None:
    image = stored(house, scan(0), wait=60)[0]
    said = house.get(f"/v1/images/{image['id']}/predictions").json()
    assert {row["feature_set"] for row in said} == {FORMER}
    assert {row["task"] for row in said} == set(SHIPPED)


def test_the_settings_mean_the_network_that_the_store_has(store: TestStore, former: FeatureSetSpec) -> None:
    """Or a start would register the new one as live, and the whole archive would wait for it."""
    assert store.settings.feature_set == PRESENT
    with transaction(store.sessions) as session:
        schema.seed(session, KNOWN[PRESENT].spec)
        assert [one.name for one in feature_sets.every(session)] == [FORMER]
        assert feature_sets.chosen(session, None, PRESENT).name == FORMER
    registered(store, KNOWN[PRESENT].spec)
    with transaction(store.sessions) as session:
        assert feature_sets.ensure_configured(session, KNOWN[PRESENT].spec, author="test").name == FORMER
        feature_sets.named(session, PRESENT).stage = FeatureStage.LIVE
        session.flush()
        assert feature_sets.chosen(session, None, PRESENT).name == PRESENT


def test_a_request_that_names_the_set_is_answered_by_the_former_one_until_the_new_one_is_here(
    store: TestStore, former: FeatureSetSpec
) -> None:
    with transaction(store.sessions) as session:
        assert feature_sets.chosen(session, PRESENT, None).name == FORMER
        with pytest.raises(NotFound):  # what changes a set has to name it exactly
            feature_sets.named(session, PRESENT)
    registered(store, KNOWN[PRESENT].spec)
    with transaction(store.sessions) as session:
        assert feature_sets.chosen(session, PRESENT, None).name == PRESENT
        assert feature_sets.chosen(session, FORMER, None).name == FORMER


def test_a_worker_that_is_told_one_set_serves_every_version_of_it(store: TestStore, former: FeatureSetSpec) -> None:
    registered(store)
    registered(store, KNOWN[PRESENT].spec)
    with ThreadPoolExecutor(1) as builder, transaction(store.sessions) as session:
        roster = Roster(lambda _: (FakeExtractor(former), 8), builder, only=versions(PRESENT))
        assert [one.name for one in roster.wanted(session)] == [FORMER, PRESENT]


def test_that_there_is_a_newer_network_is_said_where_operators_look(
    store: TestStore, former: FeatureSetSpec, terminal: Terminal
) -> None:
    with calling(store) as client:
        assert client.get(f"/v1/feature-sets/{FORMER}").json()["superseded_by"] == PRESENT
    listed = terminal("features", "list").stdout
    assert f"{PRESENT} in place of {FORMER}" in listed
    assert "penumbra features upgrade" in listed
    checked = json.loads(terminal("doctor", "--json").stdout)
    assert "penumbra features upgrade" in checked["networks"]
    assert "penumbra features upgrade" in terminal("migrate").stderr


def test_the_desk_says_so_beside_the_set(store: TestStore, former: FeatureSetSpec) -> None:
    with TestClient(create_app(store.settings)) as desk:
        assert desk.post("/sign-in", data={"key": store.key()}, headers=BY_SCRIPT).is_success
        assert f"A newer network took its place: {PRESENT}" in desk.get("/operations/feature-sets").text


def test_a_store_of_the_present_network_has_nothing_to_upgrade(store: TestStore, terminal: Terminal) -> None:
    assert upgraded(terminal) == {}
    assert "Nothing to upgrade" in terminal("features", "upgrade").stdout
    assert json.loads(terminal("doctor", "--json").stdout)["networks"] == "ok"
    assert "in place of" not in terminal("features", "list").stdout


# Upgrading


def test_one_command_adds_fills_and_goes_live_with_the_new_starters(
    store: TestStore, house: TestClient, terminal: Terminal
) -> None:
    images = stored(house, *(scan(seed) for seed in range(6)), wait=60)
    told = upgraded(terminal, "--wait")
    assert {task: row["state"] for task, row in told.items()} == dict.fromkeys(SHIPPED, "ready")
    assert live(store, SHIPPED[0]) == (1, FORMER, FORMER)  # nobody has agreed yet
    told = upgraded(terminal, "--wait", "--yes")
    assert {(row["state"], row["version"]) for row in told.values()} == {("switched", 2)}
    for task in SHIPPED:
        assert live(store, task) == (2, PRESENT, PRESENT)
    assert coverage(store, PRESENT).done == 6
    assert upgraded(terminal, "--wait", "--yes") == {}
    versions_of = "SELECT count(*) FROM prediction p JOIN head ON head.id = p.head_id WHERE head.version = :version"
    assert store.scalar(versions_of, version=1) == 2 * len(images)  # what the former heads said is kept
    assert store.scalar("SELECT count(*) FROM head") == 4


def test_without_waiting_it_begins_and_says_how_to_go_on(
    store: TestStore, former: FeatureSetSpec, terminal: Terminal
) -> None:
    with calling(store) as client:
        stored(client, scan(0), scan(1))
        told = upgraded(terminal, "--rate", "5/s")
        assert {row["state"] for row in told.values()} == {"filling"}
        assert "2 images to go" in told[SHIPPED[0]]["says"]
        assert client.get(f"/v1/feature-sets/{PRESENT}").json()["rate"] == 5
        assert set(upgraded(terminal, SHIPPED[1])) == {SHIPPED[1]}
        assert "Workers fill the new sets" in terminal("features", "upgrade").stdout
        assert len(client.get("/v1/feature-sets").json()) == 2
    assert live(store, SHIPPED[0]) == (1, FORMER, FORMER)


def test_a_rollback_goes_back_to_the_former_network_and_an_upgrade_to_the_new_one(
    store: TestStore, house: TestClient, terminal: Terminal
) -> None:
    stored(house, scan(0), wait=60)
    upgraded(terminal, "--wait", "--yes")
    assert house.post("/v1/tasks/pneumonia/rollback").status_code == 200
    assert live(store, "pneumonia")[:2] == (1, FORMER)
    with transaction(store.sessions) as session:
        tasks.named(session, "pneumonia").feature_set_id = feature_sets.named(session, FORMER).id
    told = upgraded(terminal, "--wait", "--yes")
    assert told["pneumonia"]["version"] == 2  # the same head, not another copy of it
    assert live(store, "pneumonia") == (2, PRESENT, PRESENT)


def test_an_own_head_stays_live_until_its_owner_says_otherwise(
    store: TestStore, house: TestClient, terminal: Terminal
) -> None:
    fill(house)
    assert promote(house, train(house), override="few rows").status_code == 200
    told = upgraded(terminal, "bright", "--wait", "--yes")
    assert told["bright"]["state"] == "own head"
    assert f"penumbra features switch bright {PRESENT}" in told["bright"]["says"]
    assert live(store, "bright") == (1, FORMER, FORMER)
    assert store.scalar("SELECT count(*) FROM head WHERE task = 'bright'") == 1
    told = upgraded(terminal, "bright", "--wait", "--yes", "--own-heads", "--override", "few rows")
    assert (told["bright"]["state"], told["bright"]["version"]) == ("switched", 2)
    assert live(store, "bright") == (2, PRESENT, PRESENT)
    with transaction(store.sessions) as session:
        first, second = (registry.numbered(session, "bright", version) for version in (1, 2))
        assert first.recipe == second.recipe


def test_a_task_that_is_refused_leaves_the_others_to_go_on(
    store: TestStore, house: TestClient, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored(house, scan(0), wait=60)
    whole = switching.advance

    def refusing(session: Any, wish: switching.Wish, **more: Any) -> switching.Step:
        if wish.task == SHIPPED[0]:
            raise HeadRefused("It ranks loaded below empty.")
        return whole(session, wish, **more)

    monkeypatch.setattr(switching, "advance", refusing)
    told = upgraded(terminal, "--wait", "--yes", status=1)
    assert (told[SHIPPED[0]]["state"], told[SHIPPED[0]]["says"]) == ("refused", "It ranks loaded below empty.")
    assert told[SHIPPED[1]]["state"] == "switched"
    assert live(store, SHIPPED[0]) == (1, FORMER, FORMER)


def test_what_cannot_be_extracted_may_be_accepted_with_a_reason(
    store: TestStore, former: FeatureSetSpec, terminal: Terminal
) -> None:
    with calling(store) as client, extracting(store, FakeExtractor(former)), training(store):
        stored(client, scan(0), wait=60)
        assert {row["state"] for row in upgraded(terminal, "--yes").values()} == {"filling"}
        told = upgraded(terminal, "pneumonia", "--yes", "--allow-incomplete", "it follows by itself")
    assert told["pneumonia"]["state"] == "switched"
    assert live(store, "pneumonia") == (2, PRESENT, PRESENT)


def test_the_former_set_can_be_dropped_when_no_task_uses_it(
    store: TestStore, house: TestClient, terminal: Terminal
) -> None:
    stored(house, scan(0), wait=60)
    upgraded(terminal, "pneumonia", "--wait", "--yes")
    with transaction(store.sessions) as session, pytest.raises(Conflict, match="empty-container"):
        feature_set_removal.drop(session, FORMER, configured=PRESENT, author="test")
    upgraded(terminal, "--wait", "--yes")
    assert "retire it" in terminal("features", "list").stdout
    with transaction(store.sessions) as session:
        assert feature_set_removal.drop(session, FORMER, configured=PRESENT, author="test").heads == 2
        assert upgrading.notice(session) is None
    assert stored(house, scan(1), wait=60)


# What is to be done


def test_the_starter_of_a_set_is_registered_once_and_not_live(store: TestStore, former: FeatureSetSpec) -> None:
    new = registered(store, KNOWN[PRESENT].spec)
    with transaction(store.sessions) as session:
        task = tasks.named(session, "pneumonia")
        first, again = (starters.candidate(session, task, new) for _ in range(2))
        assert first is not None
        assert (first, first.version, first.stage, starters.is_starter(first)) == (again, 2, Stage.CANDIDATE, True)
        own = tasks.create(session, "own", "?", ["a", "b"], "a", author="test")
        assert starters.candidate(session, own, new) is None
        assert starters.candidate(session, task, feature_sets.named(session, FORMER)) is None


def test_only_tasks_on_a_superseded_set_are_to_be_upgraded(store: TestStore, former: FeatureSetSpec) -> None:
    with transaction(store.sessions) as session:
        tasks.create(session, "own", "?", ["a", "b"], "a", author="test")
        assert upgrading.pending(session) == [Upgrade(task, FORMER, PRESENT, own_head=False) for task in SHIPPED]
        assert upgrading.pending(session, "own") == []
        with pytest.raises(NotFound):
            upgrading.pending(session, "nothing")
