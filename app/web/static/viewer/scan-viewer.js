/**
 * `<scan-viewer>`: a scan at full resolution. A page needs `viewer/viewer.css` in its head and this module; then:
 *
 *   await viewer.show(imageId, {frame})   true: painted, whole and sharp; false: another was asked for meanwhile, or it
 *                                         failed (`viewer-error` told). Heat and boxes of another scan are gone.
 *   viewer.preload(imageId)               fetched, decoded and ready to be shown at once
 *   viewer.heat = {url} | null            where the evidence lies; fetched once the person wants to see it
 *   viewer.boxes = [{x, y, width, height, label, kind, frame}]   in pixels of the scan
 *   viewer.state = {...}                  zoom (pixels of the screen for one of the scan), centre, window, level (shares
 *                                         of full scale), gamma, invert, clahe (0: off), map, heatShown, heatOpacity, ...
 *   `viewer-change` {state, by: "person"|"page"}   `viewer-error` {error, imageId}
 *   link(a, b)                            from link.js: zoom and pan together
 */

import { explain } from "../notices.js";
import { t } from "../messages.js";
import { countsOf, tablesOf } from "./equaliser.js";
import { listen } from "./gestures.js";
import { heatOf } from "./heat.js";
import { enter, leave } from "./keys.js";
import { CLAHE, GAMMA, PLAIN, rangeOf, windowed, windowOf, WINDOWS } from "./look.js";
import { Measuring } from "./measuring.js";
import { scanHeld, scanOf } from "./scans.js";
import { keep, recall, USUAL } from "./settings.js";
import { presented, Stage } from "./stage.js";
import { Status } from "./status.js";
import { mapNames, Toolbar } from "./toolbar.js";
import { View } from "./view.js";

const SLOW_MS = 150; // a wait that is longer is said
const ARROW = 60; // pixels of the screen

export { link } from "./link.js";

export class ScanViewer extends HTMLElement {
  #stage = null;
  #toolbar = null;
  #status = null;
  #look = { ...PLAIN, map: "file" };
  #liked = { ...USUAL };
  #windowing = "full";
  #scan = null;
  #asked = 0;
  #heat = null; // {url, loading}
  #boxes = [];
  #tool = "pan";
  #measuring = null;
  #pointer = null;
  #wanted = null; // a state that waits for its scan

