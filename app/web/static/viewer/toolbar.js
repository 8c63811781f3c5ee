/** The viewer's toolbar: tools and switches, and sliders behind one button. */

import { h } from "../elements.js";
import { t } from "../messages.js";
import { icon } from "./icons.js";
import { CLAHE, GAMMA } from "./look.js";

const TOOLS = () => [["pan", t("Move the scan"), "p"], ["window", t("Window and level"), "w"], ["measure", t("Measure"), "m"]];
const MAP_NAMES = () => ({
  file: t("As in the file"), grey: t("Grey"), bone: t("Bone"), iron: t("Iron"), viridis: t("Viridis"), spectrum: t("Spectrum"),
});
const WINDOW_NAMES = () => ({
  full: t("All values"), auto: t("Automatic"), dark: t("Dark parts"), middle: t("Middle"), light: t("Light parts"),
});

let count = 0;

export class Toolbar {
  constructor(viewer) {
    this.viewer = viewer;
    this.parts = {};
    this.element = h("div", { class: "viewer-bar", role: "toolbar", "aria-label": t("Viewer") },
      this._zoom(), this._tools(), this._look(), this._over(), this._frames(), this._end());
  }

  _button(name, drawing, does, key, run, attributes = {}) {
    const title = key ? `${does} (${key})` : does;
    this.parts[name] = h("button", { type: "button", class: "viewer-button", "data-name": name, title, "aria-label": does, "aria-keyshortcuts": key, onclick: run, ...attributes }, icon(drawing));
    return this.parts[name];
  }

  _zoom() {
    const { viewer } = this;
    this.parts.zoom = h("output", { class: "viewer-zoom", "aria-label": t("Zoom"), "aria-live": "off" }, "–");
    return h("div", { class: "viewer-group" },
      this._button("fit", "fit", t("Whole scan"), "0", () => viewer.fit()),
      this._button("actual", "actual", t("Pixel for pixel"), "1", () => viewer.zoomTo(1)),
      this._button("out", "out", t("Zoom out"), "-", () => viewer.zoomAt(0.8)),
      this.parts.zoom,
      this._button("in", "in", t("Zoom in"), "+", () => viewer.zoomAt(1.25)));
  }

  _tools() {
    return h("div", { class: "viewer-group", role: "group", "aria-label": t("Tool") },
      TOOLS().map(([tool, does, key]) =>
        this._button(`tool-${tool}`, tool, does, key, () => this.viewer.choose(tool), { "aria-pressed": "false" })));
  }

  _look() {
    const { viewer } = this;
    return h("div", { class: "viewer-group" },
      this._button("auto", "auto", t("Automatic window"), "a", () => viewer.toggleAuto(), { "aria-pressed": "false" }),
      this._button("invert", "invert", t("Invert"), "i", () => viewer.set({ invert: !viewer.state.invert }), { "aria-pressed": "false" }),
      this._button("clahe", "clahe", t("Local contrast (CLAHE)"), "e", () => viewer.toggleClahe(), { "aria-pressed": "false" }),
      this._adjust());
  }

  _adjust() {
    const id = `viewer-adjust-${++count}`;
    const options = (names) => Object.entries(names).map(([value, text]) => h("option", { value }, text));
    this.parts.windowing = h("select", { id: `${id}-windowing`, onchange: (event) => this.viewer.set({ windowing: event.target.value }) },
      h("option", { value: "", hidden: true }, t("By hand")), options(WINDOW_NAMES()));
    this.parts.map = h("select", { id: `${id}-map`, onchange: (event) => this.viewer.set({ map: event.target.value }) }, options(MAP_NAMES()));
    const panel = h("div", { id, class: "viewer-panel", popover: "auto" },
      h("div", { class: "viewer-choice" }, h("label", { for: `${id}-windowing` }, t("Values shown")), this.parts.windowing),
      h("div", { class: "viewer-choice" }, h("label", { for: `${id}-map` }, t("Colour map")), this.parts.map),
      this._slider("window", t("Window"), 0.01, 1, 0.01),
      this._slider("level", t("Level"), 0, 1, 0.005),
      this._slider("gamma", t("Gamma"), GAMMA.least, GAMMA.most, 0.05),
      this._slider("clahe", t("Local contrast"), 0, CLAHE.most, 0.5),
      this._slider("heatOpacity", t("Heat map"), 0.05, 1, 0.05),
      h("button", { type: "button", onclick: () => this.viewer.reset() }, icon("reset"), t("As it came"), " ", h("kbd", {}, "o")));
    const button = this._button("adjust", "adjust", t("Adjust the picture"), null, null, { "aria-expanded": "false" });
    button.setAttribute("popovertarget", id);
    panel.addEventListener("toggle", (event) => {
      button.setAttribute("aria-expanded", String(event.newState === "open"));
      if (event.newState === "open") this._place(panel, button);
    });
    return [button, panel];
  }

