"""`make screenshots`: every room of the desk, pictured on a simulated day in a real Chromium, into docs/desk.

Starts `penumbra up` on a folder of its own, lets the demonstration fill it, and has people at work in it. No real scan
is in any picture.
"""

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
from PIL import Image
from playwright.sync_api import Browser, Page

from app.cli import demo
from app.cli.client import Client
from app.cli.output import console
from app.errors import AppError
from app.simulator import encode_jpeg, port_day
from benchmarks import service
from benchmarks.browsing import SCREEN, chromium, signed_in

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "desk"
TASK, COLOURS = demo.TASK, 96
TABLET = {"width": 820, "height": 1180}


@dataclass
class Day:
    """A filled Penumbra, and who works in it."""

    client: Client
    keys: dict[str, str]
    scans: list[str]
    version: int
    similar: str
    folder: Path
    pages: dict[tuple[str, ...], Page] = field(default_factory=dict)


@dataclass(frozen=True)
class Picture:
    """What is pictured: where, as whom, how, and what is done before."""

    path: str
    act: Callable[[Page, Day], None] = lambda _page, _day: None
    who: str = "Ana"
    theme: str = "dark"
    language: str = "en"
    size: dict[str, int] = field(default_factory=lambda: SCREEN)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.screenshots", description=__doc__)
    parser.add_argument("names", nargs="*", help="only these pictures")
    parser.add_argument("--into", type=Path, default=FOLDER)
    given = parser.parse_args()
    given.into.mkdir(parents=True, exist_ok=True)
    wanted = {name: one for name, one in PICTURES.items() if not given.names or name in given.names}
    with tempfile.TemporaryDirectory(prefix="penumbra-pictures-") as temporary, chromium() as browser:
        folder = Path(temporary)
        with service.running(folder / "data"):
            day = fill(folder)
            for name, picture in wanted.items():
                size = take(browser, day, picture, given.into / f"{name}.png")
                print(f"{name}.png  {size:,} bytes", flush=True)
    return 0


def take(browser: Browser, day: Day, picture: Picture, path: Path) -> int:
    """Take one picture; its bytes."""
    page = seated(browser, day, picture)
    page.set_viewport_size(picture.size)  # type: ignore[arg-type]
    page.goto(picture.path.format(day=day))
    page.wait_for_load_state("networkidle")
    picture.act(page, day)
    settle(page)
    taken = Image.open(BytesIO(page.screenshot(animations="disabled")))
    page.context.set_offline(False)
    taken.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    return path.stat().st_size


def seated(browser: Browser, day: Day, picture: Picture) -> Page:
    """Whoever is at the desk, with a browser of their own for each theme and language."""
    seat = (picture.who, picture.theme, picture.language)
    if seat not in day.pages:
        locale = {"en": "en-GB", "pt": "pt-BR"}[picture.language]
        day.pages[seat] = signed_in(browser, service.ADDRESS, day.keys[picture.who], locale=locale)
    for name, value in (("theme", picture.theme), ("language", picture.language)):
        httpx2.put(
            f"{service.ADDRESS}/v1/preferences/{name}", json={"value": value}, trust_env=False,
            headers={"Authorization": f"Bearer {day.keys[picture.who]}"},
        ).raise_for_status()  # fmt: skip
    return day.pages[seat]


def settle(page: Page) -> None:
    """Wait until pictures and evidence are there and notices are gone."""
    page.wait_for_load_state("networkidle")
    page.wait_for_function("() => [...document.images].every((one) => one.complete || one.loading === 'lazy')")
    page.wait_for_timeout(700)


def fill(folder: Path) -> Day:
    """The demonstration's day, wrong labels, a further head, a broken file, and Marco's work since the morning."""
    data = folder / "data"
    admin = (data / "admin.key").read_text().strip()
    client = Client(service.ADDRESS, admin)
    console.quiet = True
    demo.run(service.ADDRESS, admin, data)
    people = {"Ana": ("Ana Lima", "admin"), "Marco": ("Marco Diaz", "inspector"), "gate": ("gate-3", "ingest")}
    keys = {
        who: client.send("POST", "/v1/keys", {"name": name, "role": role})["secret"]
        for who, (name, role) in people.items()
    }
    scans = [image["id"] for image in client.get("/v1/images?limit=200")["items"]]
    _mislabel(client, scans[20:200:16])
    answer = client.send(
        "POST",
        f"/v1/tasks/{TASK}/heads",
        {"pooling": "both", "class_weight": "balanced", "policy": "recall(loaded)>=0.99"},
    )
    _ended(client, answer["job"])
    _break(Client(service.ADDRESS, keys["gate"]))
    _work(Client(service.ADDRESS, keys["Marco"]))
    similar = client.get(f"/v1/images/{scans[12]}/similar?limit=1")["neighbours"][0]["image"]["id"]
    return Day(client, keys, scans, answer["head"]["version"] - 1, similar, folder)


def _mislabel(client: Client, scans: list[str]) -> None:
    for scan in scans:
        labels = client.get(f"/v1/images/{scan}/labels")
        known = (labels["items"] if isinstance(labels, dict) else labels)[0]["class"]
        wrong = {"empty": "loaded", "loaded": "empty"}[known]
        client.send("POST", f"/v1/labels?task={TASK}", {"labels": [{"id": scan, "class": wrong}]})


