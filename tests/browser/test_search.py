"""Search by a dropped, pasted, chosen or stored scan."""

import base64
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from app import embedded
from app.features.spec import FeatureSetSpec
from tests.browser.archive import Shelf, shelf
from tests.integration.calls import encode, picture
from tests.integration.fabricated import TASK

HAND_OVER = """([event, kind, files, text]) => {
  const data = new DataTransfer();
  for (const [name, type, content] of files) {
    data.items.add(new File([Uint8Array.from(atob(content), (one) => one.charCodeAt(0))], name, { type }));
  }
  if (text) data.setData("text/plain", text);
  const made = event === "paste"
    ? new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true })
    : new DragEvent(event, { dataTransfer: data, bubbles: true, cancelable: true });
  document.body.dispatchEvent(made);
}"""


@pytest.fixture(scope="module")
def shared(
    server: embedded.EmbeddedServer, template: str, spec: FeatureSetSpec, tmp_path_factory: pytest.TempPathFactory,
    browser: Browser,
) -> Iterator[Shelf]:  # fmt: skip
    with shelf(server, template, spec, tmp_path_factory.mktemp("search"), browser) as shared:
        yield shared


@pytest.fixture
def archive(shared: Shelf) -> Iterator[Shelf]:
    yield shared
    shared.desk.close()


def hand_over(page: Page, event: str, *contents: bytes, text: str = "") -> None:
    """Drop or paste files, or paste a text."""
    files = [[f"new-{at}.png", "image/png", base64.b64encode(one).decode()] for at, one in enumerate(contents)]
    page.evaluate(HAND_OVER, [event, "", files, text])


def names(page: Page) -> list[str]:
    return page.locator("#scans .scan-name").all_inner_texts()


def bright(seed: int) -> bytes:
    return encode(picture(seed, light=0.85, side=96))


def test_a_dropped_file_shows_those_like_it_under_an_address_of_its_own(archive: Shelf) -> None:
    page = archive.open("/search")
    hand_over(page, "dragenter")
    expect(page.locator("#drop")).to_have_class(re.compile("over"))
    hand_over(page, "drop", bright(70))
    expect(page).to_have_url(re.compile(r"/search\?image="))
    assert set(names(page)[:3]) == {"BOX 1", "BOX 2", "BOX 3"}
    distances = [float(one) for one in re.findall(r"\d\.\d{3}", page.locator("#scans").inner_text())]
    assert distances == sorted(distances)
    assert page.reload() is not None
    expect(page.locator("#scans .scan")).not_to_have_count(0)


def test_a_pasted_picture_is_searched_by_and_a_pasted_id_too(archive: Shelf) -> None:
    page = archive.open("/search")
    hand_over(page, "paste", bright(71))
    expect(page).to_have_url(re.compile(r"/search\?image="))
    hand_over(page, "paste", text=f"see {archive.ids['liar.png'].upper()} please")
    expect(page).to_have_url(re.compile(f"image={archive.ids['liar.png']}"))


def test_what_is_no_scan_is_refused_in_place(archive: Shelf) -> None:
    archive.desk.expected += ["415", "422"]
    page = archive.open("/search")
    hand_over(page, "paste", text="nothing of use")
    expect(page.get_by_role("alert")).to_contain_text("Nothing in the clipboard is a scan")
    hand_over(page, "drop", b"no picture at all")
    expect(page.get_by_role("alert")).to_contain_text("not", ignore_case=True)
    expect(page.locator("#drop")).to_contain_text("Drop a scan here")
    hand_over(page, "drop", bright(1), bright(2))
    expect(page.get_by_role("alert")).to_contain_text("One scan at a time: these were 2.")


def test_a_stored_scan_is_found_by_subject_file_or_id(archive: Shelf) -> None:
    page = archive.open("/search")
    page.get_by_label("A stored scan").fill("BOX 1")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Which one?")).to_be_visible()
    expect(page.locator(".scan")).to_have_count(2)
    page.locator(f'[data-image="{archive.ids["liar.png"]}"] a').click()
    expect(page).to_have_url(re.compile(f"/search\\?image={archive.ids['liar.png']}"))
    page.goto("/search?find=silent.png")
    expect(page).to_have_url(re.compile(f"image={archive.ids['silent.png']}"))
    page.goto("/search?find=nowhere%00")
    expect(page.get_by_role("status")).to_contain_text("“nowhere”")


def test_filters_narrow_the_neighbours(archive: Shelf) -> None:
    page = archive.open(f"/search?image={archive.ids['liar.png']}&task={TASK}")
    page.get_by_label("Decided").select_option("dark")
    expect(page).to_have_url(re.compile("decision=dark"))
    assert set(names(page)) == {"BOX 1", "BOX 4", "BOX 5"}
    expect(page.locator(".search-found")).to_contain_text("No other scan fits.")
    page.get_by_role("link", name="All scans").click()
    assert "BOX 3" in names(page)


def test_neighbours_are_labelled_together(archive: Shelf) -> None:
    page = archive.open(f"/search?image={archive.ids['night.png']}&task={TASK}")
    for name in ("shade.png", "honest.png"):
        page.locator(f'#scans [data-image="{archive.ids[name]}"] input').check()
    page.get_by_placeholder("Reason").fill("as dark as that")
    page.locator("#together-classes").get_by_role("button", name="dark").click()
    expect(page.locator("#notices")).to_contain_text("2 scans labelled dark")
    assert [one["reason"] for name in ("shade.png", "honest.png") for one in archive.labels(name)] == 2 * [
        "as dark as that"
    ]


def test_a_scan_that_is_not_there_is_a_page_that_says_so(archive: Shelf) -> None:
    archive.desk.expected.append("404")
    page = archive.open("/search?image=01890000-0000-7000-8000-000000000000")
    expect(page.get_by_role("heading", name="There is nothing here")).to_be_visible()
