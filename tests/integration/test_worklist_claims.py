"""Claims: nobody is given what another looks at; they expire, are renewed, released, and survive no deletion."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest

from app import embedded
from app.db import transaction
from app.models import Role
from app.models.ids import uuid7
from app.services import desk_sessions, opinions, worklist_claims
from app.services.keys import Caller
from app.services.opinions import Verdict, Wanted
from app.services.worklist import WorklistFilter
from tests.integration.calls import is_problem
from tests.integration.desk_work import LIST, Desk, desk
from tests.integration.fabricated import TASK


@pytest.fixture(scope="module")
def shared(server: embedded.EmbeddedServer, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk(server, template, tmp_path_factory.mktemp("claims")) as shared:
        yield shared


@pytest.fixture
def bright(shared: Desk) -> Desk:
    shared.clear()
    return shared


def person(name: str) -> Caller:
    return Caller(name, Role.INSPECTOR, uuid7())


def take_next(bright: Desk, caller: Caller, count: int) -> list[UUID]:
    with transaction(bright.store.sessions) as session:
        return worklist_claims.claim_next(
            session, TASK, WorklistFilter(), caller=caller, count=count, without=[], seconds=600
        )


def decide(bright: Desk, caller: Caller, image: UUID) -> None:
    wanted = Wanted(id=uuid4(), image_id=image, verdict=Verdict.CONFIRM, class_name="light", shown={})
    with transaction(bright.store.sessions) as session:
        opinions.give(session, TASK, wanted, caller=caller)


def test_people_racing_for_scans_never_get_the_same_one(bright: Desk) -> None:
    """Six people on connections of their own, each taking and deciding as fast as they can, until nothing is left."""
    ids = bright.images(*[("light", 0.9)] * 30, *[("review", 0.4)] * 30)
    start, given = threading.Barrier(6), list[tuple[str, UUID]]()

    def work(name: str) -> None:
        caller = person(name)
        start.wait()
        while taken := take_next(bright, caller, 3):
            for image in taken:
                given.append((name, image))
                decide(bright, caller, image)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, "abcdef"))
    assert sorted(image for _, image in given) == sorted(ids)
    assert len({name for name, _ in given}) > 1
    assert bright.store.scalar("SELECT count(*) FROM opinion") == 60
    assert bright.store.scalar("SELECT count(*) FROM worklist_claim") == 0


def test_a_scan_that_is_about_to_be_given_is_not_decided_meanwhile(
    bright: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between one person's last look and their claim, another takes and decides whatever they can get."""
    first, second = bright.images(("light", 0.9), ("light", 0.8))
    ann, bob, looked = person("ann"), person("bob"), worklist_claims._still_free

    def rival() -> list[UUID]:
        taken = take_next(bright, bob, 1)
        for image in taken:
            decide(bright, bob, image)
        return taken

    with ThreadPoolExecutor(1) as pool:
        running = list[Future[list[UUID]]]()

        def look(*given: Any) -> bool:
            free = looked(*given)
            if not running:
                running.append(pool.submit(rival))
                while not (running[0].done() or bright.store.scalar("SELECT count(*) FROM pg_locks WHERE NOT granted")):
                    time.sleep(0.01)
            return free

        monkeypatch.setattr(worklist_claims, "_still_free", look)
        assert take_next(bright, ann, 1) == [first]
        assert running[0].result() == [second]


def test_one_scan_claimed_by_name_at_once_is_one_person_s(bright: Desk) -> None:
    [image] = bright.images(("light", 0.9))
    start = threading.Barrier(8)

    def grab(name: str) -> int:
        bright.people.setdefault(name, bright.store.key(Role.INSPECTOR, name))
        start.wait()
        return bright.call(name, "PUT", f"{LIST}/claims/{image}").status_code

    with ThreadPoolExecutor(8) as pool:
        answers = sorted(pool.map(grab, (f"rival-{n}" for n in range(8))))
    assert answers == [200] + [409] * 7


def test_a_claim_keeps_a_scan_from_others_and_shows_in_their_list(bright: Desk) -> None:
    first, second = bright.images(("light", 0.9), ("light", 0.8))
    assert bright.claim("ann") == [first]
    assert bright.claim("bob") == [second]
    assert bright.claim("cid") == []
    claims = [item["claim"] for item in bright.page("bob")["items"]]
    assert [(one["author"], one["mine"]) for one in claims] == [("ann", False), ("bob", True)]


def test_what_one_holds_comes_first_again_and_is_renewed(bright: Desk) -> None:
    ids = bright.images(("light", 0.9), ("light", 0.8), ("light", 0.7))
    bright.call("ann", "PUT", f"{LIST}/claims/{ids[2]}")
    bright.execute("UPDATE worklist_claim SET until = now() + interval '5 seconds'")
    assert bright.claim("ann", 2) == [ids[2], ids[0]]
    soonest = bright.store.scalar("SELECT extract(epoch FROM min(until) - now()) FROM worklist_claim")
    assert float(str(soonest)) > 500


