/** Decisions that a promotion would change: how many of which kind, and each with its scan. */

import { get, query } from "../api.js";
import { fill, h } from "../elements.js";
import { classWord, number, percent, t } from "../messages.js";
import { explain } from "../notices.js";

const PAGE = 48;
const UNJUDGED = "(unjudged)";
const word = (decision) => (decision === UNJUDGED ? t("not judged") : classWord(decision));

/** Scans by decision before (rows) and after (columns). */
export function turned(flips) {
  const before = Object.keys(flips);
  const after = [...new Set(before.flatMap((name) => Object.keys(flips[name])))].sort();
  return h("details", { class: "flips" }, h("summary", {}, t("Before and after, in numbers")),
    h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": t("Before and after, in numbers") }, h("table", {},
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("before")), after.map((name) => h("th", { scope: "col" }, t("would be {name}", { name: word(name) }))))),
      h("tbody", {}, before.map((name) => h("tr", {}, h("th", { scope: "row" }, word(name)), after.map((then) => h("td", {}, h(name === then ? "span" : "strong", { class: name === then ? "muted" : null }, number(flips[name][then] ?? 0))))))))));
}

/** The flipped decisions, the furthest moved first, by kind. */
export function flipList(head, standing) {
  if (!standing.flipped) return null;
  const kinds = Object.entries(standing.flips).filter(([before]) => before !== UNJUDGED)
    .flatMap(([before, counts]) => Object.entries(counts).filter(([after]) => after !== before).map(([after, count]) => ({ before, after, count })))
    .sort((a, b) => b.count - a.count);
  const list = h("ul", { class: "scans", "aria-label": t("Decisions that would change") });
  const more = h("button", { type: "button", onclick: () => load() }, t("Show more"));
  const chooser = h("div", { class: "flip-kinds", role: "group", "aria-label": t("Kind of change") });
  let chosen = null;
  let cursor = null;

  const buttons = [null, ...kinds].map((kind) => h("button", { type: "button", onclick: () => choose(kind) },
    kind ? t("{before} → {after}: {count}", { before: word(kind.before), after: word(kind.after), count: number(kind.count) }) : t("All: {count}", { count: number(standing.flipped) })));
  chooser.append(...(kinds.length > 1 ? buttons : []));

  function choose(kind) {
    chosen = kind;
    cursor = null;
    buttons.forEach((button, index) => button.setAttribute("aria-pressed", String(([null, ...kinds])[index] === kind)));
    fill(list);
    load();
  }

  async function load() {
    more.disabled = true;
    try {
      const page = await get(`/v1/heads/${head.id}/replay/flips${query({ limit: PAGE, cursor, before: chosen?.before, after: chosen?.after })}`);
      list.append(...page.items.map((flip) => card(flip, head)));
      cursor = page.next;
      more.hidden = cursor === null;
    } catch (error) {
      list.append(h("li", { class: "problem" }, explain(error)));
    }
    more.disabled = false;
  }

  choose(null);
  return h("div", {}, chooser, h("div", { class: "flip-list", tabindex: 0, role: "region", "aria-label": t("Decisions that would change") }, list, h("p", {}, more)));
}

function card(flip, head) {
  const [before, after] = [word(flip.before), word(flip.after)];
  const picture = h("img", { class: "thumbnail", src: `/v1/images/${flip.image_id}/thumbnail?size=256`, alt: t("Scan that was {before} and would be {after}", { before, after }), loading: "lazy", decoding: "async", width: 256, height: 154 });
  picture.addEventListener("error", () => picture.replaceWith(h("span", { class: "muted" }, t("The scan cannot be shown."))));
  return h("li", { class: "scan" },
    h("a", { href: `/images/${flip.image_id}?task=${encodeURIComponent(head.task)}`, target: "_blank" }, picture),
    h("span", { class: "row" }, h("span", {}, before), h("span", { "aria-hidden": "true" }, "→"), h("strong", {}, after)),
    h("span", { class: "muted small" }, `${percent(flip.probability_before)} → ${percent(flip.probability_after)}`));
}
