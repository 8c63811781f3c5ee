/** What mouse, fingers, keys and buttons do to a viewer. */

import { CLAHE, mapNames } from "./look.js";

const ARROW = 80; // pixels of the screen
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const WINDOW_STEP = 0.02; // of full scale, for an arrow

export class Hands extends HTMLElement {
  tool = "pan";
  #pointer = null;

  /** Pixels of the screen, within the stage, of an event. */
  at(event) {
    const { left, top } = this.stage.element.getBoundingClientRect(), ratio = devicePixelRatio || 1;
    return { x: (event.clientX - left) * ratio, y: (event.clientY - top) * ratio };
  }

  #viewed() {
    if (this.imageId) this.changed("person");
  }

  panBy(dx, dy) {
    this.stage.view.pan(dx, dy);
    this.#viewed();
  }

  zoomAt(factor, at = {}) {
    this.stage.view.zoomBy(factor, at.x, at.y);
    this.#viewed();
  }

  zoomTo(zoom, at = {}) {
    this.stage.view.zoomTo(zoom, at.x, at.y);
    this.#viewed();
  }

  fit() {
    this.stage.view.fit();
    this.#viewed();
  }

  toggleFit(at) {
    const { view } = this.stage;
    if (view.fitted) this.zoomTo(Math.max(devicePixelRatio || 1, 2 * view.fitZoom), at);
    else this.fit();
  }

  /** Across changes the window's width, down its level: a drag across the stage is full scale. */
  windowBy(dx, dy) {
    const { window, level } = this.picture.state, { width, height } = this.stage.view;
    this.set({ window: window * Math.exp((3 * dx) / width), level: level + ((dy / height) * Math.max(window, 0.05)) });
  }

  arrow(key, far) {
    const [x, y] = ARROWS[key], { window, level } = this.picture.state, step = far ? 5 : 1;
    if (this.tool === "measure") this.measuring.move(x, y, far);
    else if (this.tool === "pan") this.panBy(-x * ARROW * step, -y * ARROW * step);
    else this.set({ window: window + x * WINDOW_STEP * step, level: level - y * WINDOW_STEP * step * Math.max(window, 0.1) });
  }

  choose(tool) {
    this.tool = tool;
    this.stage.element.dataset.tool = tool;
    if (tool === "measure") {
      this.stage.element.focus({ preventScroll: true });
      this.measuring.move(0, 0);
    } else {
      this.stage.marks.cross = null;
      this.stage.repaint();
    }
    this.update(); // the button, also where there is no scan
  }

  measureFrom(at) {
    this.measuring.from(at);
  }

  measureTo(at) {
    this.measuring.to(at);
  }

  measured() {
    this.measuring.end();
  }

  clearLines() {
    this.measuring.clear();
  }

  toggleAuto() {
    this.set({ windowing: this.picture.windowing === "auto" ? "full" : "auto" });
  }

  toggleClahe() {
    this.set({ clahe: this.picture.look.clahe ? 0 : CLAHE.usual });
  }

  nextMap() {
    const place = mapNames.indexOf(this.picture.look.map);
    this.set({ map: mapNames[(place + 1) % mapNames.length] });
  }

  reset() {
    this.picture.reset();
    this.changed("person");
  }

  /** Another frame of the same scan. */
  turn(by) {
    const frame = this.frame + by;
    if (frame < 0 || frame >= this.frames) return;
    this.show(this.imageId, { frame });
  }

  toggleFullScreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.stage.element.requestFullscreen?.();
  }

  /** Where the pointer is, or null; shown with the next picture. */
  point(at) {
    this.#pointer = at;
    this.readOut();
  }

  readOut() {
    const { stage, status } = this, at = this.#pointer;
    if (!at || !stage.scan) {
      if (!stage.marks.cross) status.at(null);
      return;
    }
    const [x, y] = stage.view.toScan(at.x, at.y);
    status.at(stage.scan, x, y, stage.marks.opacity ? stage.marks.heat : null);
  }

  /** Bring toolbar and status up to date. */
  update() {
    const { state, tool, frame, frames, heatThere } = this;
    this.toolbar.update({
      state, tool, frame, frames, heatThere, changed: this.picture.isChanged, lines: this.measuring.lines.length,
    });
    this.status.look(this.stage.scan?.info, state);
  }
}
