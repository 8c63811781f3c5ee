/** The versions of a task: trainings as they run, comparing, rolling back, the task's settings. */

import { get, patch, post } from "../api.js";
import { ask } from "../dialogs.js";
import { given, h } from "../elements.js";
import { watch, watchRescore } from "./training.js";
import { classWord, t } from "../messages.js";
import { explain, warn } from "../notices.js";
import { policyField } from "./policy-field.js";
import { shortcuts } from "../shortcuts.js";
import { at } from "../times.js";

const task = given("task");
const path = task && `/v1/tasks/${encodeURIComponent(task.name)}`;

for (const section of document.querySelectorAll("[data-training]")) {
  if (section.dataset.job) watch(section);
}
for (const line of document.querySelectorAll("[data-rescore]")) watchRescore(line).catch((error) => warn(explain(error)));

const train = document.querySelector('a.primary[href$="/train"]');
if (train) shortcuts.add({ keys: "t", does: t("Train a version"), group: t("Heads"), run: () => train.click() });
document.getElementById("settings")?.addEventListener("click", change);
document.getElementById("rollback")?.addEventListener("click", rollBack);

const form = document.getElementById("compare");
if (form) {
  const button = form.querySelector("button");
  const boxes = [...form.querySelectorAll('input[type="checkbox"]')];
  const count = () => {
    const chosen = boxes.filter((box) => box.checked).length;
    button.disabled = chosen < 2;
    for (const box of boxes) box.disabled = chosen >= 4 && !box.checked;
  };
  form.addEventListener("change", count);
  shortcuts.add({ keys: "c", does: t("Compare the chosen versions"), group: t("Heads"), when: () => !button.disabled, run: () => form.requestSubmit() });
  count();
}

async function rollBack() {
  const { version, algorithm, trained_at: trained } = task.returning;
  const values = { version, algorithm, when: trained ? at(trained) : t("an earlier day"), live: task.live };
  const done = await ask({
    title: t("Roll back to version {version}?", values),
    body: [
      h("p", {}, t("Version {version} ({algorithm}, trained {when}) goes live again and judges new scans from now on. Version {live} is archived; it can be promoted again.", values)),
      h("p", {}, t("The archive is judged again from its stored features. Earlier predictions stay in each scan's history.")),
    ],
    buttons: [{ value: "back", text: t("Make version {version} live", values), kind: "danger", run: tried(back) }],
  });
  if (done) location.reload();
}

/** Rolls back what the page shows as live, and nothing that went live since. */
async function back() {
  const live = (await get(`${path}/heads`)).find((head) => head.stage === "live");
  if (live?.version !== task.live) throw new RangeError(t("Another version went live meanwhile. Load the page again and look at it first."));
  await post(`${path}/rollback`);
}

async function change() {
  const policy = policyField(task, { value: task.policy });
  const share = h("input", { id: "prevalence", type: "number", min: "0.001", max: "99.999", step: "any", value: task.prevalence === null ? "" : String(Number((task.prevalence * 100).toPrecision(8))) });
  const blind = h("input", { id: "blind", type: "checkbox", checked: task.blind });
  const band = abstention();
  const done = await ask({
    title: t("Settings of {task}", { task: task.name }),
    body: [
      h("p", { class: "muted" }, t("They are for the next heads. A head that exists keeps the threshold that it was judged with.")),
      h("div", { class: "choices" },
        h("fieldset", {}, h("legend", {}, t("What the next heads decide by")), policy, band),
        h("fieldset", {}, h("legend", {}, t("At work")),
          h("div", { class: "field" }, h("label", { for: "prevalence" }, t("Share of scans that are {name}, in % (empty: not stated)", { name: classWord(task.positive) })), share,
            h("span", { class: "hint" }, t("A folder for training is half one, half the other; the port is not. It shifts the probabilities and weighs costs; it moves no scan past another."))),
          h("label", { class: "choice", for: "blind" }, blind, t("Blind: hide scores until the first opinion")))),
    ],
    wide: true,
    buttons: [{
      value: "keep", text: t("Keep these settings"),
      run: tried(() => patch(path, {
        policy: policy.policy() === "best-balanced-accuracy" ? null : policy.policy(),
        abstain: band.abstain(), prevalence: share.value === "" ? null : Number(share.value) / 100, blind: blind.checked,
      })),
    }],
  });
  if (done) location.reload();
}

/** When a head leaves a scan to a person. */
function abstention() {
  const kinds = [["", t("Nothing: it always decides")], ["review", t("At most a share of the scans")], ["words", t("A second promise, in words")]];
  const before = task.abstain?.match(/^review<=([\d.]+)(%?)$/);
  const kind = h("select", { id: "abstain-kind", onchange: show }, kinds.map(([value, title]) => h("option", { value }, title)));
  const share = h("input", { type: "number", min: "0", max: "100", step: "any", "aria-label": t("Share of scans that go to a person, %"), value: before ? String(Number(before[1]) * (before[2] ? 1 : 100)) : "5" });
  const words = h("input", { type: "text", "aria-label": t("A second promise"), placeholder: "false-alarms<=0.01@0.95", value: before ? "" : (task.abstain ?? "") });
  kind.value = before ? "review" : task.abstain ? "words" : "";
  function show() {
    share.hidden = kind.value !== "review";
    words.hidden = kind.value !== "words";
  }
  show();
  const element = h("div", { class: "field" }, h("label", { for: "abstain-kind" }, t("Leave to a person")), kind, share, words,
    h("span", { class: "hint" }, t("A scan that is left to a person is in the worklist under review, and counts as not missed.")));
  element.abstain = () => ({ "": null, review: `review<=${Number((Number(share.value) / 100).toPrecision(8))}`, words: words.value.trim() || null })[kind.value];
  return element;
}

/** A button's work: true when it was done; a refusal is said, and the dialog stays. */
export function tried(work) {
  return async () => {
    try {
      await work();
      return true;
    } catch (error) {
      warn(error instanceof RangeError ? error.message : explain(error));
      return false;
    }
  };
}
