/** Versions side by side: their curves in one plot. */

import { given } from "../elements.js";
import { t } from "../messages.js";
import { Plot, said } from "./plots.js";

const CORNERS = [0.02, 0.05, 0.1, 0.2, 0.5, 1];
const versions = (given("drawn") ?? []).map((one, series) => ({ ...one, series })).filter((one) => one.curves);
const place = document.getElementById("plots");

if (place && versions.length) {
  const table = (x, y) => ({
    head: [t("Version"), x.name, y.name],
    rows: () => versions.flatMap((one) => x.of(one).map((value, index) => [one.version, said(value, 4), said(y.of(one)[index], 4)])),
  });
  const alarms = { name: t("False alarms"), of: (one) => one.curves.roc.false_positive_rate };
  const found = { name: t("Found"), of: (one) => one.curves.roc.recall };
  const recall = { name: t("Found"), of: (one) => one.curves.precision_recall.recall };
  const precision = { name: t("Precision"), of: (one) => one.curves.precision_recall.precision };
  place.append(
    overlay(t("ROC, the corner where they differ"), alarms, found, table(alarms, found), (size) => [[0, size], [1 - size, 1]]),
    overlay(t("Precision and recall, the corner where they differ"), recall, precision, table(recall, precision), (size) => [[1 - size, 1], [1 - size, 1]]),
  );
}

function overlay(title, x, y, table, spans) {
  const plot = new Plot({ title, x: x.name, y: y.name, table, hint: t("Lines as marked in the table above; dots: each version's own threshold.") });
  const measured = versions.filter((one) => one.measured);
  const own = measured.map((one) => {
    const { recall, false_alarms: alarms } = one.measured;
    const called = recall.n - recall.misses + alarms.misses;
    return x.name === t("False alarms") ? [alarms.value, recall.value] : [recall.value, called ? (recall.n - recall.misses) / called : 1];
  });
  const gaps = own.flatMap(([a, b]) => [Math.min(a, 1 - a), 1 - b]);
  plot.scale(...spans(CORNERS.find((size) => size >= 2.2 * Math.max(0.005, ...gaps)) ?? 1));
  plot.layer.append(...versions.map((one) => plot.line(x.of(one).map((value, at) => [value, y.of(one)[at]]), { "data-series": one.series })));
  own.forEach(([a, b], index) => {
    const dot = plot.dot(a, b, "dot", 5);
    dot?.setAttribute("data-series", measured[index].series);
    if (dot) plot.marks.append(dot);
  });
  plot.describe(versions.map((one) => t("Version {version}: area {area}", { version: one.version, area: said(one.curves.roc.area, 4) })).join(", "));
  return plot.figure;
}
