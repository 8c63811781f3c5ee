/** The bar below the scan: the answers with their keys, the reason, undo, how far it is. */

import { h } from "../elements.js";
import { number, t } from "../messages.js";
import { answers } from "./answers.js";

const REASONS = "penumbra-reasons";
const MOST_REASONS = 8;

export class Bar {
  /** @param {HTMLElement} element  @param {Object} given  @param {{answer, undo}} run  what the buttons do */
  constructor(element, given, run) {
    this.given = given;
    this.run = run;
    this.places = [0, 1].map((place) => this.#answer(place));
    this.cannot = this.#button("j", t("Cannot judge"), () => run.answer({ verdict: "cannot_judge" }));
    this.skip = this.#button("s", t("Skip"), () => run.answer({ verdict: "skip" }));
    this.undo = this.#button("u", t("Undo"), run.undo);
    this.undo.classList.add("work-undo");
    this.last(null);
    this.reasons = h("datalist", { id: "reasons" });
    this.reason = h("input", { id: "reason", list: "reasons", maxlength: "500", autocomplete: "off", placeholder: t("Reason, if you like"), "aria-label": t("Reason"), onkeydown: (event) => this.#leave(event) });
    this.far = h("p", { class: "work-far muted small", "aria-live": "off" });
    element.append(
      h("div", { class: "work-answers", role: "group", "aria-label": t("Your answer") }, this.places, this.cannot, this.skip),
      h("div", { class: "work-reason" }, this.reason, h("kbd", { "aria-hidden": "true" }, "R"), this.reasons),
      this.undo, this.far);
    this.#recall();
    this.show(null);
  }

  #button(key, text, run) {
    return h("button", { type: "button", "aria-keyshortcuts": key, onclick: run }, h("kbd", { "aria-hidden": "true" }, key.toUpperCase()), h("span", {}, text));
  }

  #answer(place) {
    const button = this.#button("c", "", () => this.pick(place));
    button.classList.add("work-class");
    return button;
  }

  /** Answer by a place on the bar. */
  pick(place) {
    const chosen = this.choices?.[place];
    if (chosen) this.run.answer(chosen);
  }

  /** The choice that a key means for this scan. */
  byKey(key) {
    return this.choices?.find((choice) => choice.key === key || choice.also === key);
  }

  show(item) {
    this.choices = item ? answers(item, this.given) : null;
    this.reason.value = "";
    for (const [place, button] of this.places.entries()) {
      const choice = this.choices?.[place];
      button.classList.toggle("primary", Boolean(choice?.primary));
      button.querySelector("kbd").textContent = (choice?.key ?? "").toUpperCase();
      button.querySelector("span").textContent = choice?.text ?? "–";
      button.setAttribute("aria-keyshortcuts", choice?.key ?? "");
    }
    for (const one of [...this.places, this.cannot, this.skip, this.reason]) one.disabled = !item;
  }

  /** What undo takes back: {name, word} of the last answer, or null. */
  last(answered) {
    this.undo.disabled = !answered;
    this.undo.title = answered ? `${answered.name}: ${answered.word}` : "";
    this.undo.querySelector("span").textContent = answered ? t("Undo: {word}", { word: answered.word }) : t("Undo");
  }

  /** While a scan is not on screen its class cannot be said. */
  set seen(so) {
    for (const button of this.places) button.setAttribute("aria-disabled", String(!so));
  }

  progress({ open, mine, left }) {
    const parts = [left === null ? null : t("{count} to go", { count: number(left) }),
      open === null || left !== null ? null : t("{count} open", { count: number(open) }),
      t("{count} by you today", { count: number(mine) })];
    this.far.replaceChildren(...parts.filter(Boolean).map((text) => h("span", {}, text)));
  }

  /** A key press shows on its button. */
  flash(button) {
    button.animate?.([{ filter: "brightness(1.5)" }, { filter: "none" }], { duration: 180 });
  }

  #leave(event) {
    if (event.key !== "Enter" && event.key !== "Escape") return;
    if (event.key === "Escape") this.reason.value = "";
    event.preventDefault();
    document.getElementById("main").focus({ preventScroll: true });
  }

  /** The reason that was typed; it is offered again for the next scans. */
  takeReason() {
    const reason = this.reason.value.trim();
    if (reason) this.#offer([reason, ...this.#known().filter((one) => one !== reason)].slice(0, MOST_REASONS));
    return reason;
  }

  #known() {
    try {
      return JSON.parse(localStorage.getItem(REASONS)) ?? [];
    } catch {
      return [];
    }
  }

  #offer(reasons) {
    try {
      localStorage.setItem(REASONS, JSON.stringify(reasons));
    } catch {
      // a full store: they are typed again
    }
    this.#recall();
  }

  #recall() {
    this.reasons.replaceChildren(...this.#known().map((value) => h("option", { value })));
  }
}
