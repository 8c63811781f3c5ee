/**
 * `<scan-viewer>`: a scan at full resolution. A page needs `viewer/viewer.css` in its head and this module; then:
 *
 *   await viewer.show(imageId, {frame})   true: painted, whole and sharp. false: another was asked for meanwhile, or it
 *                                         failed, and `viewer-error` told. Heat and boxes of another scan are dropped
 *                                         at once, so set them after calling `show`; there is no need to await it.
 *   viewer.preload(imageId)               fetched, decoded and ready to be shown at once
 *   viewer.heat = {url} | null            where the evidence lies; fetched when the person wants to see it
 *   viewer.boxes = [{x, y, width, height, label, kind, frame}]   in pixels of the scan
 *   viewer.state = {...}                  parts of it may be set: zoom (pixels of the screen for one of the scan), centre,
 *                                         fitted, window and level (shares of full scale), windowing, gamma, invert,
 *                                         clahe (0: off), map, heatShown, heatOpacity, boxesShown
 *   `viewer-change` {state, by: "person"|"page"}   `viewer-error` {error, imageId}
 *   link(a, b)                            zoom and pan together
 */

import { explain } from "../notices.js";
import { t } from "../messages.js";
import { countsOf } from "./equaliser.js";
import { listen } from "./gestures.js";
import { Hands } from "./hands.js";
import { heatOf } from "./heat.js";
import { enter, leave } from "./keys.js";
import { Measuring } from "./measuring.js";
import { Picture } from "./picture.js";
import { scanHeld, scanOf } from "./scans.js";
import { presented, Stage } from "./stage.js";
import { Status } from "./status.js";
import { Toolbar } from "./toolbar.js";
import { View } from "./view.js";

export { link } from "./link.js";

const SLOW_MS = 150; // a wait that is longer is said

export class ScanViewer extends Hands {
  #asked = 0;
  #heat = null; // {url, asked: the frame that it was fetched for}
  #boxes = [];
  #wanted = null; // a state that waits for its scan

  connectedCallback() {
    if (!this.stage) this.#build();
    this.stage.start();
    enter(this);
    this.picture.recall();
  }

  disconnectedCallback() {
    this.#asked += 1; // what is on its way has no stage to be shown on
    leave(this);
    this.stage.stop();
  }

  #build() {
    this.stage = new Stage({
      label: t("Scan: arrows move it, plus and minus zoom, question mark lists all keys"),
      failed: (error) => this.#fail(error, this.imageId),
      painted: () => { this.readOut(); this.update(); },
    });
    this.picture = new Picture(this.stage, { changed: () => this.#marked(), failed: (error) => this.#tell(error) });
    this.toolbar = new Toolbar(this);
    this.status = new Status();
    this.measuring = new Measuring(this.stage, this.status, () => this.update());
    this.replaceChildren(this.toolbar.element, this.stage.element, this.status.element);
    listen(this.stage.element, this);
    this.stage.element.addEventListener("keydown", (event) => {
      if (this.tool === "measure" && this.measuring.key(event)) event.preventDefault();
    });
  }

  get imageId() {
    return this.stage?.scan?.id ?? null;
  }

  get frame() {
    return this.stage.scan?.frame ?? 0;
  }

  get frames() {
    return this.stage.scan?.info.frames ?? 1;
  }

  /** Show a scan. */
  async show(imageId, { frame = 0 } = {}) {
    const asked = ++this.#asked;
    const superseded = () => asked !== this.#asked;
    if (this.imageId !== imageId) this.#forget();
    const said = setTimeout(() => !superseded() && this.stage.say(t("Loading the scan…")), SLOW_MS);
    try {
      const scan = scanHeld(imageId, frame) ?? (await scanOf(imageId, frame));
      if (!superseded()) await this.#adopt(scan, superseded);
      if (superseded()) return false;
      clearTimeout(said);
      this.stage.say(null);
      this.stage.paint();
      this.changed("page");
      await presented();
      this.#afterwards(scan);
      return !superseded();
    } catch (error) {
      if (!superseded()) this.#fail(error, imageId);
      return false;
    } finally {
      clearTimeout(said);
    }
  }

  /** Nothing of another scan stays on screen: it could be taken for the one that is asked for. */
  #forget() {
    this.stage.adopt(null);
    this.stage.say(null);
    this.#heat = null;
    this.#boxes = [];
    this.measuring.clear();
    this.status.scan(null);
    this.#marked();
  }

