"""The work page: one scan after the other by keyboard, and whatever may happen meanwhile."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from app import embedded
from app.models import Role
from tests.browser.conftest import Desk
from tests.browser.room import SHOWN, Room, opened, press, sent, shown
from tests.conftest import serving
from tests.integration import desk_work
from tests.integration.fabricated import TASK
from tests.waiting import eventually

OFFLINE = "ERR_INTERNET_DISCONNECTED"


@pytest.fixture(scope="module")
def judged(
    server: embedded.EmbeddedServer, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[desk_work.Desk]:
    with desk_work.desk(server, template, tmp_path_factory.mktemp("work")) as judged:
        yield judged


@pytest.fixture(scope="module")
def address(judged: desk_work.Desk) -> Iterator[str]:
    with serving(judged.store) as address:
        yield address


@pytest.fixture
def room(judged: desk_work.Desk, address: str, open_desk: Callable[..., Desk]) -> Iterator[Room]:
    with opened(judged, open_desk(judged.store, address)) as room:
        yield room


def test_ten_scans_are_answered_by_keyboard_alone(room: Room) -> None:
    scans = room.scans(11)
    page = room.at_work()
    assert page.locator(SHOWN).inner_text() == scans[0]
    for number, key in enumerate("ccxckljcsc"):
        assert press(page, key) == scans[number + 1]
    sent(page)
    said = {"c": ("confirm", "light"), "x": ("correct", "dark"), "k": ("correct", "dark"), "l": ("confirm", "light"),
            "j": ("cannot_judge", None), "s": ("skip", None)}  # fmt: skip
    assert room.opinions() == [("ann", scans[n], *said[key]) for n, key in enumerate("ccxckljcsc")]
    labels = room.judged.store.scalar("SELECT count(*) FROM label WHERE author = 'ann' AND source = 'review'")
    assert labels == 8
    expect(page.locator(".work-far")).to_contain_text("9 by you today")


def test_an_answer_is_taken_back_and_given_anew(room: Room) -> None:
    first, second = room.scans(2)
    page = room.at_work()
    press(page, "c")
    sent(page)
    page.keyboard.press("u")
    shown(page, first)
    sent(page)
    assert room.opinions() == []
    assert press(page, "x") == second
    sent(page)
    assert room.opinions() == [("ann", first, "correct", "dark")]


def test_an_answer_of_before_the_page_was_loaded_is_taken_back(room: Room) -> None:
    first, second = room.scans(2)
    page = room.at_work()
    press(page, "c")
    sent(page)
    page.reload()
    shown(page, second)
    expect(page.get_by_role("button", name="Undo: light")).to_be_enabled()
    page.keyboard.press("u")
    shown(page, first)
    assert room.opinions() == []


def test_an_answer_that_was_not_sent_is_taken_back_without_a_trace(room: Room) -> None:
    room.desk.expected.append(OFFLINE)
    first, second, _ = room.scans(3)
    page = room.at_work()
    expect_ahead(page, 2)
    page.context.set_offline(True)
    press(page, "c")
    press(page, "c")
    assert press(page, "u") == second
    page.context.set_offline(False)
    sent(page)
    assert [said[1] for said in room.opinions()] == [first]
    assert room.judged.store.scalar("SELECT count(*) FROM opinion_withdrawal") == 0


def expect_ahead(page: Page, count: int) -> None:
    """Wait until the pixels of so many next scans are there."""
    page.wait_for_function(
        "(count) => new Set(performance.getEntriesByType('resource').map((one) => one.name)"
        ".filter((name) => /pyramid.[0-9]/.test(name)).map((name) => name.split('/')[5])).size > count",
        arg=count,
    )


def test_a_reason_goes_with_the_answer_and_is_offered_again(room: Room) -> None:
    first, _ = room.scans(2)
    page = room.at_work()
    page.keyboard.press("r")
    page.keyboard.type("cables in the roof")
    page.keyboard.press("Enter")
    press(page, "c")
    sent(page)
    assert room.judged.store.scalar("SELECT reason FROM label WHERE author = 'ann'") == "cables in the roof"
    assert page.locator("#reasons option").get_attribute("value") == "cables in the roof"
    expect(page.locator("#reason")).to_have_value("")
    assert [said[1] for said in room.opinions()] == [first]


def test_a_key_that_is_held_down_answers_once(room: Room) -> None:
    scans = room.scans(3)
    page = room.at_work()
    for _ in range(4):
        page.keyboard.down("c")
    page.keyboard.up("c")
    shown(page, scans[1])
    sent(page)
    assert [said[1] for said in room.opinions()] == scans[:1]


def test_where_nothing_was_said_the_classes_have_keys_of_their_own(room: Room) -> None:
    room.scan("S0", "review", 0.5)
    page = room.at_work()
    assert [text.split() for text in page.locator(".work-class").all_inner_texts()] == [["K", "Dark"], ["L", "Light"]]
    page.keyboard.press("c")
    expect(page.locator(SHOWN)).to_have_text("S0")
    page.keyboard.press("l")
    expect(page.locator("#between")).to_contain_text("Nothing is left to look at")
    sent(page)
    assert room.opinions() == [("ann", "S0", "confirm", "light")]


def test_in_a_blind_task_nothing_of_the_heads_answer_is_on_the_page(room: Room) -> None:
    room.judged.execute("UPDATE task SET blind = true WHERE name = :task", task=TASK)
    room.scans(2)
    page = room.at_work()
    expect(page.locator("#bar")).to_contain_text("As declared: dark")
    assert not re.search(r"\d ?%|light", page.locator("#side").inner_text())
    press(page, "x")
    sent(page)
    assert room.opinions() == [("ann", "S0", "correct", "light")]
    assert room.judged.store.scalar("SELECT blind FROM opinion") is True


def test_without_a_connection_the_work_goes_on_and_arrives_later(room: Room) -> None:
    room.desk.expected.append(OFFLINE)
    scans = room.scans(4)
    page = room.at_work()
    expect_ahead(page, 2)
    page.context.set_offline(True)
    assert press(page, "c") == scans[1]
    assert press(page, "x") == scans[2]
    expect(page.locator("#trouble")).to_contain_text("2 answers wait on this computer")
    assert room.opinions() == []
    page.context.set_offline(False)
    sent(page)
    assert [said[1:3] for said in room.opinions()] == [(scans[0], "confirm"), (scans[1], "correct")]
    expect(page.locator("#trouble")).to_be_empty()
    assert press(page, "c") == scans[3]


def test_what_a_closed_page_could_not_send_goes_out_from_the_next_one(room: Room) -> None:
    room.desk.expected.append(OFFLINE)
    room.scans(2)
    page = room.at_work()
    expect_ahead(page, 1)
    page.context.set_offline(True)
    press(page, "c")
    other = page.context.new_page()
    page.close()
    page.context.set_offline(False)
    other.goto("/")
    sent(other)
    assert [said[1] for said in room.opinions()] == ["S0"]


@pytest.mark.parametrize(("choice", "kept"), [("Keep mine as a second opinion", 2), ("Drop mine", 1)])
def test_an_answer_that_somebody_else_gave_meanwhile_waits_for_a_choice(room: Room, choice: str, kept: int) -> None:
    room.desk.expected.append("409")
    room.scans(2)
    page = room.at_work()
    room.judged.said(room.image("S0"), "correct", "maria", class_name="dark", anyway=True)
    assert press(page, "c") == "S1"
    line = page.locator("#trouble p")
    expect(line).to_contain_text("maria has said dark of this scan meanwhile")
    expect(line).to_contain_text("Your answer was: light")
    page.get_by_role("button", name=choice).click()
    expect(page.locator("#trouble")).to_be_empty()
    sent(page)
    assert len(room.opinions()) == kept
    shown(page, "S1")


def test_a_scan_that_somebody_else_has_by_now_can_be_left_to_them(room: Room) -> None:
    room.desk.expected.append("409")
    room.scans(2)
    page = room.at_work()
    room.judged.expire([room.image("S0")])
    room.judged.claim("maria")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator("#trouble")).to_contain_text("maria looks at this scan now")
    page.locator("#trouble").get_by_role("button", name="Next scan").click()
    shown(page, "S1")
    assert room.opinions() == []


def test_deleted_scans_are_said_and_passed_over(room: Room) -> None:
    room.desk.expected.append("404")
    room.scans(4)
    page = room.at_work()
    expect_ahead(page, 2)
    room.delete("S0")
    assert press(page, "c") == "S1"
    expect(page.get_by_text("S0 was deleted meanwhile; your answer to it has nowhere to go.")).to_be_visible()
    room.delete("S1")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.get_by_text("S1 was deleted meanwhile.")).to_be_visible()
    shown(page, "S2")
    press(page, "c")
    sent(page)
    assert [said[1] for said in room.opinions()] == ["S2"]


def test_a_session_that_ended_is_opened_again_in_place(room: Room) -> None:
    room.desk.expected.append("401")
    scans = room.scans(3)
    page = room.at_work()
    expect_ahead(page, 2)
    room.judged.execute("UPDATE desk_session SET expires_at = now()")
    assert press(page, "c") == scans[1]
    dialog = page.get_by_role("dialog", name="Your session has ended")
    dialog.get_by_label("Key").fill(room.judged.store.key(Role.INSPECTOR, "ann"))
    dialog.get_by_role("button", name="Sign in").click()
    expect(dialog).to_be_hidden()
    sent(page)
    press(page, "c")
    sent(page)
    assert [said[:2] for said in room.opinions()] == [("ann", scans[0]), ("ann", scans[1])]


def test_two_people_never_have_the_same_scan(room: Room) -> None:
    scans = room.scans(8)
    ann, maria = room.at_work("ann"), room.at_work("maria")
    for _ in range(2):
        press(ann, "c")
        press(maria, "c")
    for page in (ann, maria):
        sent(page)
    said = [one[1] for one in room.opinions()]
    assert len(said) == len(set(said)) == 4
    held = room.judged.store.scalar("SELECT count(DISTINCT image_id) FROM worklist_claim WHERE until > now()")
    assert held == len(scans) - 4


def test_what_is_answered_in_one_tab_is_not_asked_in_the_other(room: Room) -> None:
    first, second, third = room.scans(3)
    page = room.at_work()
    other = page.context.new_page()
    other.goto(f"/work/{TASK}")
    shown(other, first)
    press(page, "c")
    shown(other, second)
    press(other, "x")
    shown(page, third)
    sent(page)
    assert [said[1:3] for said in room.opinions()] == [(first, "confirm"), (second, "correct")]


def test_whoever_leaves_lets_others_have_their_scans(room: Room) -> None:
    room.scans(3)
    page = room.at_work()
    page.keyboard.press("q")
    page.wait_for_url(re.compile(r"/\?task="))
    eventually(lambda: room.judged.store.scalar("SELECT count(*) FROM worklist_claim") == 0)


def test_the_scans_of_a_day_are_counted_down(room: Room) -> None:
    room.scans(4)
    page = room.at_work(query="?count=2")
    expect(page.locator(".work-far")).to_contain_text("2 to go")
    press(page, "c")
    press(page, "c")
    expect(page.get_by_text("The scans that you chose for today are done.")).to_be_visible()


def test_an_address_names_the_scan_to_begin_with(room: Room) -> None:
    room.scans(3)
    page = room.at_work(query=f"?image={room.image('S2')}")
    shown(page, "S2")
    assert press(page, "c") == "S0"
    page.reload()
    shown(page, "S0")