def test_an_expired_claim_is_anybody_s(bright: Desk) -> None:
    [image] = bright.images(("light", 0.9))
    assert bright.claim("ann") == [image]
    bright.expire([image])
    assert bright.page("bob")["items"][0]["claim"] is None
    assert bright.claim("bob") == [image]
    document = is_problem(bright.call("ann", "PUT", f"{LIST}/claims/{image}"), 409)
    assert document["type"] == "urn:penumbra:problem:taken"
    assert document["author"] == "bob"
    assert document["at"] == bright.page("bob")["items"][0]["claim"]["until"].replace("Z", "+00:00")


def test_a_claim_of_one_s_own_is_renewed_even_after_it_expired(bright: Desk) -> None:
    [image] = bright.images(("light", 0.9))
    bright.claim("ann")
    bright.expire([image])
    assert bright.call("ann", "PUT", f"{LIST}/claims/{image}").json()["claim"]["mine"] is True


def test_a_released_scan_is_free_and_releasing_what_one_does_not_hold_does_nothing(bright: Desk) -> None:
    [image] = bright.images(("light", 0.9))
    bright.claim("ann")
    assert bright.call("bob", "DELETE", f"{LIST}/claims/{image}").status_code == 204
    assert bright.claim("bob") == []
    assert bright.call("ann", "DELETE", f"{LIST}/claims/{image}").status_code == 204
    assert bright.claim("bob") == [image]
    assert bright.call("ann", "DELETE", f"{LIST}/claims/{uuid4()}").status_code == 204


def test_filters_order_and_what_is_not_wanted_hold_for_claims(bright: Desk) -> None:
    ids = bright.images(("light", 0.8), ("review", 0.45), ("cannot_judge", 0.99))
    assert bright.claim("ann", filter={"pile": ["review"]}) == [ids[1]]
    assert bright.claim("bob", 2, order="findings", without=[str(ids[0])]) == [ids[2]]
    is_problem(bright.call("ann", "POST", f"{LIST}/claims", json={"count": 11}), 422)
    is_problem(bright.call("ann", "POST", f"{LIST}/claims", json={"filter": {"pile": ["nonsense"]}}), 422)


def signed_in(bright: Desk, secret: str) -> tuple[str, Caller]:
    with transaction(bright.store.sessions) as session:
        return desk_sessions.sign_in(session, secret, hours=1)


def test_another_browser_of_the_same_person_is_another_holder(bright: Desk) -> None:
    """Two people may sign in with one key; what one looks at is not given to the other."""
    first, second = bright.images(("light", 0.9), ("light", 0.8))
    secret = bright.store.key(Role.INSPECTOR, "gate")
    (_, one), (_, other) = signed_in(bright, secret), signed_in(bright, secret)
    assert take_next(bright, one, 1) == [first]
    assert take_next(bright, other, 1) == [second]


def test_whoever_signs_in_again_goes_on_with_what_they_held(bright: Desk) -> None:
    first, second = bright.images(("light", 0.9), ("light", 0.8))
    secret = bright.store.key(Role.INSPECTOR, "gate")
    token, before = signed_in(bright, secret)
    assert take_next(bright, before, 2) == [first, second]
    with transaction(bright.store.sessions) as session:
        desk_sessions.sign_out(session, token)
    _, after = signed_in(bright, secret)
    decide(bright, after, first)
    assert take_next(bright, person("bob"), 1) == []
    assert take_next(bright, after, 1) == [second]


def test_a_deleted_scan_leaves_the_list_and_takes_its_claim_along(bright: Desk) -> None:
    first, second = bright.images(("light", 0.9), ("light", 0.8))
    assert bright.claim("ann") == [first]
    assert bright.client.delete(f"/v1/images/{first}").status_code == 204
    assert bright.seen("bob") == [second]
    is_problem(bright.call("ann", "PUT", f"{LIST}/claims/{first}"), 404)
    assert bright.store.scalar("SELECT count(*) FROM worklist_claim") == 0


def test_a_scan_that_no_head_has_judged_can_be_claimed_by_its_id(bright: Desk) -> None:
    """A deep link opens anything that is stored."""
    [image] = bright.images(("light", 0.9))
    bright.execute("DELETE FROM prediction")
    item = bright.call("ann", "PUT", f"{LIST}/claims/{image}").json()
    assert (item["image_id"], item["pile"], item["risk"], item["decision"]) == (str(image), None, None, None)
    assert item["claim"]["mine"]
