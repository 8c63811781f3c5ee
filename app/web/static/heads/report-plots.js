/** The plots of a report. Those of `livePlots` follow the threshold; a click or a drag on them chooses one. */

import { ownPerThousand } from "./consequences.js";
import { perThousand } from "./points.js";
import { h } from "../elements.js";
import { classWord, number, percent, t } from "../messages.js";
import { Plot, probability, said, s } from "./plots.js";

const CORNERS = [0.02, 0.05, 0.1, 0.2, 0.5, 1];

/**
 * @param {Object} all  operating points
 * @param {(at: number) => void} choose  sets the threshold to one of them
 * @returns {Plot[]}
 */
export function livePlots(all, drawn, choose) {
  return [roc(all, drawn, choose), precisionRecall(all, drawn, choose), workload(all, choose), histogram(all, drawn, choose)];
}

export function stillPlots(drawn) {
  return [drawn.reliability && calibration(drawn.reliability), drawn.learning_curve?.points?.length > 1 && learning(drawn.learning_curve.points)].filter(Boolean);
}

const rates = (all, point) => ({ recall: point.found / all.positives, alarms: point.alarms / all.negatives, precision: point.found + point.alarms ? point.found / (point.found + point.alarms) : 1 });

/** Lets a plot show its corner, where good heads differ, or all of it. */
function zoomable(plot, whole, corner, redraw) {
  const button = h("button", { type: "button", "aria-pressed": "true", onclick: () => set(button.getAttribute("aria-pressed") !== "true") }, t("Corner only"));
  const set = (on) => {
    button.setAttribute("aria-pressed", String(on));
    plot.scale(...(on ? corner : whole));
    redraw();
  };
  const smaller = JSON.stringify(corner) !== JSON.stringify(whole);
  if (smaller) plot.caption.append(button);
  set(smaller);
}

const nearest = (all, distance) => all.points.reduce((best, point, at) => (distance(point) < distance(all.points[best]) ? at : best), 0);

function roc(all, drawn, choose) {
  const { area } = drawn.curves.roc;
  const own = rates(all, all.points[all.own]);
  const plot = new Plot({
    title: t("ROC curve"), x: t("false alarms"), y: t("found"),
    hint: t("Area {area}. Ring: the head's own threshold. The further up and left, the better.", { area: said(area, 4) }),
    table: tableOf(all, [t("Threshold"), t("Found"), t("False alarms")], (one) => [percent(one.recall), percent(one.alarms)]),
  });
  const corner = CORNERS.find((size) => size >= 2.2 * Math.max(own.alarms, 1 - own.recall)) ?? 1;
  const line = all.points.map((point) => rates(all, point)).reverse();
  let last = all.own;
  const redraw = () => {
    plot.layer.replaceChildren(plot.line([[0, 0], [1, 1]], { class: "guide" }), plot.line([[0, 0], ...line.map((one) => [one.alarms, one.recall]), [1, 1]]));
    plot.show(last);
  };
  plot.show = (at) => {
    last = at;
    const now = rates(all, all.points[at]);
    plot.marks.replaceChildren(...[plot.dot(own.alarms, own.recall, "own", 8), plot.dot(now.alarms, now.recall, "now")].filter(Boolean));
    plot.describe(t("At {threshold} it finds {found} with {alarms} false alarms.", { threshold: probability(all.points[at].threshold), found: percent(now.recall), alarms: percent(now.alarms) }));
  };
  plot.draggable(([x, y]) => choose(nearest(all, (point) => Math.hypot(rates(all, point).alarms - x, rates(all, point).recall - y))));
  zoomable(plot, [[0, 1], [0, 1]], [[0, corner], [1 - corner, 1]], redraw);
  return plot;
}

