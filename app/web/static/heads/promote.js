/** Promoting a version: what the gate says, a replay of the archive, every decision that would flip, and a person's word. */

import { get, post, Problem } from "../api.js";
import { ask } from "../dialogs.js";
import { fill, h } from "../elements.js";
import { flipList, turned } from "./flips.js";
import { follow } from "../jobs.js";
import { number, plural, t } from "../messages.js";
import { explain, warn } from "../notices.js";
import { time } from "../times.js";

const CHECKS = () => ({
  golden: t("The artifact is whole"), "feature-set": t("It reads the right features"), classes: t("It knows the task's classes"),
  polarity: t("It is the right way round"), parity: t("It answers as its trainer did"), policy: t("Its promise holds on its training rows"),
  "policy-on-test": t("Test rows do not contradict its promise"), auc: t("It ranks no worse than the live version"),
  "balanced-accuracy": t("It decides no worse than the live version"),
});

let open = false;

/** Open the dialog. @param {{id, version, task, live: {id, version}|null, replayed: boolean,
 *   replay_job: string|null}} head */
export async function startPromotion(head) {
  if (open) return;
  open = true;
  const state = { gate: null, replay: head.live ? null : "none needed", changes: false };
  const stop = new AbortController();
  const gate = h("section", { "aria-label": t("Gate") }, h("p", { class: "muted" }, t("The gate checks version {version}…", { version: head.version })));
  const reason = h("textarea", { id: "override", rows: 2, maxlength: 1024, oninput: () => judge() });
  const override = h("div", { class: "field", hidden: true }, h("label", { for: "override" }, t("Why promote it although the gate refuses? The audit trail keeps your reason.")), reason);
  const replay = h("section", { "aria-label": t("What would change") });
  const read = h("input", { id: "read", type: "checkbox", onchange: () => judge() });
  const readLabel = h("span");
  const confirmed = h("label", { class: "choice read", for: "read", hidden: true }, read, readLabel);
  let button;

  function judge() {
    const failed = state.gate?.checks.filter((check) => check.passed === false) ?? [];
    const barred = failed.some((check) => !check.overridable);
    const excused = !failed.length || reason.value.trim().length >= 3;
    override.hidden = !failed.length || barred;
    confirmed.hidden = !state.changes;
    if (button) {
      button.disabled = !state.gate || barred || !excused || !state.replay || (state.changes && !read.checked);
      button.textContent = failed.length && !barred ? t("Promote version {version} all the same", head) : t("Promote version {version}", head);
    }
  }

  const dialog = ask({
    title: head.live ? t("Promote version {version} in place of version {live}", { version: head.version, live: head.live.version }) : t("Promote version {version}", head),
    wide: true,
    body: [gate, override, replay, confirmed],
    buttons: [{ value: "promote", text: t("Promote version {version}", head), disabled: true, run: () => promote(head, reason.value.trim(), replay, () => rehearse(true)) }],
    onOpen: (element) => (button = element.querySelector('[data-value="promote"]')),
  });

  async function check() {
    try {
      state.gate = await get(`/v1/heads/${head.id}/gate`, { signal: stop.signal });
      fill(gate, ...checks(state.gate));
    } catch (error) {
      if (error.name !== "AbortError") fill(gate, h("p", { class: "problem" }, explain(error)));
    }
    judge();
  }

  async function rehearse(again = false) {
    state.replay = null;
    judge();
    try {
      const standing = await standingReplay(head, replay, stop.signal, again);
      state.replay = standing.id;
      state.changes = standing.flipped > 0;
      readLabel.textContent = plural("I have read the decision that changes", "I have read the {count} decisions that change", standing.flipped);
      fill(replay, ...summary(standing, head), flipList(head, standing));
    } catch (error) {
      if (error.name !== "AbortError") fill(replay, h("p", { class: "problem" }, error instanceof Failed ? error.message : explain(error)), h("button", { type: "button", onclick: () => rehearse(true) }, t("Replay again")));
    }
    judge();
  }

  check();
  if (head.live) rehearse();
  else fill(replay, h("p", {}, t("No version is live: nothing is replaced, and every scan of the archive is judged for the first time.")));
  const done = await dialog;
  open = false;
  stop.abort();
  if (done === "promote") location.assign(`/heads/${encodeURIComponent(head.task)}`);
}