  _place(panel, button) {
    const at = button.getBoundingClientRect();
    panel.style.top = `${at.bottom + 6}px`;
    panel.style.left = `${Math.max(8, Math.min(at.left, innerWidth - panel.offsetWidth - 8))}px`;
  }

  _slider(name, text, min, max, step) {
    const input = h("input", { type: "range", min: String(min), max: String(max), step: String(step), "aria-label": text, oninput: (event) => this.viewer.set({ [name]: Number(event.target.value) }) });
    const said = h("output", { "aria-live": "off" });
    this.parts[`slider-${name}`] = { input, said };
    return h("div", { class: "viewer-slider" }, h("span", {}, text), input, said);
  }

  _over() {
    const { viewer } = this;
    return h("div", { class: "viewer-group" },
      this._button("heat", "heat", t("Heat map"), "h", () => viewer.set({ heatShown: !viewer.state.heatShown }), { "aria-pressed": "false" }),
      this._button("boxes", "boxes", t("Boxes that were judged"), "b", () => viewer.set({ boxesShown: !viewer.state.boxesShown }), { "aria-pressed": "true" }),
      this._button("bin", "bin", t("Remove measurements"), null, () => viewer.clearLines(), { hidden: true }));
  }

  _frames() {
    this.parts.frame = h("output", { class: "viewer-frame", "aria-label": t("Frame") });
    this.parts.frames = h("div", { class: "viewer-group", hidden: true },
      this._button("previous", "previous", t("Previous frame"), "PageUp", () => this.viewer.turn(-1)),
      this.parts.frame,
      this._button("next", "next", t("Next frame"), "PageDown", () => this.viewer.turn(1)));
    return this.parts.frames;
  }

  _end() {
    return h("div", { class: "viewer-group viewer-end" },
      this._button("reset", "reset", t("As it came: no changes to the picture"), "o", () => this.viewer.reset()),
      this._button("full", "full", t("Full screen: nothing but the scan"), "f", () => this.viewer.toggleFullScreen()));
  }

  /** Show a state: {state, tool, scan facts}. */
  update({ state, tool, frame, frames, changed, heatThere, lines }) {
    const { parts } = this, pressed = (name, on) => parts[name].setAttribute("aria-pressed", String(Boolean(on)));
    parts.zoom.textContent = state.zoom ? `${Math.round(100 * state.zoom)} %` : "–";
    for (const [name] of TOOLS()) pressed(`tool-${name}`, tool === name);
    pressed("auto", state.windowing === "auto");
    pressed("invert", state.invert);
    pressed("clahe", state.clahe > 0);
    pressed("heat", state.heatShown && heatThere);
    pressed("boxes", state.boxesShown);
    parts.heat.disabled = !heatThere;
    parts.reset.disabled = !changed;
    parts.bin.hidden = !lines;
    parts.map.value = state.map;
    parts.windowing.value = state.windowing ?? "";
    parts.frames.hidden = frames < 2;
    parts.frame.textContent = `${frame + 1} / ${frames}`;
    const shown = { window: `${Math.round(100 * state.window)} %`, level: `${Math.round(100 * state.level)} %`, gamma: state.gamma.toFixed(2),
      clahe: state.clahe ? state.clahe.toFixed(1) : t("off"), heatOpacity: `${Math.round(100 * state.heatOpacity)} %` };
    for (const [name, text] of Object.entries(shown)) {
      const { input, said } = parts[`slider-${name}`];
      input.value = state[name];
      said.textContent = text;
    }
  }
}
