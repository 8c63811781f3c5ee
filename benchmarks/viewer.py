"""`python -m benchmarks.viewer`: frame times of the scan viewer in Chromium, and what a pyramid costs. Prints Markdown.

A simulated container scan, drawn out to 4,000 x 1,500 with the noise of a detector, at 8 and at 16 bits, in full
screen. While it pans, zooms and windows by itself, as fast as the browser asks for pictures, the distance between two
of them is measured: with the browser's own 60 a second, or (`--unbound`) without its limit, which shows what room is
left. `--graphics none` is a machine without a graphics processor, `imitated` one whose browser draws all of its page by
SwiftShader, `own` leaves the choice to Chromium.
"Painting" is the time of the viewer's own code for a picture, until its pixels are there to be read; "processor" the
time of all the browser's processes for one, which other work on the machine changes little.
"""

import argparse
import io
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import psutil
import uvicorn
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Page, sync_playwright
from pydantic import SecretStr

from app.cli.store import opened
from app.config import Settings
from app.db import transaction
from app.imaging import pyramid
from app.main import create_app
from app.models import Role
from app.services import ingest, keys
from app.simulator import simulate

WIDTH, HEIGHT = 4000, 1500
GRAPHICS = {
    "none": ["--disable-gpu"],
    "imitated": ["--use-angle=swiftshader", "--enable-unsafe-swiftshader"],
    "own": [],
}
UNBOUND = ["--disable-frame-rate-limit", "--disable-gpu-vsync"]
MOVES = {
    "pan at 100 %": ({"zoom": 1}, "viewer.panBy(12 * Math.cos(turn / 20), 7 * Math.sin(turn / 15))"),
    "zoom, whole scan to 400 %": ({"fitted": True}, "viewer.zoomAt(turn % 120 < 60 ? 1.045 : 1 / 1.045)"),
    "window and level, whole scan": ({"fitted": True}, "viewer.windowBy(6 * Math.sin(turn / 20), Math.cos(turn / 20))"),
}  # fmt: skip
HEADINGS = ("4,000 x 1,500", "a second", "median, ms", "p95, ms", "p99, ms", "painting, ms", "processor, ms")
LOOKS: dict[str, dict[str, Any]] = {"": {}, ", local contrast": {"clahe": 2}}
RUN = """async ([state, move, seconds]) => {
  const viewer = document.querySelector("scan-viewer");
  viewer.state = {gamma: 1, clahe: 0, ...state};
  await new Promise((resolve) => setTimeout(resolve, 800));
  const step = new Function("viewer", "turn", move);
  const times = [];
  await new Promise((resolve) => {
    let turn = 0;
    const next = (now) => {
      times.push(now);
      if (now - times[0] > 1000 * seconds) return resolve();
      step(viewer, turn++);
      requestAnimationFrame(next);
    };
    requestAnimationFrame(next);
  });
  const { stage } = viewer, pixel = new Uint8Array(4), painting = [];
  for (let i = 0; i < 12; i++) {
    const started = performance.now();
    step(viewer, i);
    stage.paint();
    const gl = stage.painter.gl;
    gl?.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel);
    painting.push(performance.now() - started);
  }
  return [times, painting];
}"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.viewer", description=__doc__)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--screen", default="1280x800")
    parser.add_argument("--unbound", action="store_true")
    parser.add_argument("--graphics", choices=GRAPHICS, default="none")
    parser.add_argument("--painter", choices=["auto", "webgl", "2d"], default="auto")
    parser.add_argument("--giant", action="store_true", help="also a pyramid of 250 million pixels")
    given = parser.parse_args()
    screen = dict(zip(("width", "height"), map(int, given.screen.split("x")), strict=True))
    with tempfile.TemporaryDirectory(prefix="penumbra-viewer-") as folder:
        files = {8: encoded(scan(8)), 16: encoded(scan(16))}
        costs(Path(folder), files, giant=given.giant)
        with served(Path(folder) / "data") as (address, key):
            ids = {bits: uploaded(address, key, content) for bits, content in files.items()}
            arguments = ["--no-sandbox", "--disable-dev-shm-usage", *(UNBOUND if given.unbound else [])]
            frames(address, key, ids, [*arguments, *GRAPHICS[given.graphics]], screen, given)
    return 0


def scan(bits: int) -> NDArray[Any]:
    """A container scan of 4,000 x 1,500 with noise at every pixel."""
    rng = np.random.default_rng(1)
    small = Image.fromarray(simulate(rng, loaded=True, scanner="port").pixels.astype(np.float32) / 255)
    plane = np.asarray(small.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)) + rng.normal(0, 0.004, (HEIGHT, WIDTH))
    return np.rint(plane.clip(0, 1) * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)


def encoded(samples: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(samples).save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def costs(folder: Path, files: dict[int, bytes], *, giant: bool) -> None:
    """What the first look at a scan costs the service."""
    print("\n| pyramid | made in, s | bytes | tiles | largest tile |\n|---|---|---|---|---|")
    contents = {f"{WIDTH:,} x {HEIGHT:,}, {bits} bit": content for bits, content in files.items()}
    if giant:
        whole = np.tile(scan(8), (8, 5))[:12_000, :20_000]
        contents["20,000 x 12,000, 8 bit"] = encoded(whole)
    limits = ingest.limits(Settings())
    for name, content in contents.items():
        path = folder / "scan"
        path.write_bytes(content)
        started = time.perf_counter()
        with pyramid.decoded(path, limits, 0) as decoded:
            sizes = [len(tile.content) for tile in pyramid.tiles(next(decoded))]
        seconds = time.perf_counter() - started
        print(f"| {name} | {seconds:.2f} | {sum(sizes):,} | {len(sizes)} | {max(sizes):,} |", flush=True)
    print(f"\nMost memory of the process so far: {peak_mib():,.0f} MiB.")


def peak_mib() -> float:
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


@contextmanager
def served(data: Path) -> Iterator[tuple[str, str]]:
    """The API and the desk on a store of its own, without workers; its address and a key."""
    with opened(data) as store:
        with transaction(store.sessions) as session:
            key = keys.create(session, "benchmark", Role.ADMIN, author="benchmark")[1]
        url = store.engine.url.render_as_string(hide_password=False)
        settings = store.settings.model_copy(update={"database_url": SecretStr(url)})
        server = uvicorn.Server(uvicorn.Config(create_app(settings), port=0, log_level="warning"))
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started:
            time.sleep(0.05)
        try:
            yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", key
        finally:
            server.should_exit = True
            thread.join()


def uploaded(address: str, key: str, content: bytes) -> str:
    headers = {"Authorization": f"Bearer {key}"}
    answer = httpx2.post(f"{address}/v1/images", files={"files": content}, headers=headers, timeout=120)
    answer.raise_for_status()
    return str(answer.json()["images"][0]["id"])


def frames(
    address: str, key: str, ids: dict[int, str], arguments: list[str], screen: dict[str, int], given: argparse.Namespace
) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        context = browser.new_context(viewport=screen, bypass_csp=True, base_url=address)  # type: ignore[arg-type]
        context.set_default_timeout(120_000)
        page = context.new_page()
        page.goto("/sign-in")
        page.get_by_label("Key").fill(key)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(lambda url: "/sign-in" not in url)
        for bits, image_id in ids.items():
            page.goto(f"/compare?left={image_id}&painter={given.painter}")
            page.wait_for_function("document.querySelector('scan-viewer')?.imageId")
            page.keyboard.press("f")
            page.wait_for_function("document.querySelector('scan-viewer').stage.view.width === innerWidth")
            page.wait_for_timeout(1500)
            if bits == min(ids):
                limit = "no limit" if given.unbound else "60 a second at most"
                print(f"\n{limit}; {given.screen}; {page.evaluate(DRIVER)}; {psutil.cpu_count()} cores\n")
                print("| " + " | ".join(HEADINGS) + " |\n" + "|---" * len(HEADINGS) + "|")
            measure(page, bits, given.seconds)
        browser.close()


DRIVER = """() => {
  const gl = document.createElement("canvas").getContext("webgl2");
  const told = gl?.getExtension("WEBGL_debug_renderer_info");
  const { painter } = document.querySelector("scan-viewer").stage;
  return `${painter.constructor.name}; ${told ? gl.getParameter(told.UNMASKED_RENDERER_WEBGL) : "no WebGL2"}`;
}"""


def browser_seconds() -> float:
    """Processor time that the browser's processes have taken so far."""
    total = 0.0
    for process in psutil.Process().children(recursive=True):
        try:
            if "chrom" in process.name():
                total += sum(process.cpu_times()[:2])
        except psutil.NoSuchProcess:
            continue
    return total


def measure(page: Page, bits: int, seconds: float) -> None:
    for move, (state, step) in MOVES.items():
        for look, changes in LOOKS.items():
            before = browser_seconds()
            made, painting = page.evaluate(RUN, [{"windowing": "full", **state, **changes}, step, seconds])
            spent = 1000 * (browser_seconds() - before) / (len(made) + len(painting))
            times = np.diff(made)
            figures = [1000 / times.mean(), *np.percentile(times, (50, 95, 99)), np.median(painting), spent]
            said = " | ".join(f"{figure:.{int(place > 0)}f}" for place, figure in enumerate(figures))
            print(f"| {bits} bit, {move}{look} | {said} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