class Failed extends Error {}

/** The replay that a promotion may rest on; one is made where there is none. */
async function standingReplay(head, place, signal, again) {
  if (!again && head.replayed && !head.replay_job) {
    const known = await get(`/v1/heads/${head.id}/replay`, { signal });
    if (known.current) return known;
  }
  const bar = h("progress", { max: 1, value: 0, "aria-label": t("Scans replayed") });
  const text = h("p", { class: "muted" }, t("Waiting for the training worker"));
  fill(place, h("h3", {}, t("Replay of the archive")), text, bar);
  const queued = head.replay_job ?? (await post(`/v1/heads/${head.id}/replay`)).id;
  head.replay_job = queued;
  const job = await follow(queued, ({ state, progress }) => {
    bar.max = progress.total || 1;
    bar.value = progress.done;
    if (state === "running") text.textContent = t("{done} of {total} stored scans judged by both versions", { done: number(progress.done), total: number(progress.total) });
  }, { signal });
  head.replay_job = null;
  head.replayed = true;
  if (job.state === "cancelled") throw new Failed(t("The replay was cancelled."));
  if (job.state !== "succeeded") throw new Failed(t("The replay did not succeed: {reason}", { reason: job.error?.message ?? "" }));
  return get(`/v1/heads/${head.id}/replay`, { signal });
}

async function promote(head, reason, place, again) {
  try {
    await post(`/v1/heads/${head.id}/promote`, reason ? { override: reason } : {});
    return true;
  } catch (error) {
    warn(explain(error));
    if (error instanceof Problem && error.status === 409 && head.live) again(); // the archive or the live head moved on meanwhile
    return false;
  }
}

function checks(gate) {
  const names = CHECKS();
  const word = (passed) => (passed === null ? h("span", { class: "chip" }, t("not measured")) : passed ? h("span", { class: "chip", "data-kind": "calm" }, "✓ ", t("passed")) : h("span", { class: "chip", "data-kind": "finding" }, "✗ ", t("failed")));
  const failed = gate.checks.filter((check) => check.passed === false);
  const barred = failed.filter((check) => !check.overridable);
  const verdict = !failed.length ? t("The gate lets it through.")
    : barred.length ? t("The gate refuses it, and nobody can override that: it is broken, of other features or the wrong way round. Train it again.")
      : plural("The gate refuses it: one check failed. You may promote it with a reason.", "The gate refuses it: {count} checks failed. You may promote it with a reason.", failed.length);
  const list = h("ul", { class: "checks" }, gate.checks.map((check) => h("li", {}, word(check.passed), h("div", {}, h("p", {}, names[check.name] ?? check.name), h("p", { class: "muted small", lang: "en" }, check.says)))));
  return [
    h("p", { class: failed.length ? "problem" : null }, verdict),
    h("details", { open: failed.length > 0 }, h("summary", {}, plural("{count} check", "{count} checks", gate.checks.length)), list),
  ];
}

function summary(standing, head) {
  const says = standing.flipped
    ? plural("{count} decision of {all} would change.", "{count} decisions of {all} would change.", standing.flipped, { all: number(standing.regions) })
    : t("No decision of {all} would change.", { all: number(standing.regions) });
  return [
    h("h3", {}, t("Replay of the archive")),
    h("p", {}, says, " ", h("span", { class: "muted" }, t("Judged by versions {live} and {version}, ", { live: head.live.version, version: head.version }), time(standing.at, true),
      standing.newcomers ? [" · ", plural("{count} scan came since", "{count} scans came since", standing.newcomers)] : null)),
    turned(standing.flips),
  ];
}