function precisionRecall(all, drawn, choose) {
  const { average_precision: area, prevalence } = drawn.curves.precision_recall;
  const own = rates(all, all.points[all.own]);
  const plot = new Plot({
    title: t("Precision and recall"), x: t("found"), y: t("of those called, right"),
    hint: t("Area {area}, at the rows' own mix: {share} positive. Where fewer are, fewer of those called are right.", { area: said(area, 4), share: percent(prevalence) }),
    table: tableOf(all, [t("Threshold"), t("Found"), t("Precision")], (one) => [percent(one.recall), percent(one.precision)]),
  });
  const corner = CORNERS.find((size) => size >= 2.2 * Math.max(1 - own.precision, 1 - own.recall)) ?? 1;
  const line = all.points.map((point) => rates(all, point)).reverse();
  let last = all.own;
  const redraw = () => {
    plot.layer.replaceChildren(plot.line(line.map((one) => [one.recall, one.precision])));
    plot.show(last);
  };
  plot.show = (at) => {
    last = at;
    const now = rates(all, all.points[at]);
    plot.marks.replaceChildren(...[plot.dot(own.recall, own.precision, "own", 8), plot.dot(now.recall, now.precision, "now")].filter(Boolean));
    plot.describe(t("At {threshold} it finds {found}, and {right} of those called are right.", { threshold: probability(all.points[at].threshold), found: percent(now.recall), right: percent(now.precision) }));
  };
  plot.draggable(([x, y]) => choose(nearest(all, (point) => Math.hypot(rates(all, point).recall - x, rates(all, point).precision - y))));
  zoomable(plot, [[0, 1], [0, 1]], [[1 - corner, 1], [1 - corner, 1]], redraw);
  return plot;
}

function workload(all, choose) {
  let share = 0.5;
  const plot = new Plot({
    title: t("Missed against workload"), x: t("to open, of 1,000 scans"), y: t("missed, of 1,000 scans"),
    hint: t("Each step to the right is work; each step down, fewer missed. Ring: what the head does."),
    table: tableOf(all, [t("Threshold"), t("To open"), t("Missed")], (_, point) => {
      const one = perThousand(all, point, share);
      return [said(one.opened, 1), said(one.missed, 3)];
    }),
  });
  const places = () => all.points.map((point) => perThousand(all, point, share));
  plot.show = (at, part) => {
    share = part;
    const line = places();
    const ours = ownPerThousand(all, share);
    const here = at === all.own ? ours : line[at]; // with a band, the head's own point is no single threshold
    const wide = Math.max(3 * ours.opened, 1.15 * here.opened, 20);
    const high = Math.max(3 * ours.missed, 1.15 * here.missed, 1000 * share * 0.01);
    plot.scale([0, Math.min(wide, 1000)], [0, Math.min(high, 1000 * share)]);
    plot.layer.replaceChildren(plot.line(line.map((one) => [one.opened, one.missed])));
    plot.marks.replaceChildren(...[plot.dot(ours.opened, ours.missed, "own", 8), plot.dot(here.opened, here.missed, "now")].filter(Boolean));
    plot.describe(t("At {threshold} {opened} of 1,000 scans are to be opened and {missed} are missed.", { threshold: probability(all.points[at].threshold), opened: said(here.opened, 1), missed: said(here.missed, 3) }));
  };
  plot.draggable(([x]) => choose(nearest(all, (point) => Math.abs(perThousand(all, point, share).opened - x))));
  return plot;
}

