/** A training that runs: how far it is, what every candidate scored, the best so far; cancelling it. */

import { get, remove } from "../api.js";
import { confirm } from "../dialogs.js";
import { fill, h } from "../elements.js";
import { follow } from "../jobs.js";
import { classWord, number, plural, t } from "../messages.js";
import { explain, say, warn } from "../notices.js";
import { Plot, said } from "./plots.js";

const WIDE = 900;

/** Follow the training of a `[data-training]` section; resolves to its job when it has ended. */
export function watch(section) {
  const { training: head, job, task, version } = section.dataset;
  const state = section.querySelector("[data-state]");
  const bar = section.querySelector("progress");
  const trials = new Map();
  const plot = trialPlot(trials);
  section.querySelector("[data-plot]").replaceChildren(plot.figure);
  const stop = section.querySelector("[data-cancel]");
  stop?.addEventListener("click", () => cancel(job, version));
  if (stop) stop.disabled = false; // a click before this would have come to nothing

  const told = (now) => {
    bar.max = now.total || 1;
    bar.value = now.done;
    const best = leader(trials);
    const far = t("{done} of {total} fits", { done: number(now.done), total: number(now.total) });
    state.textContent = now.state === "queued" ? t("Waiting for the training worker") : best ? [far, t("best AUC so far {auc}", { auc: said(best.auc, 4) })].join(", ") : far;
  };
  return new Promise((resolve) => {
    const end = (ended) => resolve(finished(section, ended, { head, task, version }));
    listen(job, { told, end, trial: (one) => { trials.set(one.id, one); plot.draw(); } });
  });
}

/** Server-sent events; where those cannot be had, the job is asked for again and again. */
function listen(job, { told, end, trial }) {
  const events = new EventSource(`/v1/jobs/${job}/events`);
  const close = () => events.close();
  events.addEventListener("trial", (event) => trial(JSON.parse(event.data)));
  events.addEventListener("progress", (event) => told(flat(JSON.parse(event.data))));
  events.addEventListener("end", (event) => {
    close();
    end(JSON.parse(event.data));
  });
  events.addEventListener("error", async () => {
    if (events.readyState !== EventSource.CLOSED) return; // it connects again by itself, and misses nothing
    try {
      end(await follow(job, (now) => told({ state: now.state, ...now.progress })));
    } catch (error) {
      warn(explain(error));
    }
  });
  addEventListener("pagehide", close);
}

const flat = (now) => ({ state: now.state, done: now.done, total: now.total });

function finished(section, job, { task, version }) {
  const state = section.querySelector("[data-state]");
  section.querySelector("[data-cancel]")?.remove();
  const link = h("a", { class: "button primary", href: `/heads/${encodeURIComponent(task)}/${version}` }, t("Look at version {version}", { version }));
  if (job.state === "succeeded") {
    section.querySelector("progress").value = section.querySelector("progress").max;
    state.textContent = t("Trained.");
    state.after(link);
    say(t("Version {version} of {task} is trained.", { version, task }), { seconds: 0, action: { text: t("Look at it"), run: () => link.click() } });
  } else {
    state.textContent = job.state === "cancelled" ? t("Cancelled.") : t("It failed: {reason}", { reason: job.error?.message ?? "" });
  }
  section.dataset.ended = job.state;
  return job;
}

async function cancel(job, version) {
  if (!(await confirm(t("Cancel the training of version {version}?", { version }), t("It stops at its next step, and no head is left of it."), t("Cancel the training"), "danger"))) return;
  try {
    await remove(`/v1/jobs/${job}`);
  } catch (error) {
    warn(explain(error));
  }
}

const nameOf = (candidate) => `${candidate.algorithm} ${candidate.pooling} ${Object.entries(candidate.params).map(([name, value]) => `${name}=${value}`).join(" ")}`;

/** Candidates with the mean AUC of the folds that measured them, the best first; only the longest measured can lead. */
function ranked(trials) {
  const found = new Map();
  for (const one of trials.values()) {
    const name = nameOf(one.candidate);
    if (!found.has(name)) found.set(name, []);
    found.get(name).push(one.auc);
  }
  return [...found].map(([name, folds]) => ({ name, folds: folds.length, auc: folds.reduce((sum, auc) => sum + auc, 0) / folds.length }))
    .sort((a, b) => b.folds - a.folds || b.auc - a.auc);
}

const leader = (trials) => ranked(trials)[0];

function trialPlot(trials) {
  const plot = new Plot({
    title: t("What was tried"), x: t("fits, in the order in which they ended"), y: t("AUC of held-out rows"), width: WIDE, height: 190,
    table: { head: [t("Candidate"), t("Folds"), t("AUC")], rows: () => ranked(trials).map((one) => [one.name, number(one.folds), said(one.auc, 4)]) },
  });
  plot.draw = () => {
    const all = [...trials.values()].sort((a, b) => a.id - b.id);
    const scores = all.map((one) => one.auc);
    const low = Math.min(...scores);
    plot.scale([0, Math.max(all.length, 10)], [low - Math.max((1 - low) * 0.1, 0.001), 1]);
    let best = -Infinity;
    const line = all.map((one, index) => [index + 1, (best = Math.max(best, one.auc))]);
    plot.layer.replaceChildren(plot.line(line), ...all.map((one, index) => plot.dot(index + 1, one.auc, "dot", 3)));
    plot.marks.replaceChildren(plot.dot(...line.at(-1), "now"));
    plot.describe([plural("{count} fit", "{count} fits", all.length), t("best AUC so far {auc}", { auc: said(best, 4) })].join(", "));
  };
  return plot;
}

/** Follow the job that judges the archive again. */
export async function watchRescore(line) {
  const bar = line.querySelector("progress");
  const text = line.querySelector("span");
  const job = await follow(line.dataset.rescore, ({ progress }) => {
    bar.max = progress.total || 1;
    bar.value = progress.done;
  });
  fill(line, job.state === "succeeded" ? t("The archive has been judged again by this head.") : text);
}
