/** What stands in the way, in a strip above the bar: the work goes on below it. */

import { h } from "../elements.js";
import { language, plural, t } from "../messages.js";
import { said } from "./answers.js";

const SLOW_MS = 4000; // what waits longer than this is said

/** What the service said is in English; of a scan that is taken it can be said in every language. */
function why({ code, author, detail }) {
  if (language === "en" || code !== "taken") return detail;
  return t("{name} has answered it meanwhile, or is looking at it.", { name: author });
}

export class Trouble {
  /** @param {{move: () => void}} run  `move` goes on to the next scan */
  constructor(element, outbox, given, run) {
    Object.assign(this, { element, outbox, given, run, lost: null, unreachable: false, timer: 0 });
    outbox.addEventListener("change", () => this.#soon());
    this.show();
  }

  /** Somebody else has the scan on screen now; null takes it back. */
  taken(author) {
    this.lost = author;
    this.show();
  }

  /** Whether the next scans can be fetched. */
  set reachable(so) {
    if (this.unreachable === !so) return;
    this.unreachable = !so;
    this.show();
  }

  #soon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.show(true), SLOW_MS);
    this.show();
  }

  show(late = false) {
    const lines = [this.#connection(late), this.#lost(), this.#stuck()].filter(Boolean);
    const key = lines.map((line) => line.textContent).join("\n");
    if (key === this.key) return; // a button that somebody is about to press stays
    this.key = key;
    this.element.replaceChildren(...lines);
  }

  #connection(late) {
    const waiting = this.outbox.waiting.length;
    const gone = this.outbox.offline || this.unreachable;
    if (!gone && !(late && waiting)) return null;
    const kept = waiting ? plural("{count} answer waits on this computer and goes out by itself.", "{count} answers wait on this computer and go out by themselves.", waiting) : t("Nothing of your work is lost.");
    return h("p", { "data-kind": "open" }, h("span", {}, gone ? t("The service does not answer.") : t("The service is slow."), " ", kept));
  }

  #lost() {
    if (!this.lost) return null;
    return h("p", { "data-kind": "open" },
      h("span", {}, t("{name} looks at this scan now: it was yours too long ago. Go on with the next one, or answer all the same.", { name: this.lost })),
      h("button", { type: "button", onclick: this.run.move }, t("Next scan")));
  }

  #stuck() {
    const [first, ...more] = this.outbox.stuck;
    if (!first) return null;
    const taken = first.problem.code === "taken";
    return h("p", { "data-kind": "finding" },
      h("span", {}, h("b", {}, first.name), ": ", why(first.problem), " ",
        first.kind === "give" ? t("Your answer was: {word}.", { word: said(first.body, this.given.classes) }) : null,
        more.length ? ` ${plural("{count} more waits for you.", "{count} more wait for you.", more.length)}` : null),
      taken && h("button", { type: "button", onclick: () => this.outbox.insist(first.key) }, t("Keep mine as a second opinion")),
      h("button", { type: "button", onclick: () => this.outbox.drop(first.key) }, first.kind === "give" ? t("Drop mine") : t("Leave it")));
  }
}