function histogram(all, drawn, choose) {
  const { edges, counts } = drawn.histogram;
  const others = drawn.classes.filter((name) => name !== drawn.positive);
  const plot = new Plot({
    title: t("Scans by probability"), x: t("probability of {name}", { name: classWord(drawn.positive) }), y: t("scans, log scale"),
    hint: t("Red: {positive}. Grey: {others}. Line: the threshold; dashed: the head's own.", { positive: classWord(drawn.positive), others: others.map(classWord).join(", ") }),
    table: { head: [t("From"), t("to"), ...drawn.classes.map(classWord)], rows: () => edges.slice(0, -1).map((edge, bin) => [said(edge), said(edges[bin + 1]), ...drawn.classes.map((name) => number(counts[name][bin]))]) },
  });
  const height = (count) => Math.log10(1 + count);
  const top = Math.max(...Object.values(counts).flat().map(height), 1);
  const powers = [0, 1, 10, 100, 1000, 10_000, 100_000].filter((count) => height(count) <= top + 0.05);
  plot.scale([0, 1], [0, top * 1.02], { yTicks: [] });
  for (const count of powers) plot.axes.append(s("text", { x: 50, y: plot.y(height(count)) + 4, "text-anchor": "end" }, number(count)));
  const bars = (name, kind) => counts[name].map((count, bin) => (count ? plot.box(edges[bin], edges[bin + 1], height(count), kind) : null));
  plot.layer.append(...[...others.flatMap((name) => bars(name, "bar-a")), ...bars(drawn.positive, "bar-b")].filter(Boolean));
  plot.show = (at) => {
    const own = [drawn.threshold, drawn.review_from].filter((value) => value !== null && value !== undefined);
    plot.marks.replaceChildren(...own.map((value) => plot.upright(value, "own-line")), plot.upright(all.points[at].threshold, "now-line"));
    plot.describe(t("The threshold stands at {threshold}.", { threshold: probability(all.points[at].threshold) }));
  };
  plot.draggable(([x]) => choose(nearest(all, (point) => Math.abs(point.threshold - x))));
  return plot;
}

function calibration({ bins, brier, expected_calibration_error: off }) {
  const plot = new Plot({
    title: t("Calibration"), x: t("probability it said"), y: t("share that were so"),
    hint: t("On the line, its probabilities can be taken at their word. Off by {off} on average; Brier score {brier}.", { off: said(off, 3), brier: said(brier, 4) }),
    table: { head: [t("said"), t("seen"), t("Rows")], rows: () => bins.map((bin) => [percent(bin.said), percent(bin.seen), number(bin.rows)]) },
  });
  plot.layer.append(plot.line([[0, 0], [1, 1]], { class: "guide" }), plot.line(bins.map((bin) => [bin.said, bin.seen])), ...bins.map((bin) => plot.dot(bin.said, bin.seen, "dot", 4)).filter(Boolean));
  plot.describe(t("Off by {off} on average.", { off: said(off, 3) }));
  return plot;
}

function learning(points) {
  const plot = new Plot({
    title: t("Would more scans help?"), x: t("scans it learned from"), y: t("AUC"),
    hint: t("Where the line still rises at its right end, more scans would help; where it is flat, other scans might."),
    table: { head: [t("Scans"), t("Subjects"), t("AUC")], rows: () => points.map((one) => [number(one.rows), number(one.subjects), said(one.auc, 4)]) },
  });
  const every = points.flatMap((one) => [one.auc, ...one.fold_auc]);
  const [low, high] = [Math.min(...every), Math.max(...every)];
  const room = Math.max((high - low) * 0.1, 0.0005);
  plot.scale([0, points.at(-1).rows * 1.05], [low - room, Math.min(high + room, 1)]);
  plot.layer.append(plot.line(points.map((one) => [one.rows, one.auc])), ...points.flatMap((one) => [...one.fold_auc.map((auc) => plot.dot(one.rows, auc, "dot", 2)), plot.dot(one.rows, one.auc, "dot", 4)]).filter(Boolean));
  plot.describe(t("AUC {first} with {few} scans, {last} with {many}.", { first: said(points[0].auc, 4), few: number(points[0].rows), last: said(points.at(-1).auc, 4), many: number(points.at(-1).rows) }));
  return plot;
}

function tableOf(all, head, cells) {
  return { head, rows: () => all.points.map((point) => [probability(point.threshold), ...cells(rates(all, point), point)]) };
}
