"""`python -m benchmarks.desk`: how long people at the desk wait, in real Chromium against real processes on loopback.

- From a key press that decides to the next scan painted on the screen, at a steady pace and as fast as scans appear:
  simulated container scans drawn out to 2,000 x 800 pixels with a detector's noise, `penumbra up` with its workers.
- Opening the worklist of 100,000 images (of `benchmarks.worklist`: rows without pictures), API in a process of its own.
- What a page weighs without its scans, nothing of it being in the browser's cache.
"""

import argparse
import io
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page
from rich.console import Console
from rich.table import Table

from app.cli.client import Client
from app.cli.store import opened
from app.db import transaction
from app.models import Role
from app.services import keys
from app.simulator import encode_jpeg, port_day
from benchmarks import service, worklist
from benchmarks.browsing import chromium, signed_in

TASK, WIDTH, HEIGHT, SEED = "empty-container", 2000, 800, 3
DECISIONS, OPENINGS, PACE_SECONDS, API_PORT = 60, 20, 1.5, 8496
PAGES = (
    "/sign-in", "/", f"/work/{TASK}", "/images", "/images/{image}", "/compare?left={image}&right={other}", "/search",
    "/search?image={image}", "/heads", f"/heads/{TASK}", f"/heads/{TASK}/1", f"/heads/{TASK}/train", f"/labels/{TASK}",
    "/ingest", "/operations", "/operations/failed", "/operations/feature-sets", "/operations/keys", "/operations/audit",
    "/settings",
)  # fmt: skip
# From the moment of the key to the frame that shows the next scan.
LISTEN = """() => {
  window.taken = [];
  let pressed = 0;
  addEventListener("keydown", (event) => { pressed = event.timeStamp; }, true);
  document.addEventListener("work-shown", () => {
    if (pressed) window.taken.push(performance.now() - pressed);
    pressed = 0;
  });
}"""
TIMES = """() => {
  const [page] = performance.getEntriesByType("navigation");
  const paints = performance.getEntriesByType("paint").find((one) => one.name === "first-contentful-paint");
  return {answered: page.responseEnd, painted: paints.startTime, ready: page.domContentLoadedEventEnd};
}"""
WEIGHT = """() => [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
  .filter((one) => !new URL(one.name).pathname.startsWith("/v1/images/"))
  .reduce((sum, one) => sum + one.encodedBodySize, 0)"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.desk", description=__doc__)
    parser.add_argument("--decisions", type=int, default=DECISIONS, help="key presses at each pace; 0 leaves them out")
    parser.add_argument(
        "--images", type=int, default=worklist.ROWS, help="images of the long worklist; 0 leaves it out"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args()
    found: dict[str, Any] = {"machine": f"{os.cpu_count()} cores, {platform.machine()}, software drawing"}
    with tempfile.TemporaryDirectory(prefix="penumbra-desk-") as folder, chromium() as browser:
        if given.decisions:
            found["key to next scan, ms"] = keys_and_weights(Path(folder) / "small", browser, given.decisions, found)
        if given.images:
            found[f"worklist of {given.images:,} images, ms"] = long_worklist(
                Path(folder) / "long", browser, given.images
            )
    json.dump(found, sys.stdout, indent=1) if given.json else _print(found)
    return 0


def keys_and_weights(data: Path, browser: Browser, decisions: int, found: dict[str, Any]) -> dict[str, Any]:
    with service.running(data):
        key = (data / "admin.key").read_text().strip()
        ids = _fill(Client(service.ADDRESS, key), 2 * decisions + 8)
        page = signed_in(browser, service.ADDRESS, key)
        taken = {
            f"one in {PACE_SECONDS} s": _spread(decide(page, decisions, PACE_SECONDS)),
            "as fast as they appear": _spread(decide(page, decisions, 0)),
        }
        page.context.close()
        found["page weight, bytes"] = weights(browser, key, ids)
        return taken


def _fill(client: Client, count: int) -> list[str]:
    """Scans whose papers say the opposite of what they show: all of them are to be looked at."""
    ids, scans = [], port_day(count, SEED)
    for first in range(0, count, 16):
        chunk = list(islice(scans, min(16, count - first)))
        files = [(f"scan-{first + i:03}.jpg", enlarged(encode_jpeg(scan), first + i)) for i, scan in enumerate(chunk)]
        declared = [{"empty": "loaded", "loaded": "empty"}[scan.truth.class_name] for scan in chunk]
        answer = client.upload("/v1/images", files, [{"declared": {TASK: one}} for one in declared])
        ids += [image["id"] for image in answer["images"]]
    while client.get("/v1/stats")["pending"]:
        time.sleep(0.2)
    return ids


def enlarged(content: bytes, seed: int) -> bytes:
    """A simulated scan at the size of a real one, with a detector's noise: as hard to pack."""
    scan = Image.open(io.BytesIO(content)).convert("L").resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    noise = np.random.default_rng(seed).normal(0, 3, (HEIGHT, WIDTH))
    stream = io.BytesIO()
    Image.fromarray((np.asarray(scan) + noise).clip(0, 255).astype(np.uint8)).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def decide(page: Page, count: int, pace_seconds: float) -> list[float]:
    """Milliseconds from each of `count` keys to the scan that it brought."""
    page.goto(f"/work/{TASK}")
    page.wait_for_selector('.work-class[aria-disabled="false"]')
    page.evaluate(LISTEN)
    page.wait_for_timeout(3000)
    for number in range(count):
        page.keyboard.press("cxj"[number % 3])
        page.wait_for_function("(count) => window.taken.length === count", arg=number + 1, polling=5)
        page.wait_for_timeout(1000 * pace_seconds)
    taken: list[float] = page.evaluate("window.taken")
    return taken


