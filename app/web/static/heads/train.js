/** The form of a training: as it opens, one button trains. */

import { post } from "../api.js";
import { fill, given, h } from "../elements.js";
import { plural, t } from "../messages.js";
import { explain } from "../notices.js";
import { policyField } from "./policy-field.js";
import { shortcuts } from "../shortcuts.js";

const task = given("task");
const { recipe, policy: asked, parameters, like } = given("training");
const form = document.getElementById("train");
const field = (name) => form.elements[name];
const checked = (name) => [...form.querySelectorAll(`[name="${name}"]:checked`)].map((box) => box.value);
const typed = new Map(); // what was typed for "algorithm parameter"

const policy = policyField(task, { value: asked ?? recipe.policy ?? undefined, inherit: task.policy });
document.getElementById("policy").append(policy);
if (like) copy();
parametersOfChosen();
form.addEventListener("change", (event) => {
  if (event.target.name === "algorithm") parametersOfChosen();
  count();
});
form.addEventListener("input", count);
form.addEventListener("submit", train);
shortcuts.add({ keys: "Enter", does: t("Train"), group: t("Heads"), run: () => form.requestSubmit() });
count();

/** Fill the form in as the recipe of another version says. */
function copy() {
  for (const space of recipe.spaces ?? []) {
    tick("algorithm", space.algorithm);
    for (const pooling of [space.pooling].flat()) tick("pooling", pooling);
    for (const [name, value] of Object.entries(space.params ?? {})) typed.set(`${space.algorithm} ${name}`, said(value));
  }
  if (!checked("algorithm").length) tick("algorithm", "logistic-regression");
  if (!checked("pooling").length) tick("pooling", "both");
  field("method").value = recipe.search?.method ?? "grid";
  field("trials").value = recipe.search?.trials ?? "";
  field("seconds").value = recipe.search?.seconds ?? "";
  field("balanced").checked = recipe.class_weight === "balanced";
  for (const name of ["ensemble", "augmentation", "abstain"]) field(name).value = recipe[name] ?? "";
  field("folds").value = recipe.folds ?? 5;
  field("seed").value = recipe.seed ?? 0;
  field("prevalence").value = recipe.prevalence ? recipe.prevalence * 100 : "";
  if (asked) field("abstain").value = "";
}

function tick(name, value) {
  const box = form.querySelector(`[name="${name}"][value="${CSS.escape(value)}"]`);
  if (box) box.checked = true;
}

function said(value) {
  if (Array.isArray(value)) return value.join(", ");
  return value !== null && typeof value === "object" ? `${value.low}..${value.high}` : String(value);
}

function parametersOfChosen() {
  fill(document.getElementById("parameters"), checked("algorithm").map((algorithm) => h("fieldset", {},
    h("legend", {}, t("Parameters of {algorithm}", { algorithm })),
    h("div", { class: "parameters" }, parameters[algorithm].map((one) => {
      const key = `${algorithm} ${one.name}`;
      const id = key.replace(/\W/g, "-");
      const range = one.choices.length ? one.choices.join(", ") : t("{low} to {high}", { low: one.low, high: one.high });
      return h("div", { class: "field" }, h("label", { for: id, class: "mono" }, one.name),
        h("input", { id, placeholder: said(one.default), value: typed.get(key) ?? "", title: range, oninput: (event) => typed.set(key, event.target.value) }));
    })))), h("p", { class: "hint" }, t("A value, several with commas (a grid), or a range such as 0.001..1 (drawn at random or by TPE). Empty: what stands in grey.")));
}

/** What was typed for a parameter: a value, a list or a range. */
function value(text) {
  const range = text.match(/^\s*(\S+?)\s*\.\.\s*(\S+)\s*$/);
  if (range) {
    const [low, high] = [Number(range[1]), Number(range[2])];
    return { low, high, log: low > 0 && high / low >= 100 };
  }
  const one = (part) => (part !== "" && Number.isFinite(Number(part)) ? Number(part) : part);
  const parts = text.split(",").map((part) => one(part.trim()));
  return parts.length === 1 ? parts[0] : parts;
}

function spaces() {
  return checked("algorithm").map((algorithm) => {
    const params = {};
    for (const { name } of parameters[algorithm]) {
      const text = typed.get(`${algorithm} ${name}`)?.trim();
      if (text) params[name] = value(text);
    }
    return { algorithm, pooling: checked("pooling"), params };
  });
}

/** How many models will be fitted, where that is known before. */
function count() {
  const folds = Number(field("folds").value) || 5;
  const poolings = checked("pooling").length;
  const sizes = spaces().map((space) => parameters[space.algorithm].reduce((product, one) => {
    const chosen = space.params[one.name] ?? one.default;
    return product * (Array.isArray(chosen) ? chosen.length : 1);
  }, poolings));
  const grid = field("method").value === "grid";
  const most = Number(field("trials").value) || Infinity;
  const candidates = Math.min(grid ? sizes.reduce((sum, size) => sum + size, 0) : most, most);
  document.getElementById("fits").textContent = Number.isFinite(candidates)
    ? [plural("{count} candidate", "{count} candidates", candidates), plural("{count} fit", "{count} fits", candidates * folds)].join(", ") : "";
}

function body() {
  const text = (name) => field(name).value.trim() || null;
  const amount = (name) => (field(name).value === "" ? null : Number(field(name).value));
  const budget = { method: field("method").value, trials: amount("trials"), seconds: amount("seconds") };
  if (budget.method !== "grid" && !budget.trials && !budget.seconds) budget.trials = 40;
  const kept = like ? { sample_weight: recipe.sample_weight && Object.keys(recipe.sample_weight).length ? recipe.sample_weight : null, sampling: recipe.sampling } : {};
  const weight = field("balanced").checked ? "balanced" : typeof recipe.class_weight === "object" ? recipe.class_weight : null;
  const wanted = {
    ...kept, spaces: spaces(), search: budget, ensemble: text("ensemble"), class_weight: weight, augmentation: text("augmentation"),
    folds: amount("folds") ?? 5, seed: amount("seed") ?? 0, calibration: text("calibration"), policy: policy.policy(), abstain: text("abstain"),
    prevalence: amount("prevalence") === null ? null : amount("prevalence") / 100, dataset: text("dataset"),
  };
  return Object.fromEntries(Object.entries(wanted).filter(([, one]) => one !== null && one !== undefined));
}

async function train(event) {
  event.preventDefault();
  const problem = document.getElementById("problem");
  const button = form.querySelector("button.primary");
  problem.hidden = true;
  button.disabled = true;
  try {
    if (!checked("algorithm").length || !checked("pooling").length) throw new RangeError(t("Choose an algorithm, and which features it reads."));
    await post(`/v1/tasks/${encodeURIComponent(task.name)}/heads`, body());
    location.assign(`/heads/${encodeURIComponent(task.name)}`);
  } catch (error) {
    problem.textContent = error instanceof RangeError ? error.message : explain(error);
    problem.hidden = false;
    button.disabled = false;
    problem.scrollIntoView({ block: "nearest" });
  }
}
