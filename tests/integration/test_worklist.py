"""The worklist: piles, their order, what is open, pages that hold while it changes."""

import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from app import embedded
from app.cli import app
from app.db import transaction
from app.models import Stage
from app.services import tasks, worklist, worklist_front
from app.services.worklist import WorklistFilter
from tests.integration.calls import is_problem
from tests.integration.desk_work import LIST, Desk, desk
from tests.integration.fabricated import TASK, Rule, register
from tests.integration.rows import explained


@pytest.fixture(scope="module")
def shared(server: embedded.EmbeddedServer, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk(server, template, tmp_path_factory.mktemp("worklist")) as shared:
        yield shared


@pytest.fixture
def bright(shared: Desk) -> Desk:
    shared.clear()
    return shared


def one_a_pile(bright: Desk) -> dict[str, UUID]:
    """An image of each pile, and two that agree."""
    ids = bright.images(
        ("light", 0.7, "dark"), ("dark", 0.2, "light"), ("light", 0.9), ("review", 0.4), ("cannot_judge", 0.99),
        ("dark", 0.3, "dark"), ("light", 0.8, "light"),
    )  # fmt: skip
    names = ("looks_positive", "looks_negative", "positive", "review", "cannot_judge", "agrees", "agrees too")
    return dict(zip(names, ids, strict=True))


def test_piles_come_in_their_order_and_what_agrees_is_left_out(bright: Desk) -> None:
    images = one_a_pile(bright)
    found = bright.page()["items"]
    assert [item["pile"] for item in found] == list(images)[:5]
    assert [UUID(item["image_id"]) for item in found] == list(images.values())[:5]


def test_by_findings_every_image_counts_and_a_declared_positive_one_by_what_is_not_there(bright: Desk) -> None:
    one_a_pile(bright)
    found = bright.page(order="findings")
    assert [(item["pile"], item["finding"]) for item in found["items"]] == [
        ("cannot_judge", 0.99), ("positive", 0.9), ("looks_negative", 0.8), ("looks_positive", 0.7), ("review", 0.4),
        ("agrees", 0.3), ("agrees", 0.2),
    ]  # fmt: skip
    assert found["expected_findings"] == pytest.approx(4.29)


def test_capacity_is_the_first_of_the_findings(bright: Desk) -> None:
    one_a_pile(bright)
    found = bright.page(order="findings", limit=2)
    assert [item["finding"] for item in found["items"]] == [0.99, 0.9]
    assert found["expected_findings"] == pytest.approx(1.89)


def test_an_item_says_what_its_reader_needs(bright: Desk) -> None:
    [image] = bright.images(("light", 0.75, "dark"), subject="MSKU 1", source="gate-1", file_name="a.png")
    [item] = bright.page()["items"]
    received = item.pop("received_at")
    assert received
    assert item == {
        "image_id": str(image), "task": TASK, "pile": "looks_positive", "finding": 0.75, "risk": 0.75,
        "decision": "light", "declared": "dark", "probabilities": {"dark": 0.25, "light": 0.75}, "reason": None,
        "head": {"id": str(bright.head), "version": 1}, "subject": "MSKU 1", "source": "gate-1", "file_name": "a.png",
        "width": 64, "height": 64, "frames": 1, "captured_at": None, "claim": None, "opinion": None,
    }  # fmt: skip


def test_of_several_regions_the_worst_decides_and_the_greatest_risk_counts(bright: Desk) -> None:
    first, second = bright.images(("dark", 0.1, "dark"), ("cannot_judge", 0.95, "dark"))
    bright.predict(first, bright.region(first, 1), "light", 0.8)
    bright.predict(second, bright.region(second, 1), "review", 0.4)
    found = {UUID(item["image_id"]): item for item in bright.page()["items"]}
    assert (found[first]["pile"], found[first]["decision"], found[first]["risk"]) == ("looks_positive", "light", 0.8)
    assert found[first]["probabilities"] == {"dark": 0.2, "light": 0.8}
    assert (found[second]["pile"], found[second]["risk"]) == ("cannot_judge", 0.95)


def test_an_image_with_a_region_in_the_window_and_a_worse_one_behind_it_waits_its_turn(
    bright: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two empty containers on a truck that is declared loaded: the likelier one says how sure a finding is."""
    monkeypatch.setattr(worklist_front, "WINDOW", 1)
    truck, second, third = bright.images(("dark", 0.0, "light"), ("dark", 0.2, "light"), ("dark", 0.3, "light"))
    bright.predict(truck, bright.region(truck, 1), "dark", 0.9)
    assert bright.claim() == [second]  # of one, so that the window would do
    assert bright.seen() == [second, third, truck]


def test_the_latest_declaration_and_the_live_head_alone_count(bright: Desk) -> None:
    [image] = bright.images(("light", 0.7, "dark"))
    other = register(bright.store, Rule(0.5), stage=Stage.ARCHIVED)
    bright.predict(image, int(str(bright.store.scalar("SELECT min(id) FROM region"))), "dark", 0.01, head=other)
    assert [item["pile"] for item in bright.page()["items"]] == ["looks_positive"]
    bright.declare(image, "light")
    assert bright.page()["items"] == []


def test_without_a_live_head_the_list_is_empty(bright: Desk) -> None:
    bright.images(("light", 0.7))
    bright.execute("UPDATE head SET stage = 'archived' WHERE task = :task", task=TASK)
    assert bright.page() == {"items": [], "next": None, "expected_findings": 0, "blind": False}
    assert bright.call("ann", "GET", f"{LIST}/counts").json()["open"] == 0
    assert bright.claim() == []


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ({"pile": "positive"}, [2]),
        ({"pile": ["positive", "review"]}, [2, 3]),
        ({"pile": "agrees"}, [6, 5]),
        ({"source": "gate-1"}, [0]),
        ({"tag": "night"}, [0]),
        ({"subject": "nobody"}, []),
        ({"received_from": "2100-01-01T00:00:00Z"}, []),
        ({"risk_from": 0.7, "risk_until": 0.95}, [0, 2]),
        ({"risk_until": 1, "pile": "cannot_judge"}, [4]),
        ({"state": "done"}, []),
        ({"state": "all"}, [0, 1, 2, 3, 4]),
    ],
)
def test_filters_keep_what_they_say(bright: Desk, query: dict[str, Any], kept: list[int]) -> None:
    first = bright.images(("light", 0.7, "dark"), source="gate-1", tags=["night"])
    ids = first + bright.images(
        ("dark", 0.2, "light"), ("light", 0.9), ("review", 0.4), ("cannot_judge", 0.99), ("light", 0.8, "light"),
        ("dark", 0.3, "dark"),
    )  # fmt: skip
    assert bright.seen(**query) == [ids[place] for place in kept]


@pytest.mark.parametrize(
    "query",
    [{"pile": "nonsense"}, {"risk_from": 2}, {"limit": 201}, {"cursor": "x"}, {"state": "?"}, {"order": "by name"},
     {"cursor": f"findings~0~0.5~{uuid4()}"}, {"cursor": f"piles~9~0.5~{uuid4()}"}, {"risk_until": "x"},
     {"cursor": f"piles~0~nan~{uuid4()}"}],
)  # fmt: skip
def test_a_query_that_cannot_be_is_refused(bright: Desk, query: dict[str, Any]) -> None:
    is_problem(bright.call("ann", "GET", LIST, params=query), 422)


def test_an_unknown_task_has_no_worklist(bright: Desk) -> None:
    is_problem(bright.call("ann", "GET", "/v1/tasks/no-such-task/worklist"), 404)
    is_problem(bright.call("ann", "GET", "/v1/tasks/no-such-task/worklist/counts"), 404)


@pytest.mark.parametrize("order", ["piles", "findings"])
def test_pages_show_every_image_once_while_the_list_changes(bright: Desk, order: str) -> None:
    ids = bright.images(*(("light", round(0.99 - 0.02 * n // 2 * 2, 2)) for n in range(12)), *[("review", 0.4)] * 6)
    paged: list[UUID] = []
    cursor: dict[str, str] = {}
    while True:
        answer = bright.page(order=order, limit=4, **cursor)
        paged += [UUID(item["image_id"]) for item in answer["items"]]
        if answer["next"] is None:
            break
        cursor = {"cursor": answer["next"]}
        bright.said(paged[-1])  # what was seen leaves the list; the next page begins behind it all the same
    assert sorted(paged) == sorted(ids)
    assert len(paged) == len(set(paged)) == 18


def test_counts_are_of_what_is_open(bright: Desk) -> None:
    images = one_a_pile(bright)
    bright.said(images["looks_positive"])
    bright.said(images["positive"], who="bob")
    bright.said(images["review"], "skip")
    bright.claim()
    assert bright.call("ann", "GET", f"{LIST}/counts").json() == {
        "piles": {
            "looks_positive": 0, "looks_negative": 1, "positive": 0, "review": 0, "cannot_judge": 1, "agrees": 2,
        },
        "open": 2, "done_today": 2, "mine_today": 1, "claimed": 1,
    }  # fmt: skip
    assert bright.call("bob", "GET", f"{LIST}/counts").json()["piles"]["review"] == 1
    later = {"since": "2100-01-01T00:00:00Z"}
    assert bright.call("ann", "GET", f"{LIST}/counts", params=later).json()["done_today"] == 0


def test_a_review_label_from_elsewhere_closes_an_image(bright: Desk) -> None:
    [image] = bright.images(("light", 0.9))
    bright.call("ann", "PUT", f"/v1/images/{image}/labels/{TASK}", json={"class": "dark"})
    assert bright.seen() == []
    assert bright.seen(state="done") == [image]


def test_an_import_does_not_close_an_image(bright: Desk) -> None:
    [image] = bright.images(("light", 0.9))
    lines = {"labels": [{"id": str(image), "class": "light"}]}
    assert bright.client.post("/v1/labels", params={"task": TASK}, json=lines).status_code == 200
    assert bright.seen() == [image]


def test_the_front_of_a_large_list_is_read_off_the_index_of_risks(
    bright: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worklist_front, "WINDOW", 400)
    made = "FROM generate_series(1, 6000) i"
    bright.execute(
        "INSERT INTO image (id, sha256, media_type, byte_count, width, height, bit_depth) "
        f"SELECT uuidv7(), sha256(convert_to('large ' || i, 'UTF8')), 'image/png', 1, 64, 64, 8 {made}"
    )
    bright.execute("INSERT INTO region (image_id, x, y, width, height) SELECT id, 0, 0, 64, 64 FROM image")
    bright.execute(
        "INSERT INTO prediction (image_id, region_id, task, head_id, probabilities, decision, threshold, risk) "
        "SELECT image_id, id, :task, :head, '{}', CASE WHEN id % 3 = 0 THEN 'light' ELSE 'dark' END, 0.5, random() "
        "FROM region",
        task=TASK, head=bright.head,
    )  # fmt: skip
    with bright.store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE prediction"))
    with transaction(bright.store.sessions) as session, explained(bright.store) as plans:
        found, _ = worklist.page(session, tasks.named(session, TASK), WorklistFilter(), author="ann", limit=50)
    assert len(found) == 50
    read = [plan for plan in plans if "prediction front" in plan]
    assert "Index Only Scan Backward using ix_prediction_head_id_decision on prediction front" in read[0]
    assert "Index Only Scan using ix_prediction_head_id_decision on prediction front" in read[-1]


# From the command line


@pytest.fixture
def command(bright: Desk, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    monkeypatch.setenv("PENUMBRA_DATABASE_URL", bright.store.url)
    monkeypatch.setenv("PENUMBRA_DATA_DIR", str(bright.store.settings.data_dir))

    def run(*words: str) -> str:
        ended = CliRunner().invoke(app, ["worklist", TASK, *words])
        assert ended.exit_code == 0, ended.output
        return ended.stdout

    return run


def test_the_command_prints_the_list_and_what_a_capacity_promises(bright: Desk, command: Callable[..., str]) -> None:
    images = one_a_pile(bright)
    listed = command()
    assert "looks positive 1, looks negative 1, positive 1, review 1, cannot judge 1, agrees 2" in listed
    assert [line.split()[0] for line in listed.splitlines()[2:]] == list(images)[:5]
    found = json.loads(command("--capacity", "2", "--json"))
    assert [item["image"] for item in found["items"]] == [str(images["cannot_judge"]), str(images["positive"])]
    assert found["expected_findings"] == 1.9
    assert "1.9 findings are expected among these 2." in command("--capacity", "2")


def test_the_command_hides_what_a_blind_task_hides(bright: Desk, command: Callable[..., str]) -> None:
    one_a_pile(bright)
    bright.client.patch(f"/v1/tasks/{TASK}", json={"blind": True})
    found = json.loads(command("--pile", "positive", "--json"))
    assert [(item["pile"], item["risk"], item["decision"]) for item in found["items"]] == [("hidden", None, None)]
    assert found["expected_findings"] is None
