/** Plots as SVG: axes with ticks, curves, marks; each with a name, a description and its figures as a table. */

import { h } from "../elements.js";
import { language, t } from "../messages.js";

const SPACE = "http://www.w3.org/2000/svg";
const WIDTH = 380;
const HEIGHT = 290;
const LEFT = 56;
const RIGHT = 20;
const TOP = 10;
const BOTTOM = 42;

/** An SVG element. */
export function s(tag, attributes = {}, ...children) {
  const made = document.createElementNS(SPACE, tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== null && value !== undefined) made.setAttribute(name, value);
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return made;
}

/** A number as an axis says it. */
export function said(value, digits = 3) {
  return new Intl.NumberFormat(language, { maximumFractionDigits: digits }).format(value);
}

/** A probability, with more digits the nearer it is to certainty. */
export function probability(p) {
  const digits = Math.min(p, 1 - p) < 0.001 ? 6 : Math.min(p, 1 - p) < 0.01 ? 4 : 3;
  return new Intl.NumberFormat(language, { minimumFractionDigits: 3, maximumFractionDigits: digits }).format(p);
}

/**
 * A plot: a figure with its caption, an SVG that follows `draw`, and a table.
 * @param {{title: string, x: string, y: string, hint?: string, table?: {head: string[], rows: () => (string|number)[][]},
 *   describe?: () => string, height?: number, width?: number}} wanted
 */
export class Plot {
  constructor({ title, x, y, hint = "", table, height = HEIGHT, width = WIDTH }) {
    this.width = width;
    this.height = height;
    this.labels = { x, y };
    this.title = s("title", {}, title);
    this.described = s("desc");
    this.layer = s("g");
    this.marks = s("g");
    this.axes = s("g", { "aria-hidden": "true" });
    this.svg = s("svg", { viewBox: `0 0 ${width} ${height}`, role: "img" }, this.title, this.described, this.axes, this.layer, this.marks);
    this.caption = h("figcaption", {}, h("span", {}, title));
    this.figure = h("figure", { class: "plot panel" }, this.caption, this.svg, hint && h("p", { class: "hint" }, hint), table && tableOf(title, table));
    this.scale([0, 1], [0, 1]);
  }

  /** Set what the axes span, and draw them. */
  scale(x, y, { xTicks = ticks(x), yTicks = ticks(y) } = {}) {
    this.spans = { x, y };
    const bottom = this.height - BOTTOM;
    this.axes.replaceChildren(
      ...yTicks.map((value) => [s("line", { class: "axis", x1: LEFT, x2: this.width - RIGHT, y1: this.y(value), y2: this.y(value) }),
        s("text", { x: LEFT - 6, y: this.y(value) + 4, "text-anchor": "end" }, said(value, 4))]).flat(),
      ...xTicks.map((value) => s("text", { x: this.x(value), y: bottom + 16, "text-anchor": "middle" }, said(value, 4))),
      s("line", { class: "axis", x1: LEFT, x2: LEFT, y1: TOP, y2: bottom }),
      s("text", { x: (LEFT + this.width - RIGHT) / 2, y: this.height - 8, "text-anchor": "middle" }, this.labels.x),
      s("text", { x: -(TOP + bottom) / 2, y: 11, "text-anchor": "middle", transform: "rotate(-90)" }, this.labels.y),
    );
  }

  x(value) {
    const [low, high] = this.spans.x;
    return round(LEFT + ((value - low) / (high - low || 1)) * (this.width - LEFT - RIGHT));
  }

  y(value) {
    const [low, high] = this.spans.y;
    const bottom = this.height - BOTTOM;
    return round(bottom - ((value - low) / (high - low || 1)) * (bottom - TOP));
  }

  /** The values that a place on the plot stands for. */
  at(event) {
    const box = this.svg.getBoundingClientRect();
    const [px, py] = [((event.clientX - box.left) / box.width) * this.width, ((event.clientY - box.top) / box.height) * this.height];
    const { x, y } = this.spans;
    const bottom = this.height - BOTTOM;
    return [x[0] + ((px - LEFT) / (this.width - LEFT - RIGHT)) * (x[1] - x[0]), y[0] + ((bottom - py) / (bottom - TOP)) * (y[1] - y[0])];
  }

  /** A line through points [x, y], cut off at the edges of the plot. */
  line(points, attributes = {}) {
    const clip = `clip-${(Plot.count = (Plot.count ?? 0) + 1)}`;
    const path = points.map(([x, y], index) => `${index ? "L" : "M"}${this.x(x)} ${this.y(y)}`).join("");
    const bottom = this.height - BOTTOM;
    return s("g", {}, s("clipPath", { id: clip }, s("rect", { x: LEFT - 2, y: TOP - 2, width: this.width - LEFT - RIGHT + 4, height: bottom - TOP + 4 })),
      s("path", { class: "line", d: path, "clip-path": `url(#${clip})`, ...attributes }));
  }

  /** A mark at a point; nothing where the point lies outside the plot. */
  dot(x, y, kind, size = 6) {
    const [[left, right], [low, high]] = [this.spans.x, this.spans.y];
    const inside = x >= left - 1e-9 && x <= right + 1e-9 && y >= low - 1e-9 && y <= high + 1e-9;
    return inside ? s("circle", { class: kind, cx: this.x(x), cy: this.y(y), r: size }) : null;
  }

  /** A line from top to bottom. */
  upright(x, kind) {
    return s("line", { class: kind, x1: this.x(x), x2: this.x(x), y1: TOP, y2: this.height - BOTTOM });
  }

  box(x0, x1, y, kind) {
    return s("rect", { class: kind, x: this.x(x0) + 0.5, width: Math.max(this.x(x1) - this.x(x0) - 1, 0.5), y: this.y(y), height: Math.max(this.y(this.spans.y[0]) - this.y(y), 0) });
  }

  describe(text) {
    this.described.textContent = text;
  }

  /** Let a pointer choose: `choose([x, y])` for a click and while it is dragged. */
  draggable(choose) {
    this.figure.dataset.drag = "";
    this.svg.addEventListener("pointerdown", (event) => {
      this.svg.setPointerCapture(event.pointerId);
      choose(this.at(event));
    });
    this.svg.addEventListener("pointermove", (event) => this.svg.hasPointerCapture(event.pointerId) && choose(this.at(event)));
  }
}

/** About five round numbers between both ends. */
export function ticks([low, high]) {
  const rough = (high - low) / 5 || 1;
  const size = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((one) => one * size).find((one) => one >= rough - 1e-12);
  const found = [];
  for (let value = Math.ceil(low / step - 1e-9) * step; value <= high + step * 1e-6; value += step) found.push(Number(value.toPrecision(10)));
  return found;
}

function tableOf(title, { head, rows }) {
  const body = h("tbody");
  const details = h("details", {}, h("summary", {}, t("Figures as a table")),
    h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": title }, h("table", {}, h("thead", {}, h("tr", {}, head.map((name) => h("th", { class: "number" }, name)))), body)));
  details.addEventListener("toggle", () => {
    if (details.open && !body.children.length) body.append(...rows().map((row) => h("tr", {}, row.map((cell) => h("td", { class: "number" }, String(cell))))));
  });
  return details;
}

const round = (value) => Math.round(value * 100) / 100;
