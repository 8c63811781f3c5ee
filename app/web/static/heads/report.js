/** The report of a head: one slider moves the point on every plot and says what a threshold would do. */

import { given, h } from "../elements.js";
import { startPromotion } from "./promote.js";
import { consequences } from "./consequences.js";
import { index, operatingPoints } from "./points.js";
import { livePlots, stillPlots } from "./report-plots.js";
import { t } from "../messages.js";
import { probability } from "./plots.js";
import { shortcuts } from "../shortcuts.js";

const head = given("head");
const drawn = given("drawn");
const slider = document.getElementById("threshold");

if (slider) live();
const promote = document.getElementById("promote");
if (promote) {
  const open = () => startPromotion(head);
  promote.addEventListener("click", open);
  shortcuts.add({ keys: "p", does: t("Promote this version"), group: t("Head"), run: open });
  if (location.hash === "#promote") open();
}

function live() {
  const all = operatingPoints(drawn);
  const own = document.getElementById("own");
  const share = document.getElementById("share");
  const asked = new URLSearchParams(location.search);
  const mix = head.prevalence ?? drawn.prevalence ?? all.positives / (all.positives + all.negatives);
  share.value = Number((asked.get("share") ?? mix * 100).valueOf()).toPrecision(3) * 1;
  slider.max = all.points.length - 1;
  slider.value = asked.has("threshold") ? index(all.points, Number(asked.get("threshold"))) : all.own;

  const told = consequences(document.getElementById("consequences"), all, drawn, head);
  const plots = [...livePlots(all, drawn, (at) => set(at)), ...stillPlots(drawn)];
  document.getElementById("plots").append(...plots.map((plot) => plot.figure));

  function set(at) {
    slider.value = at;
    show();
  }

  function show() {
    const at = Number(slider.value);
    const point = all.points[at];
    const part = Math.min(Math.max(Number(share.value) / 100 || mix, 1e-6), 1 - 1e-6);
    document.getElementById("at").textContent = probability(point.threshold);
    own.disabled = at === all.own;
    const sentence = told(at, part);
    document.getElementById("said").textContent = sentence;
    slider.setAttribute("aria-valuetext", `${probability(point.threshold)}. ${sentence}`);
    for (const plot of plots) plot.show?.(at, part);
    remember(at, point);
  }

  function remember(at, point) {
    const address = new URL(location.href);
    if (at === all.own) address.searchParams.delete("threshold");
    else address.searchParams.set("threshold", point.threshold);
    clearTimeout(remember.timer);
    remember.timer = setTimeout(() => history.replaceState(null, "", address), 250);
  }

  slider.addEventListener("input", show);
  share.addEventListener("input", show);
  own.addEventListener("click", () => set(all.own));
  const step = (by) => () => set(Math.min(Math.max(Number(slider.value) + by, 0), all.points.length - 1));
  shortcuts.add({ keys: "[", does: t("A lower threshold: more opened, fewer missed"), group: t("Threshold"), run: step(-1) });
  shortcuts.add({ keys: "]", does: t("A higher threshold: fewer opened, more missed"), group: t("Threshold"), run: step(1) });
  shortcuts.add({ keys: "0", does: t("The head's own threshold"), group: t("Threshold"), run: () => set(all.own) });
  show();
}

if (head.admin && slider) {
  const link = h("a", { class: "button" }, t("Train one that decides here"));
  document.getElementById("own").after(link);
  const aim = () => {
    const at = document.getElementById("at").textContent && new URLSearchParams(location.search).get("threshold");
    link.hidden = !at;
    if (at) link.href = `/heads/${encodeURIComponent(head.task)}/train?like=${head.version}&policy=${encodeURIComponent(`fixed=${Number(Number(at).toPrecision(6))}`)}`;
  };
  slider.addEventListener("input", () => setTimeout(aim, 300));
  document.getElementById("own").addEventListener("click", () => setTimeout(aim, 300));
  aim();
}
