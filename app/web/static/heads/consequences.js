/** What a threshold does, in words and tables: the confusion matrix, missed cases and workload, against the head's own. */

import { fill, h } from "../elements.js";
import { perThousand } from "./points.js";
import { classWord, number, percent, t } from "../messages.js";
import { probability, said } from "./plots.js";

/**
 * Fill `place`, and return what says a point in words: `tell(at, share)`.
 * @param {Element} place
 * @param {Object} all  operating points
 */
export function consequences(place, all, drawn, head) {
  const positive = classWord(drawn.positive);
  const negative = classWord(drawn.classes.find((name) => name !== drawn.positive));
  const matrix = h("div", { class: "panel" });
  const table = h("div", { class: "panel" });
  place.append(matrix, table);

  return function tell(at, share) {
    const point = all.points[at];
    const mine = at === all.own;
    const lower = mine && all.review !== null ? all.points[all.review] : point;
    fill(matrix, h("h2", {}, mine ? t("Confusion at the head's own threshold") : t("Confusion at {threshold}", { threshold: probability(point.threshold) })),
      confusion(all, point, lower, positive, negative),
      h("p", { class: "hint" }, t("Rows of the report: labelled scans that the head had not seen.")));
    fill(table, ...workload(all, point, lower, share, positive));
    return sentence(all, point, lower, share, mine, positive);
  };
}

function confusion(all, point, lower, positive, negative) {
  const band = lower !== point;
  const row = (name, size, called, reviewed, positiveRow) => {
    const cells = [size - called - reviewed, ...(band ? [reviewed] : []), called];
    return h("tr", {}, h("th", { scope: "row" }, t("labelled {name}", { name })), cells.map((count, column) => {
      const last = column === cells.length - 1;
      const wrong = positiveRow ? column === 0 : last;
      const cell = h("td", { "data-wrong": wrong && count ? "" : null }, h("strong", {}, number(count)), h("span", { class: "muted small" }, percent(size ? count / size : null)));
      cell.style.background = `color-mix(in srgb, var(${wrong ? "--finding" : "--accent"}) ${Math.round(22 * (count / (size || 1)))}%, transparent)`;
      return cell;
    }));
  };
  return h("table", { class: "matrix" },
    h("thead", {}, h("tr", {}, h("td"), h("th", { scope: "col" }, t("decided {name}", { name: negative })), band && h("th", { scope: "col" }, t("sent to a person")), h("th", { scope: "col" }, t("decided {name}", { name: positive })))),
    h("tbody", {}, row(negative, all.negatives, point.alarms, lower.alarms - point.alarms, false), row(positive, all.positives, point.found, lower.found - point.found, true)));
}

function workload(all, point, lower, share, positive) {
  const here = perThousand(all, point, share, lower);
  const ours = ownPerThousand(all, share);
  const line = (name, key, hint) => h("tr", {}, h("th", { scope: "row" }, name, hint && h("span", { class: "muted" }, ` ${hint}`)),
    h("td", { class: "number" }, figure(here[key])), h("td", { class: "number" }, figure(ours[key])), h("td", { class: "number" }, signed(here[key] - ours[key])));
  const precision = (one) => (one.opened ? (1000 * share - one.missed) / one.opened : null);
  return [
    h("h2", {}, t("Of 1,000 scans, {share} of them {name}", { share: `${said(share * 100, share < 0.001 ? 4 : 2)} %`, name: positive })),
    h("table", { class: "against" },
      h("thead", {}, h("tr", {}, h("td"), h("th", { class: "number" }, t("here")), h("th", { class: "number" }, t("the head's own")), h("th", { class: "number" }, t("difference")))),
      h("tbody", {}, line(t("to open"), "opened"), line(t("missed"), "missed", t("{name}, not opened", { name: positive })), line(t("false alarms"), "alarms"),
        h("tr", {}, h("th", { scope: "row" }, t("of those opened, {name}", { name: positive })), h("td", { class: "number" }, percent(precision(here))), h("td", { class: "number" }, percent(precision(ours))), h("td")))),
  ];
}

export function ownPerThousand(all, share) {
  return perThousand(all, all.points[all.own], share, all.points[all.review ?? all.own]);
}

function sentence(all, point, lower, share, mine, positive) {
  const here = perThousand(all, point, share, lower);
  const counts = { missed: number(all.positives - lower.found), all: number(all.positives), name: positive, alarms: number(point.alarms), others: number(all.negatives) };
  const first = t("Misses {missed} of {all} labelled {name}, raises a false alarm on {alarms} of {others} others.", counts);
  if (mine) return [first, t("Of 1,000 scans {opened} are to be opened and {missed} missed: this is what the head does.", { opened: figure(here.opened), missed: figure(here.missed) })].join(" ");
  const ours = ownPerThousand(all, share);
  const [more, misses] = [here.opened - ours.opened, here.missed - ours.missed];
  const work = more >= 0 ? t("{count} more to open", { count: figure(more) }) : t("{count} fewer to open", { count: figure(-more) });
  const lost = misses >= 0 ? t("{count} more missed", { count: figure(misses) }) : t("{count} fewer missed", { count: figure(-misses) });
  return [first, t("Of 1,000 scans: {work}, {lost}, compared with the head's own threshold.", { work, lost })].join(" ");
}

/** A count of 1,000 scans: whole where it is large, with its first digits where it is small. */
function figure(value) {
  return Math.abs(value) < 1e-9 ? "0" : said(value, Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 1 ? 1 : 3);
}

const signed = (value) => (Math.abs(value) < 1e-9 ? "0" : `${value > 0 ? "+" : "−"}${figure(Math.abs(value))}`);
