/** The area that the scan is painted on: canvases, the part of the scan on screen, and the tiles that it waits for. */

import { h } from "../elements.js";
import { GlPainter } from "./gl-painter.js";
import { drawMarks } from "./marks.js";
import { PlanePainter } from "./plane-painter.js";
import { View } from "./view.js";

export class Stage {
  /** @param {{label: string, failed: (error: Error) => void, painted: () => void}} wanted */
  constructor({ label, failed, painted }) {
    this.failed = failed;
    this.painted = painted;
    this.view = new View();
    this.scan = null;
    this.look = null;
    this.tables = null;
    this.marks = { heat: null, opacity: 0, boxes: [], lines: [], cross: null, spacing: null };
    this.said = h("p", { class: "viewer-said", role: "status", hidden: true });
    this.over = h("canvas", { class: "viewer-marks", "aria-hidden": "true" });
    this.element = h("div", { class: "viewer-stage", tabindex: "0", role: "application", "aria-label": label }, this.over, this.said);
    this._frame = 0;
    this._wanting = null;
    this._sized = new ResizeObserver(() => this.resize());
  }

  start() {
    if (this.scan) this.scan.pinned += 1;
    this._canvas();
    this._sized.observe(this.element);
    this.resize();
  }

  stop() {
    if (this.scan) this.scan.pinned -= 1;
    this._sized.disconnect();
    cancelAnimationFrame(this._frame);
    this._frame = 0;
    this.painter?.dispose();
    this.painter = null;
  }

  _canvas() {
    this.canvas?.remove();
    this.canvas = h("canvas", { class: "viewer-scan", "aria-hidden": "true" });
    const asked = new URLSearchParams(location.search).get("painter"); // "webgl" or "2d", to compare them
    try {
      if (asked === "2d") throw new Error("asked for");
      this.painter = new GlPainter(this.canvas, { slow: asked === "webgl" });
    } catch {
      this.canvas = h("canvas", { class: "viewer-scan", "aria-hidden": "true" }); // one that was asked for WebGL2 may give nothing else
      this.painter = new PlanePainter(this.canvas);
    }
    this.painter.onrestored = () => this.repaint();
    this.element.prepend(this.canvas);
  }

  resize() {
    const ratio = devicePixelRatio || 1;
    const width = Math.max(1, Math.round(this.element.clientWidth * ratio));
    const height = Math.max(1, Math.round(this.element.clientHeight * ratio));
    if (width === this.view.width && height === this.view.height && this.canvas.width === width) return;
    for (const canvas of [this.canvas, this.over]) Object.assign(canvas, { width, height });
    this.view.resize(width, height);
    this.paint(); // at once: a canvas that changed its size is blank
  }

  /** The finest level that is of use at this zoom and that the painter can hold. */
  get level() {
    const levels = this.scan.info.levels;
    for (let level = this.view.level(levels); ; level++) {
      const { left, right, top, bottom } = this.scan.touched(level, this.view.area);
      if (level === levels.length - 1 || Math.max(right - left, bottom - top) < this.painter.mostTiles) return level;
    }
  }

  /** Show a scan from now on, whole; another frame of the same size stays where one was looking. */
  adopt(scan) {
    const before = this.scan;
    if (before) before.pinned -= 1;
    this.scan = scan;
    this.tables = null;
    if (!scan) {
      this.clear();
      return;
    }
    scan.pinned += 1;
    const { width, height } = scan.info;
    if (before?.id !== scan.id || before.info.width !== width || before.info.height !== height) this.view.of({ width, height });
    this.marks.spacing = scan.info.spacing_mm;
  }

  clear() {
    this.painter?.clear();
    this.over.getContext("2d").clearRect(0, 0, this.over.width, this.over.height);
  }

  /** Fetch what is sharp for the part on screen. */
  sharpen() {
    return this.scan.loadArea(this.level, this.view.area);
  }

  repaint() {
    this._frame ||= requestAnimationFrame(() => {
      this._frame = 0;
      this.paint();
    });
  }

  paint() {
    if (!this.scan || !this.painter || !this.look) return;
    const more = this.painter.paint(this.scan, this.view, this.look, this.tables, this.level);
    drawMarks(this.over, this.view, this.marks);
    this.painted();
    if (more) this.repaint();
    if (!this.scan.hasArea(this.level, this.view.area)) this._want();
  }

  /** One batch of tiles at a time: what was asked for while zooming past is not fetched. */
  _want() {
    if (this._wanting) return;
    const { scan } = this;
    this._wanting = this.sharpen()
      .catch((error) => { if (scan === this.scan) this.failed(error); return "failed"; })
      .then((said) => {
        this._wanting = null;
        if (said !== "failed") this.repaint();
      });
  }

  /** Words in the middle of the stage, or none. */
  say(text, kind = "wait") {
    this.said.hidden = !text;
    this.said.textContent = text ?? "";
    this.said.dataset.kind = kind;
  }
}

/** Resolves when what was just painted is on its way to the screen. */
export const presented = () =>
  new Promise((resolve) => (document.hidden ? resolve() : requestAnimationFrame(() => resolve())));