def weights(browser: Browser, key: str, ids: list[str]) -> dict[str, int]:
    """Bytes of a page and all that it loads, but scans; each in a browser that knows nothing yet."""
    found = {}
    for path in PAGES:
        page = signed_in(browser, service.ADDRESS, key)
        state = page.context.storage_state()
        page.context.close()
        context = browser.new_context(base_url=service.ADDRESS, storage_state=state, locale="pt-BR")
        page = context.new_page()
        page.goto(path.format(image=ids[0], other=ids[1]), wait_until="networkidle")
        found[path.split("?")[0].format(image="IMAGE")] = round(page.evaluate(WEIGHT))
        context.close()
    return found


def long_worklist(data: Path, browser: Browser, images: int) -> dict[str, Any]:
    with opened(data) as store:
        worklist.fill(store, images)
        worklist.say(store, {"declared": 0.9, "wrong": 0.02, "decided": 0.1})
        with transaction(store.sessions) as session:
            key = keys.create(session, "benchmark", Role.ADMIN, author="benchmark")[1]
        with api(store.engine.url.render_as_string(hide_password=False), data) as address:
            page = signed_in(browser, address, key)
            taken = [opening(page) for _ in range(OPENINGS + 1)][1:]
    return {name: _spread([one[name] for one in taken]) for name in taken[0]}


@contextmanager
def api(url: str, data: Path) -> Iterator[str]:
    """The API alone, as a process; its address."""
    environment = {**os.environ, "PENUMBRA_DATABASE_URL": url, "PENUMBRA_DATA_DIR": str(data)}
    command = [sys.executable, "-m", "app.cli.application", "api", "--port", str(API_PORT)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{API_PORT}"
    try:
        _until(lambda: httpx2.get(f"{address}/healthz", trust_env=False).status_code == 200)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=60)


def _until(good: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if good():
                return
        except httpx2.HTTPError:
            pass
        if time.monotonic() > deadline:
            raise TimeoutError(f"the API did not answer in {seconds:.0f} s")
        time.sleep(0.1)


def opening(page: Page) -> dict[str, float]:
    """One opening of the list, from the click to its rows on the screen and to its live counts."""
    page.goto("/settings")
    page.goto(f"/?task={TASK}&all=1")
    page.wait_for_function("() => /[0-9]/.test(document.querySelector('[data-count=open]')?.textContent)", polling=5)
    counted = page.evaluate("performance.now()")
    told = page.evaluate(TIMES)
    return {
        "the service has answered": told["answered"], "the list is painted": told["painted"],
        "its keys work": told["ready"], "its counts are there": counted,
    }  # fmt: skip


def _spread(milliseconds: list[float]) -> dict[str, float]:
    p50, p95 = np.percentile(milliseconds, (50, 95))
    return {"p50": round(float(p50), 1), "p95": round(float(p95), 1), "most": round(max(milliseconds), 1)}


def _print(found: dict[str, Any]) -> None:
    console = Console(width=120)
    for name, rows in found.items():
        if isinstance(rows, str):
            console.print(f"{name}: {rows}")
            continue
        spread = isinstance(next(iter(rows.values())), dict)
        table = Table(name, *(("p50", "p95", "most") if spread else ("",)), title_justify="left")
        for what, value in rows.items():
            table.add_row(what, *(f"{one:,}" for one in (value.values() if spread else [value])))
        console.print(table)


if __name__ == "__main__":
    sys.exit(main())
