"""What stands beside a scan, and what a person says of it on its own page."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from app import embedded
from app.features.spec import FeatureSetSpec
from app.models import Role
from tests.browser.archive import Shelf, shelf
from tests.integration.fabricated import TASK

SHOWN = """async ([address, id, task]) => {
  const { prefetch, show } = await import(address);
  const place = document.getElementById("evidence");
  prefetch(id, task);
  const first = show(place, id, task), second = show(place, id, task);
  return [await first, await second, place.querySelectorAll(".evidence-body").length];
}"""


@pytest.fixture(scope="module")
def shared(
    server: embedded.EmbeddedServer, template: str, spec: FeatureSetSpec, tmp_path_factory: pytest.TempPathFactory,
    browser: Browser,
) -> Iterator[Shelf]:  # fmt: skip
    with shelf(server, template, spec, tmp_path_factory.mktemp("evidence"), browser) as shared:
        yield shared


@pytest.fixture
def archive(shared: Shelf) -> Iterator[Shelf]:
    yield shared
    shared.desk.close()


def section(page: Page, name: str) -> str:
    return page.locator(f".evidence-{name}").inner_text()


def test_the_disagreement_comes_first_with_the_contract_in_words(archive: Shelf) -> None:
    page = archive.open(archive.scan("liar.png"))
    expect(page.locator(".sides")).to_have_attribute("data-kind", "finding")
    assert re.sub(r"\s+", " ", page.locator(".sides").inner_text()) == "Declared dark ≠ Looks light"
    answer = section(page, "answer")
    assert "The papers and the scan disagree." in answer
    assert "light from 50.0% on" in answer
    assert "Finds at least 90.0% of all scans that are light, with 95% confidence, from 120 labelled ones." in answer
    page.locator(".contract summary").click()
    expect(page.locator(".contract")).to_contain_text("it found 97.5% of those light (93.0% to 99.0%)")


def test_similar_scans_stand_with_their_outcome_and_open_beside_this_one(archive: Shelf) -> None:
    archive.client.put(f"/v1/images/{archive.ids['twin.png']}/labels/{TASK}", json={"class": "light"})
    page = archive.open(archive.scan("liar.png"))
    nearest = page.locator(".neighbours li")
    expect(nearest).to_have_count(5)
    link = page.get_by_label("Compare with twin.png")
    expect(nearest.filter(has=link)).to_contain_text("light, said by a person")
    assert "dark" in page.locator(".evidence-similar h2").inner_text()
    with page.expect_popup() as opened:
        link.click()
    expect(opened.value).to_have_url(re.compile(f"left={archive.ids['liar.png']}&right={archive.ids['twin.png']}"))


def test_other_scans_of_the_subject_and_what_happened_are_told(archive: Shelf) -> None:
    page = archive.open(archive.scan("liar.png"))
    expect(page.locator(".earlier li")).to_have_count(1)
    assert "declared dark" in section(page, "subject")
    history = section(page, "history")
    assert "version 1: light" in history
    assert "declared it dark" in history
    assert "received from gate-1" in history


def test_a_class_by_key_is_an_opinion_that_can_be_taken_back(archive: Shelf) -> None:
    page = archive.open(archive.scan("shade.png"))
    page.get_by_placeholder("Reason").fill("a blanket")
    page.locator("h1").click()
    page.keyboard.press("l")
    page.keyboard.press("2")
    expect(page.locator(".evidence-history")).to_contain_text("ana corrected it to light")
    expect(page.locator(".evidence-history")).to_contain_text("a blanket")
    expect(page.locator(".evidence-answer")).to_contain_text("✓ ana corrected it to light")
    [label] = archive.labels("shade.png")
    assert (label["class"], label["author"], label["reason"]) == ("light", "ana", "a blanket")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".evidence-history")).to_contain_text("ana took an opinion back")
    assert archive.labels("shade.png") == []


def test_what_another_has_said_meanwhile_is_told_before_it_is_overruled(archive: Shelf) -> None:
    archive.desk.expected.append("409")
    first, second = (archive.open(archive.scan("night.png"), name=name) for name in ("ana", "bea"))
    first.get_by_role("button", name="dark").click()
    expect(first.locator(".evidence-history")).to_contain_text("ana confirmed dark")
    second.get_by_role("button", name="light").click()
    expect(second.get_by_role("dialog")).to_contain_text("ana has said dark of this scan meanwhile")
    second.get_by_role("button", name="Say it all the same").click()
    expect(second.locator(".evidence-history")).to_contain_text("bea corrected it to light")


def test_a_blind_task_keeps_every_answer_until_the_first_opinion(archive: Shelf) -> None:
    archive.blind(True)
    try:
        page = archive.open(archive.scan("silent.png"), name="cleo")
        told = page.locator("#evidence").inner_text()
        assert "What the head thinks is shown after your own opinion." in told
        assert "%" not in told
        assert "version 1" not in page.content()
        assert page.locator(".neighbours .outcome", has_text="dark").count() == 0 or "✓" in told
        beside = page.context.new_page()
        beside.goto(f"/compare?left={archive.ids['silent.png']}")
        expect(beside.get_by_label("Left scan")).to_contain_text("silent.png")
        assert "light" not in beside.get_by_label("Left scan").inner_text()
        page.get_by_role("button", name="light").click()
        expect(page.locator("#evidence")).to_contain_text("light from 50.0% on")
        expect(page.locator(".evidence-history")).to_contain_text("score hidden")
    finally:
        archive.blind(False)


def test_whoever_may_not_judge_sees_the_evidence_and_no_buttons(archive: Shelf) -> None:
    page = archive.open(archive.scan("honest.png"), role=Role.INGEST, name="gate")
    expect(page.locator(".evidence-answer")).to_contain_text("The papers and the scan agree.")
    expect(page.locator("#by-hand")).to_have_count(0)
    expect(page.get_by_role("button", name="Delete")).to_have_count(0)


def test_evidence_is_fetched_ahead_and_only_the_last_that_was_asked_for_is_shown(archive: Shelf) -> None:
    page = archive.open(archive.scan("honest.png"))
    address = page.locator('script[src*="scan.js"]').get_attribute("src")
    assert address is not None
    asked = [address.replace("scan.js", "evidence.js"), archive.ids["liar.png"], TASK]
    assert page.evaluate(SHOWN, asked) == [False, True, 1]
    expect(page.locator(".evidence-body")).to_have_attribute("data-image", archive.ids["liar.png"])


def test_a_deleted_scan_is_said_in_place(archive: Shelf) -> None:
    archive.desk.expected.append("404")
    page = archive.open(archive.scan("honest.png"))
    address = page.locator('script[src*="scan.js"]').get_attribute("src")
    assert address is not None
    gone = "01890000-0000-7000-8000-000000000000"
    assert page.evaluate(SHOWN, [address.replace("scan.js", "evidence.js"), gone, TASK]) == [False, False, 0]
    expect(page.locator("#evidence [class=problem]")).to_contain_text("There is no image")


def test_evidence_is_spoken_in_portuguese(archive: Shelf) -> None:
    key = archive.store.key(Role.INSPECTOR, "lia")
    spoken = {"headers": {"Authorization": f"Bearer {key}"}, "json": {"value": "pt"}}
    assert archive.client.put("/v1/preferences/language", **spoken).is_success  # type: ignore[arg-type]
    page = archive.desk.visit(archive.scan("liar.png"), key=key)
    expect(page.locator(".evidence-answer")).to_contain_text("Os papéis e a imagem não concordam.")
    expect(page.locator(".evidence-answer")).to_contain_text("90,0%")