def _break(client: Client) -> None:
    """A file that ends before its pixels do."""
    content = encode_jpeg(next(port_day(999, 5, start=998)))
    answer = client.upload("/v1/images", [("scan-0998.jpg", content[: len(content) // 2])], [{"source": "gate-3"}])
    while client.get(f"/v1/images/{answer['images'][0]['id']}")["state"] == "pending":
        time.sleep(0.2)


def _work(client: Client) -> None:
    """Four scans are decided; three more are held."""
    path = f"/v1/tasks/{TASK}"
    for number in range(4):
        (item,) = client.send("POST", f"{path}/worklist/claims", {"count": 1})["items"]
        verdict = {"verdict": "confirm", "class_name": "loaded"} if number else {"verdict": "cannot_judge"}
        client.send("POST", f"{path}/opinions", {"id": str(uuid4()), "image_id": item["image_id"], **verdict})
    client.send("POST", f"{path}/worklist/claims", {"count": 3})


def _ended(client: Client, job: dict[str, Any]) -> None:
    while (state := client.get(f"/v1/jobs/{job['id']}")["state"]) in ("queued", "running"):
        time.sleep(0.3)
    if state != "succeeded":
        raise AppError(f"A training ended as {state}.")


# What is done before a picture is taken.


def at_work(page: Page, _: Day) -> None:
    page.wait_for_selector('.work-class[aria-disabled="false"]')
    page.wait_for_selector("#evidence .evidence-body")


def shows_evidence_on_the_scan(page: Page, day: Day) -> None:
    at_work(page, day)
    page.keyboard.press("h")
    page.wait_for_timeout(2500)


def lists_its_keys(page: Page, day: Day) -> None:
    at_work(page, day)
    page.keyboard.press("?")


def loses_its_connection(page: Page, day: Day) -> None:
    at_work(page, day)
    page.wait_for_timeout(1500)
    page.context.set_offline(True)
    page.keyboard.press("c")
    page.get_by_text("on this computer").first.wait_for()


def chooses_scans(page: Page, _: Day) -> None:
    for number in range(3):
        page.locator("li.scan input[type=checkbox]").nth(number + 1).check()


def shows_plots(page: Page, _: Day) -> None:
    page.locator("#plots").scroll_into_view_if_needed()
    page.evaluate("document.querySelector('#plots').scrollIntoView({block: 'start'})")
    page.evaluate("scrollBy(0, -190)")  # the threshold stays at the top, above the plots


def promotes(page: Page, _: Day) -> None:
    page.locator("#promote").click()
    page.locator("dialog input#read, dialog .flips, dialog .problem").first.wait_for(state="attached")
    page.get_by_text(re.compile("decisions? of .* would change")).wait_for()
    page.locator("dialog .checks").evaluate("(list) => { list.parentElement.open = false; }")
    page.locator(".flip-list img").first.wait_for()


def brings_a_folder(page: Page, day: Day) -> None:
    folder = day.folder / "evening"
    folder.mkdir(exist_ok=True)
    for index, scan in enumerate(port_day(518, 9, start=500)):
        (folder / f"scan-{500 + index}.jpg").write_bytes(encode_jpeg(scan))
    (folder / "list.csv").write_text("container,class\n")
    page.locator("#files").set_input_files(sorted(folder.iterdir()))
    page.get_by_text("18 new scans").wait_for()
    page.wait_for_timeout(5000)


AT_WORK = f"/work/{TASK}"
PICTURES = {
    "sign-in": Picture("/sign-in"),
    "worklist": Picture(f"/?task={TASK}&all=1"),
    "worklist-light": Picture(f"/?task={TASK}&all=1", theme="light"),
    "worklist-40": Picture(f"/?task={TASK}&count=40"),
    "work": Picture(AT_WORK, at_work),
    "work-light": Picture(AT_WORK, at_work, theme="light"),
    "work-heat": Picture(AT_WORK, shows_evidence_on_the_scan, who="Marco"),
    "work-keys": Picture(AT_WORK, lists_its_keys),
    "work-portuguese": Picture(AT_WORK, at_work, language="pt"),
    "work-tablet": Picture(AT_WORK, at_work, size=TABLET),
    "work-offline": Picture(AT_WORK, loses_its_connection),
    "scan": Picture("/images/{day.scans[12]}?task=" + TASK),
    "archive": Picture(f"/images?task={TASK}"),
    "compare": Picture("/compare?left={day.scans[12]}&right={day.similar}"),
    "search": Picture("/search?image={day.scans[12]}&task=" + TASK, chooses_scans),
    "heads": Picture("/heads"),
    "versions": Picture(f"/heads/{TASK}"),
    "train": Picture(f"/heads/{TASK}/train"),
    "report": Picture(f"/heads/{TASK}/" + "{day.version}"),
    "report-plots": Picture(f"/heads/{TASK}/" + "{day.version}", shows_plots),
    "report-light": Picture(f"/heads/{TASK}/" + "{day.version}", shows_plots, theme="light"),
    "versions-compared": Picture(f"/heads/{TASK}/compare?version=1&version=" + "{day.version}"),
    "promote": Picture(f"/heads/{TASK}/" + "{day.version}", promotes),
    "labels": Picture(f"/labels/{TASK}"),
    "ingest": Picture("/ingest", brings_a_folder),
    "operations": Picture("/operations"),
    "operations-failed": Picture("/operations/failed"),
    "operations-keys": Picture("/operations/keys"),
    "operations-audit": Picture("/operations/audit"),
    "settings": Picture("/settings"),
}


if __name__ == "__main__":
    sys.exit(main())