  connectedCallback() {
    if (!this.#stage) this.#build();
    this.#stage.start();
    enter(this);
    this.#like(recall((better) => this.#like(better)));
  }

  disconnectedCallback() {
    leave(this);
    this.#stage.stop();
  }

  #build() {
    this.#stage = new Stage({
      label: t("Scan: arrows move it, plus and minus zoom, question mark lists all keys"),
      failed: (error) => this.#fail(error, this.imageId),
      painted: () => this.#readOut(),
    });
    this.#stage.look = this.#look;
    this.#toolbar = new Toolbar(this);
    this.#status = new Status();
    this.#measuring = new Measuring(this.#stage, this.#status, () => this.#update());
    this.replaceChildren(this.#toolbar.element, this.#stage.element, this.#status.element);
    listen(this.#stage.element, this);
    this.#stage.element.addEventListener("keydown", (event) => {
      if (this.#tool === "measure" && this.#measuring.key(event)) event.preventDefault();
    });
    this.#update();
  }

  get imageId() {
    return this.#scan?.id ?? null;
  }

  get frame() {
    return this.#scan?.frame ?? 0;
  }

  get frames() {
    return this.#scan?.info.frames ?? 1;
  }

  /** Show a scan. */
  async show(imageId, { frame = 0 } = {}) {
    const asked = ++this.#asked;
    const superseded = () => asked !== this.#asked;
    if (this.imageId !== imageId) this.#forget();
    const said = setTimeout(() => !superseded() && this.#stage.say(t("Loading the scan…")), SLOW_MS);
    try {
      const scan = scanHeld(imageId, frame) ?? (await scanOf(imageId, frame));
      if (superseded()) return false;
      await this.#adopt(scan, superseded);
      if (superseded()) return false;
      this.#stage.say(null);
      this.#stage.paint();
      this.#changed("page");
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

  /** Nothing of another scan stays on screen: it could be taken for this one. */
  #forget() {
    this.#scan = null;
    this.#stage.adopt(null);
    this.#stage.say(null);
    this.#stage.tables = null;
    this.#heat = null;
    this.#boxes = [];
    Object.assign(this.#stage.marks, { heat: null, boxes: [] });
    this.#measuring.clear();
    this.#status.scan(null);
    this.#update();
  }

  async #adopt(scan, superseded) {
    const last = scan.info.levels.length - 1;
    const stage = this.#stage;
    stage.scan = null; // nothing is painted with the look of the one before
    const mode = this.#liked.windowing ?? (scan.info.depth === 16 ? "auto" : "full");
    if (!scan.hasArea(last, scan.whole)) await scan.loadArea(last, scan.whole);
    if (superseded()) return;
    this.#scan = scan;
    stage.adopt(scan);
    this.windowing(mode, { quiet: true });
    this.#status.scan(scan.info);
    stage.marks.boxes = this.#boxesHere();
    if (!scan.hasArea(stage.level, stage.view.area)) {
      stage.paint();
      await stage.sharpen();
    }
    if (superseded()) return;
    await this.#equalise();
    if (this.#wanted) this.set(this.#wanted, "page");
    this.#wanted = null;
  }

  #afterwards(scan) {
    this.#loadHeat();
    // What is needed for zooming in; a failure shows when it is looked at.
    scan.loadSoon(this.#stage.level).then(() => this.#stage.repaint(), () => {});
  }

  /** Fetch and decode a scan that will be shown soon; failures wait until it is. */
  async preload(imageId, { frame = 0 } = {}) {
    try {
      const scan = await scanOf(imageId, frame);
      const view = new View();
      view.of({ width: scan.info.width, height: scan.info.height });
      view.resize(this.#stage.view.width, this.#stage.view.height);
      await scan.loadArea(scan.info.levels.length - 1, scan.whole);
      await scan.loadArea(view.level(scan.info.levels), scan.whole);
      if (this.#look.clahe) await countsOf(scan);
      return true;
    } catch {
      return false;
    }
  }

  get heat() {
    return this.#heat && { url: this.#heat.url };
  }

  set heat(wanted) {
    this.#heat = wanted?.url ? { url: wanted.url, asked: null } : null;
    this.#stage.marks.heat = null;
    this.#loadHeat();
    this.#stage.repaint();
    this.#update();
  }

  async #loadHeat() {
    const heat = this.#heat, frame = this.frame;
    if (!heat || !this.#liked.heatShown || !this.#scan || heat.asked === frame) return;
    heat.asked = frame;
    try {
      const found = await heatOf(heat.url, frame);
      if (heat !== this.#heat || frame !== this.frame) return;
      this.#stage.marks.heat = found;
      this.#stage.repaint();
    } catch (error) {
      heat.asked = null;
      if (heat === this.#heat) this.#tell(error);
    }
  }

  get boxes() {
    return this.#boxes;
  }

  set boxes(boxes) {
    this.#boxes = boxes ?? [];
    this.#stage.marks.boxes = this.#boxesHere();
    this.#stage.repaint();
  }

  #boxesHere() {
    return this.#liked.boxesShown ? this.#boxes.filter((box) => (box.frame ?? this.frame) === this.frame) : [];
  }

  get view() {
    return this.#stage.view;
  }

  get state() {
    const { view } = this.#stage, { width, middle } = windowOf(this.#look);
    const { gamma, invert, clahe, map } = this.#look, { heatShown, heatOpacity, boxesShown } = this.#liked;
    return {
      zoom: this.#scan ? view.zoom : null, centre: { x: view.x, y: view.y }, fitted: view.fitted, window: width, level: middle,
      windowing: this.#windowing, gamma, invert, clahe, map, heatShown, heatOpacity, boxesShown,
    };
  }

  set state(wanted) {
    if (this.#scan) this.set(wanted, "page");
    else this.#wanted = { ...this.#wanted, ...wanted };
  }

  /** Change parts of the state. */
  set(wanted, by = "person") {
    const { view } = this.#stage, look = this.#look;
    const within = (value, least, most) => Math.max(least, Math.min(most, value));
    if (wanted.window !== undefined || wanted.level !== undefined) {
      const now = windowOf(look);
      Object.assign(look, windowed(wanted.window ?? now.width, wanted.level ?? now.middle));
      this.#windowing = wanted.windowing ?? null;
    } else if (wanted.windowing) {
      this.windowing(wanted.windowing, { quiet: true });
    }
    if (wanted.gamma !== undefined) look.gamma = within(wanted.gamma, GAMMA.least, GAMMA.most);
    if (wanted.invert !== undefined) look.invert = Boolean(wanted.invert);
    if (wanted.map !== undefined && mapNames.includes(wanted.map)) look.map = wanted.map;
    if (wanted.clahe !== undefined) {
      look.clahe = wanted.clahe > 0 ? within(wanted.clahe, CLAHE.least, CLAHE.most) : 0;
      this.#equalise();
    }
    for (const name of ["heatShown", "heatOpacity", "boxesShown"]) {
      if (wanted[name] !== undefined) this.#liked[name] = wanted[name];
    }
    if (wanted.fitted) view.fit();
    else if (wanted.zoom) {
      view.zoomTo(wanted.zoom);
      if (wanted.centre) view.pan((view.x - wanted.centre.x) * view.zoom, (view.y - wanted.centre.y) * view.zoom);
    }
    this.#marked();
    this.#changed(by);
  }

  #marked() {
    const { marks } = this.#stage;
    marks.opacity = this.#liked.heatShown ? this.#liked.heatOpacity : 0;
    marks.boxes = this.#boxesHere();
    this.#loadHeat();
  }

  /** The window by a name of `WINDOWS`. */
  windowing(name, { quiet = false } = {}) {
    if (!this.#scan || !WINDOWS[name]) return;
    this.#scan.range ??= rangeOf(this.#scan);
    Object.assign(this.#look, WINDOWS[name](this.#scan.range));
    this.#windowing = name;
    if (!quiet) this.#changed("person");
  }

  async #equalise() {
    const scan = this.#scan, strength = this.#look.clahe;
    if (!scan || !strength) {
      this.#stage.tables = null;
      this.#stage.repaint();
      return;
    }
    try {
      const counts = await countsOf(scan);
      if (scan !== this.#scan || strength !== this.#look.clahe) return;
      this.#stage.tables = tablesOf(counts, strength);
      this.#stage.repaint();
    } catch (error) {
      this.#tell(error);
    }
  }

  #like(liked) {
    this.#liked = { ...liked };
    const { gamma, invert, clahe, map } = liked;
    Object.assign(this.#look, { gamma, invert, clahe, map });
    if (this.#scan) {
      this.windowing(liked.windowing ?? "full", { quiet: true });
      this.#equalise();
    }
    this.#marked();
    this.#stage.repaint();
    this.#update();
  }
}