  async #adopt(scan, superseded) {
    const { stage, picture } = this;
    const last = scan.info.levels.length - 1;
    if (!scan.hasArea(last, scan.whole)) await scan.loadArea(last, scan.whole);
    if (superseded()) return;
    if (scan !== stage.scan) this.measuring.clear();
    stage.adopt(scan);
    picture.begin();
    this.status.scan(scan.info);
    if (this.#wanted) this.set(this.#wanted, "page");
    this.#wanted = null;
    this.#marked();
    if (!scan.hasArea(stage.level, stage.view.area)) {
      stage.paint(); // coarse is better than nothing
      await stage.sharpen();
    }
    if (!superseded()) await picture.equalise();
  }

  #afterwards(scan) {
    // What is needed for zooming in; a failure shows when it is looked at.
    scan.loadSoon(this.stage.level).then(() => this.stage.repaint(), () => {});
  }

  /** Fetch and decode a scan that will be shown soon; whether it went well. Failures wait until it is shown. */
  async preload(imageId, { frame = 0 } = {}) {
    try {
      const scan = await scanOf(imageId, frame);
      const view = new View();
      view.resize(this.stage.view.width, this.stage.view.height);
      view.of({ width: scan.info.width, height: scan.info.height });
      const { levels } = scan.info;
      await Promise.all([levels.length - 1, view.level(levels)].map((level) => scan.loadArea(level, scan.whole)));
      if (this.picture.look.clahe) await countsOf(scan);
      return true;
    } catch {
      return false;
    }
  }

  get heat() {
    return this.#heat && { url: this.#heat.url };
  }

  set heat(wanted) {
    if (wanted?.url === this.#heat?.url) return;
    this.#heat = wanted?.url ? { url: wanted.url, asked: null } : null;
    this.#marked();
  }

  get heatThere() {
    return Boolean(this.#heat);
  }

  async #loadHeat() {
    const heat = this.#heat, { frame } = this;
    if (!heat || !this.picture.switches.heatShown || !this.imageId || heat.asked === frame) return;
    heat.asked = frame;
    heat.found = null;
    try {
      const found = await heatOf(heat.url, frame);
      if (heat.asked !== frame) return;
      heat.found = found;
      if (heat === this.#heat) this.#marked();
    } catch (error) {
      if (heat === this.#heat) this.#tell(error);
    }
  }

  get boxes() {
    return this.#boxes;
  }

  set boxes(boxes) {
    this.#boxes = boxes ?? [];
    this.#marked();
  }

  /** Bring what lies over the scan up to date, and fetch what is missing of it. */
  #marked() {
    const { marks } = this.stage, { heatShown, heatOpacity, boxesShown } = this.picture.switches;
    this.#loadHeat();
    marks.heat = this.#heat?.asked === this.frame ? (this.#heat.found ?? null) : null;
    marks.opacity = heatShown ? heatOpacity : 0;
    marks.boxes = boxesShown ? this.#boxes.filter((box) => (box.frame ?? this.frame) === this.frame) : [];
    this.#shown();
  }

  /** Paint anew; toolbar and status follow with the picture. */
  #shown() {
    if (this.imageId) this.stage.repaint();
    else this.update();
  }

  get state() {
    const { view } = this.stage;
    return { zoom: this.imageId ? view.zoom : null, centre: { x: view.x, y: view.y }, fitted: view.fitted, ...this.picture.state };
  }

  set state(wanted) {
    if (this.imageId) this.set(wanted, "page");
    else this.#wanted = { ...this.#wanted, ...wanted };
  }

  /** Change parts of the state, as a person does unless `by` says otherwise. */
  set(wanted, by = "person") {
    const { view } = this.stage;
    this.picture.set(wanted);
    if (wanted.fitted) view.fit();
    else if (wanted.zoom || wanted.centre) {
      if (wanted.zoom) view.zoomTo(wanted.zoom);
      if (wanted.centre) view.pan((view.x - wanted.centre.x) * view.zoom, (view.y - wanted.centre.y) * view.zoom);
    }
    this.#marked();
    this.changed(by);
  }

  /** Paint, show and tell what has changed. */
  changed(by) {
    if (by === "person") this.picture.remember();
    this.#shown();
    this.dispatchEvent(new CustomEvent("viewer-change", { detail: { state: this.state, by } }));
  }

  #fail(error, imageId) {
    this.#forget();
    this.stage.say(error.status === 404 ? t("This scan has been deleted.") : explain(error), "problem");
    this.dispatchEvent(new CustomEvent("viewer-error", { detail: { error, imageId } }));
  }

  /** Something beside the scan failed: the scan stays. */
  #tell(error) {
    this.status.problem(explain(error));
  }
}

customElements.define("scan-viewer", ScanViewer);
