/** The line under the scan: what is at the pointer, how long a measurement is, the window, the scan's size. */

import { h } from "../elements.js";
import { number, t } from "../messages.js";
import { evidenceAt } from "./heat.js";
import { lengthText } from "./marks.js";

export class Status {
  constructor() {
    this.place = h("output", { class: "viewer-place", "aria-live": "off" });
    this.length = h("output", { class: "viewer-length" });
    this.window = h("output", { class: "viewer-window", "aria-live": "off" });
    this.size = h("span", { class: "viewer-size" });
    this.element = h("div", { class: "viewer-status" }, this.place, this.length, this.window, this.size);
  }

  /** The scan's facts; null while there is none. */
  scan(info) {
    this.size.textContent = info
      ? [`${number(info.width)} × ${number(info.height)}`, t("{bits} bit", { bits: info.bits }), info.colour ? t("colour") : null].filter(Boolean).join(" · ")
      : "";
    this.at(null);
    this.length.textContent = "";
  }

  look(info, { window, level }) {
    if (!info) return;
    const full = 2 ** info.bits - 1;
    this.window.textContent = t("Window {width} Level {middle}", { width: number(Math.round(window * full)), middle: number(Math.round(level * full)) });
  }

  /** What is at a pixel of the scan. */
  at(scan, x, y, heat) {
    const inside = scan && x >= 0 && y >= 0 && x < scan.info.width && y < scan.info.height;
    const value = inside && scan.valueAt(x, y);
    if (!value) {
      this.place.textContent = "";
      return;
    }
    const { bits, depth } = scan.info;
    const said = value.samples.map((sample) => number(Math.round((sample / (2 ** depth - 1)) * (2 ** bits - 1)))).join(" ");
    const parts = [`x ${number(Math.floor(x))}  y ${number(Math.floor(y))}`, `${value.exact ? "" : "≈ "}${said}`];
    const evidence = heat ? evidenceAt(heat, x, y) : null;
    if (evidence !== null) {
      const words = { amount: Math.abs(evidence).toFixed(2), what: heat.positive ?? "" };
      parts.push(evidence > 0 ? t("{amount} for {what}", words) : t("{amount} against {what}", words));
    }
    this.place.textContent = parts.join("   ");
  }

  /** Something beside the scan did not work; until the next scan. */
  problem(text) {
    this.length.textContent = text;
  }

  measured(line, spacing) {
    this.length.textContent = line ? lengthText(line, spacing) : "";
  }
}
