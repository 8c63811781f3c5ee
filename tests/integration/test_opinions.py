"""Opinions: given once however often they are sent, taken back with their labels, hidden scores until the first."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest

from app import embedded
from app.db import transaction
from app.models.ids import uuid7
from app.services import labelling, opinions, tasks
from tests.integration.calls import is_problem
from tests.integration.desk_work import LIST, OPINIONS, Desk, desk
from tests.integration.fabricated import TASK


@pytest.fixture(scope="module")
def shared(server: embedded.EmbeddedServer, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk(server, template, tmp_path_factory.mktemp("opinions")) as shared:
        yield shared


@pytest.fixture
def bright(shared: Desk) -> Desk:
    shared.clear()
    return shared


def labels(bright: Desk, image: UUID) -> list[tuple[str, str, bool, str]]:
    found = bright.call("ann", "GET", f"/v1/images/{image}/labels").json()
    return [(one["class"], one["author"], one["effective"], one["why"]) for one in found]


@pytest.mark.parametrize("verdict", ["confirm", "correct"])
def test_an_opinion_that_names_a_class_makes_a_review_and_frees_the_scan(bright: Desk, verdict: str) -> None:
    [image] = bright.images(("light", 0.9))
    bright.claim("ann")
    said = bright.said(image, verdict, class_name="dark", reason="only a shadow", shown={"risk": 0.9})
    assert labels(bright, image) == [("dark", "ann", True, "the only statement")]
    assert (said["author"], said["reason"], said["withdrawn"]) == ("ann", "only a shadow", None)
    assert bright.store.scalar("SELECT reason FROM label WHERE image_id = :image", image=image) == "only a shadow"
    assert bright.store.scalar("SELECT shown ->> 'risk' FROM opinion") == "0.9"
    assert bright.store.scalar("SELECT count(*) FROM worklist_claim") == 0
    assert bright.seen() == []
    [item] = bright.page(state="done")["items"]
    assert item["opinion"] == said


def test_a_scan_that_cannot_be_judged_is_done_without_a_label(bright: Desk) -> None:
    [image] = bright.images(("light", 0.9))
    bright.said(image, "cannot_judge", reason="cut off")
    assert labels(bright, image) == []
    assert (bright.seen(), bright.seen(state="done")) == ([], [image])


def test_a_skipped_scan_is_gone_for_twelve_hours_and_for_the_skipper_alone(bright: Desk) -> None:
    first, second = bright.images(("light", 0.9), ("light", 0.8))
    bright.said(first, "skip")
    assert (bright.seen("ann"), bright.seen("bob")) == ([second], [first, second])
    assert bright.seen("ann", state="skipped") == [first]
    assert bright.claim("ann") == [second]
    bright.execute("ALTER TABLE opinion DISABLE TRIGGER refuse_update")
    bright.execute("UPDATE opinion SET at = at - interval '12 hours 1 second'")
    bright.execute("ALTER TABLE opinion ENABLE TRIGGER refuse_update")
    assert bright.seen("ann") == [first, second]


def test_sent_twice_it_is_given_once(bright: Desk) -> None:
    [image] = bright.images(("light", 0.9))
    opinion = str(uuid4())
    first, second = (bright.say(image, id=opinion) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    assert len(labels(bright, image)) == 1


def test_sent_twice_at_once_it_is_given_once(bright: Desk) -> None:
    [image] = bright.images(("light", 0.9))
    opinion, start = str(uuid4()), threading.Barrier(6)

    def send(_: int) -> int:
        start.wait()
        return bright.say(image, id=opinion).status_code

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(send, range(6))) == [200] * 5 + [201]
    assert len(labels(bright, image)) == 1


def test_an_id_that_says_something_else_is_refused(bright: Desk) -> None:
    [image] = bright.images(("light", 0.9))
    opinion = bright.said(image)["id"]
    document = is_problem(bright.say(image, "correct", class_name="dark", id=opinion), 409)
    assert document["type"] == "urn:penumbra:problem:conflict"
    is_problem(bright.say(image, who="bob", id=opinion), 409)


@pytest.mark.parametrize(
    "body",
    [
        {"verdict": "confirm"},
        {"verdict": "skip", "class_name": "light"},
        {"verdict": "correct", "class_name": "grey"},
        {"verdict": "maybe"},
        {"verdict": "skip", "shown": {"text": "x" * 20_000}},
        {"verdict": "skip", "shown": {"a\x00b": 1}},
        {"verdict": "skip", "shown": {"a": ["\ud800"]}},
        {"verdict": "skip", "shown": {"a": float("inf")}},
        {"verdict": "skip", "reason": "a\x00b"},
    ],
)
def test_an_opinion_that_cannot_be_is_refused(bright: Desk, body: dict[str, object]) -> None:
    [image] = bright.images(("light", 0.9))
    sent = {"id": str(uuid4()), "image_id": str(image)} | body
    written = json.dumps(sent)  # of what no client's own JSON would let through, too
    is_problem(bright.call("ann", "POST", OPINIONS, content=written), 422)
    assert bright.seen() == [image]


def test_on_a_deleted_scan_there_is_nothing_to_say(bright: Desk) -> None:
    [image] = bright.images(("light", 0.9))
    bright.claim("ann")
    bright.client.delete(f"/v1/images/{image}")
    assert "deleted" in is_problem(bright.say(image), 404)["detail"]


# Two people on one scan


def test_a_scan_that_another_looks_at_is_taken_unless_anyway(bright: Desk) -> None:
    [image] = bright.images(("light", 0.9))
    bright.claim("bob")
    document = is_problem(bright.say(image), 409)
    assert document["type"] == "urn:penumbra:problem:taken"
    assert document["author"] == "bob"
    assert "bob is looking at this scan" in document["detail"]
    bright.said(image, anyway=True)
    assert bright.store.scalar("SELECT author FROM worklist_claim") == "bob"


def test_a_scan_that_another_decided_since_is_taken_unless_anyway(bright: Desk) -> None:
    [image] = bright.images(("light", 0.9))
    bright.claim("ann")
    bright.expire([image])
    bright.said(image, "correct", "bob", class_name="dark")
    document = is_problem(bright.say(image), 409)
    assert (document["author"], document["type"]) == ("bob", "urn:penumbra:problem:taken")
    assert "bob has said dark" in document["detail"]
    bright.said(image, anyway=True)
    assert [one[0] for one in labels(bright, image)] == ["light", "dark"]


def test_a_skip_is_taken_whatever_others_do(bright: Desk) -> None:
    first, second = bright.images(("light", 0.9), ("light", 0.8))
    bright.call("bob", "PUT", f"{LIST}/claims/{first}")
    bright.said(second, who="bob")
    bright.said(first, "skip")
    bright.said(second, "skip")
    assert bright.page(state="all")["items"][0]["claim"]["author"] == "bob"


def test_another_s_skip_or_withdrawn_word_stands_in_nobody_s_way(bright: Desk) -> None:
    [image] = bright.images(("light", 0.9))
    bright.said(image, "skip", "bob")
    taken_back = bright.said(image, "confirm", "bob")["id"]
    bright.call("bob", "DELETE", f"/v1/opinions/{taken_back}")
    bright.call("bob", "DELETE", f"{LIST}/claims/{image}")
    bright.said(image)


# Undo


def test_undo_takes_the_label_back_and_the_scan_is_open_and_one_s_own(bright: Desk) -> None:
    [image] = bright.images(("light", 0.9))
    opinion = bright.said(image)
    undone = bright.call("ann", "DELETE", f"/v1/opinions/{opinion['id']}")
    assert undone.status_code == 200
    assert undone.json()["withdrawn"]["author"] == "ann"
    assert labels(bright, image) == [("light", "ann", False, "withdrawn")]
    [item] = bright.page("ann")["items"]
    assert (item["claim"]["mine"], item["opinion"]) == (True, None)
    assert bright.claim("bob") == []


def test_undone_twice_it_is_undone_once_and_sent_again_it_stays_undone(bright: Desk) -> None:
    [image] = bright.images(("light", 0.9))
    opinion = bright.said(image)["id"]
    first, second = (bright.call("ann", "DELETE", f"/v1/opinions/{opinion}").json() for _ in range(2))
    assert first == second == bright.say(image, id=opinion).json()
    assert bright.seen() == [image]


def test_the_statement_before_counts_again(bright: Desk) -> None:
    [image] = bright.images(("light", 0.9))
    bright.said(image, "correct", class_name="dark")
    second = bright.said(image, "correct", class_name="light")["id"]
    bright.call("ann", "DELETE", f"/v1/opinions/{second}")
    assert labels(bright, image) == [("light", "ann", False, "withdrawn"), ("dark", "ann", True, "the only statement")]
    assert bright.seen() == []  # the first still stands
    with transaction(bright.store.sessions) as session:
        assert labelling.effective(session, TASK, [image]) == {image: "dark"}


def test_only_one_s_own_is_undone_except_by_an_administrator(bright: Desk) -> None:
    [image] = bright.images(("light", 0.9))
    opinion = bright.said(image)["id"]
    assert "ann" in is_problem(bright.call("bob", "DELETE", f"/v1/opinions/{opinion}"), 403)["detail"]
    assert bright.client.delete(f"/v1/opinions/{opinion}").json()["withdrawn"]["author"] == "test-admin"
    assert labels(bright, image) == [("light", "ann", False, "withdrawn by test-admin")]
    is_problem(bright.client.delete(f"/v1/opinions/{uuid4()}"), 404)


def test_undo_takes_no_scan_from_whoever_looks_at_it_now(bright: Desk) -> None:
    [image] = bright.images(("light", 0.9))
    opinion = bright.said(image)["id"]
    bright.call("bob", "PUT", f"{LIST}/claims/{image}")
    bright.call("ann", "DELETE", f"/v1/opinions/{opinion}")
    assert bright.page("ann")["items"][0]["claim"]["author"] == "bob"


# Lists and traces


def test_opinions_are_listed_newest_first_in_pages(bright: Desk) -> None:
    ids = bright.images(*[("light", 0.9)] * 5)
    said = [bright.said(image, who=("ann", "bob")[n % 2])["id"] for n, image in enumerate(ids)]
    first = bright.call("ann", "GET", OPINIONS, params={"limit": 3}).json()
    rest = bright.call("ann", "GET", OPINIONS, params={"limit": 3, "cursor": first["next"]}).json()
    assert [one["id"] for one in first["items"] + rest["items"]] == said[::-1]
    assert rest["next"] is None
    mine = bright.call("bob", "GET", OPINIONS, params={"author": "me"}).json()["items"]
    assert [one["id"] for one in mine] == [said[3], said[1]]
    assert bright.call("ann", "GET", OPINIONS, params={"author": "bob"}).json()["items"] == mine
    is_problem(bright.call("ann", "GET", OPINIONS, params={"cursor": str(uuid7())}), 422)


def test_an_image_tells_every_opinion_on_it(bright: Desk) -> None:
    [image] = bright.images(("light", 0.9))
    bright.said(image, "skip")
    bright.said(image, who="bob")
    found = bright.call("ann", "GET", f"/v1/images/{image}/opinions").json()
    assert [(one["author"], one["verdict"]) for one in found] == [("bob", "confirm"), ("ann", "skip")]
    is_problem(bright.call("ann", "GET", f"/v1/images/{uuid4()}/opinions"), 404)


def test_opinions_and_their_withdrawals_leave_events(bright: Desk) -> None:
    [image] = bright.images(("light", 0.9))
    opinion = bright.said(image)["id"]
    bright.call("ann", "DELETE", f"/v1/opinions/{opinion}")
    events = bright.client.get("/v1/audit", params={"limit": 4}).json()["items"]
    assert [one["action"] for one in events] == ["opinion.withdraw", "label.withdraw", "opinion.give", "label.add"]
    assert {one["actor"] for one in events} == {"ann"}


# Blind tasks


def test_a_blind_task_hides_answers_until_one_has_decided(bright: Desk) -> None:
    first, second = bright.images(("light", 0.9, "dark"), ("light", 0.8))
    answer = bright.client.patch(f"/v1/tasks/{TASK}", json={"blind": True})
    assert answer.json()["blind"] is True
    bright.said(first, "correct", class_name="dark", blind=True)
    page = bright.page(state="all")
    shown, hidden = page["items"]
    assert (page["blind"], page["expected_findings"]) == (True, None)
    assert (shown["pile"], shown["risk"], shown["opinion"]["blind"]) == ("looks_positive", 0.9, True)
    assert hidden["pile"] == "hidden"
    assert {hidden[name] for name in ("finding", "risk", "decision", "probabilities", "reason")} == {None}
    assert {item["pile"] for item in bright.page("bob", state="all")["items"]} == {"hidden"}
    assert bright.page("bob", state="all")["items"][0]["opinion"] is None  # another's word would tell as much
    [claimed] = bright.call("ann", "POST", f"{LIST}/claims", json={}).json()["items"]
    assert (claimed["image_id"], claimed["pile"]) == (str(second), "hidden")


def test_a_skip_opens_nothing_and_undo_hides_again(bright: Desk) -> None:
    [image] = bright.images(("light", 0.9))
    bright.client.patch(f"/v1/tasks/{TASK}", json={"blind": True})

    def hidden() -> bool:
        with transaction(bright.store.sessions) as session:
            return opinions.hidden(session, tasks.named(session, TASK), image, "ann")

    assert hidden()
    bright.said(image, "skip")
    assert hidden()
    opinion = bright.said(image, "cannot_judge")["id"]
    assert not hidden()
    bright.call("ann", "DELETE", f"/v1/opinions/{opinion}")
    assert hidden()


def test_blind_is_an_administrator_s_word_and_in_the_audit_once(bright: Desk) -> None:
    assert bright.store.scalar("SELECT blind FROM task WHERE name = :task", task=TASK) is False
    is_problem(bright.call("ann", "PATCH", f"/v1/tasks/{TASK}", json={"blind": True}), 403)
    before = bright.store.scalar("SELECT count(*) FROM audit_event WHERE action = 'task.blind'")
    for _ in range(2):
        assert bright.client.patch(f"/v1/tasks/{TASK}", json={"blind": True}).status_code == 200
    after = bright.store.scalar("SELECT count(*) FROM audit_event WHERE action = 'task.blind'")
    assert int(str(after)) - int(str(before)) == 1
    is_problem(bright.client.patch(f"/v1/tasks/{TASK}", json={"blind": None}), 422)
