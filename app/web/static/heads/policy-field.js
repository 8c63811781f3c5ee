/** A policy in words: choose what is asked for and fill in numbers; what it means is said beneath. */

import { fill, h } from "../elements.js";
import { classWord, number, percent, t } from "../messages.js";

/** @returns what a policy's text says: its kind and numbers; kind "words" for what is none of the usual ones */
export function read(text) {
  const words = (text || "best-balanced-accuracy").trim();
  if (words === "best-balanced-accuracy") return { kind: "balance" };
  const share = "([\\d.]+)(%?)(?:@([\\d.]+)(%?))?";
  const promise = words.match(new RegExp(`^(recall|false-alarms)(?:>=|<=)${share}$`));
  if (promise) {
    const of = (value, sign) => (value === undefined ? null : Number(value) / (sign ? 100 : 1));
    return { kind: promise[1], value: of(promise[2], promise[3]), confidence: of(promise[4], promise[5]) };
  }
  const fixed = words.match(/^fixed=([\d.]+)$/);
  if (fixed) return { kind: "fixed", value: Number(fixed[1]) };
  const costs = words.match(/^cost: ?miss=([\d.]+), ?false-alarm=([\d.]+)(?:, ?review=([\d.]+))?$/);
  if (costs) return { kind: "cost", miss: Number(costs[1]), alarm: Number(costs[2]), review: costs[3] ? Number(costs[3]) : null };
  return { kind: "words", text: words };
}

/** The text of what was read. */
export function write(policy) {
  const sure = policy.confidence ? `@${plain(policy.confidence)}` : "";
  switch (policy.kind) {
    case "recall": return `recall>=${plain(policy.value)}${sure}`;
    case "false-alarms": return `false-alarms<=${plain(policy.value)}${sure}`;
    case "fixed": return `fixed=${plain(policy.value)}`;
    case "cost": return `cost: miss=${plain(policy.miss)}, false-alarm=${plain(policy.alarm)}${policy.review ? `, review=${plain(policy.review)}` : ""}`;
    case "words": return policy.text;
    default: return "best-balanced-accuracy";
  }
}

const plain = (value) => String(Number(Number(value).toPrecision(12)));

/** How many labelled scans a promise needs at least: those of which none may be missed (exact binomial limit). */
export const needed = (share, confidence) => Math.ceil(Math.log(1 - confidence) / Math.log(share));

/** What a policy means, for people. `labelled`: scans by class. */
export function explained(policy, task) {
  const positive = classWord(task.positive);
  const negative = task.classes.find((name) => name !== task.positive);
  const promise = (share, name) => {
    if (!policy.confidence) return t("On the labelled scans; of heads made so, about half keep it on scans to come.");
    const rows = needed(share, policy.confidence);
    const there = task.labelled?.[name] ?? 0;
    const needs = t("With {sure} confidence for scans to come: that needs at least {rows} labelled {name}; there are {there}.", { sure: percent(policy.confidence, 0), rows: number(rows), name: classWord(name), there: number(there) });
    return needs;
  };
  switch (policy.kind) {
    case "balance": return t("To miss one that is {name} weighs like a false alarm. It needs no opinion, and promises nothing.", { name: positive });
    case "recall": return [t("Of the scans that are {name}, at least {share} are found; as few others as that allows are called.", { name: positive, share: percent(policy.value) }), promise(policy.value, task.positive)].join(" ");
    case "false-alarms": return [t("Of the scans that are {name}, at most {share} raise a false alarm; as many others as that allows are found.", { name: classWord(negative), share: percent(policy.value) }), promise(1 - policy.value, negative)].join(" ");
    case "cost": return [
      t("To miss one that is {name} costs {miss}, a false alarm {alarm}; the cheapest threshold is taken.", { name: positive, miss: number(policy.miss), alarm: number(policy.alarm) }),
      policy.review ? t("A look by a person costs {review}: where that is cheaper, it goes to one.", { review: number(policy.review) }) : "",
    ].join(" ");
    case "fixed": return t("Called {name} at a probability of {value} or more, whatever that misses.", { name: positive, value: number(policy.value) });
    default: return t("In your own words; the service reads them when the training is asked for.");
  }
}

const BAD = (policy) => {
  const share = (value) => Number.isFinite(value) && value > 0 && value < 1;
  if (["recall", "false-alarms"].includes(policy.kind)) return !share(policy.value) || (policy.confidence !== null && !(policy.confidence >= 0.5 && policy.confidence < 1));
  if (policy.kind === "fixed") return !(policy.value > 0 && policy.value <= 1);
  if (policy.kind === "cost") return !(policy.miss > 0 && policy.alarm > 0);
  return false;
};

/**
 * A field for a policy. `element.policy()` is its text, null for the task's own where `inherit` says what that is;
 * it throws where numbers are missing.
 */
export function policyField(task, { value, inherit } = {}) {
  const given = value ?? (inherit === undefined ? null : undefined);
  let policy = given === undefined ? { kind: "task" } : read(given);
  const own = { kind: "task" };
  const numbers = h("div", { class: "fields" });
  const words = h("p", { class: "explained", "aria-live": "polite" });
  const text = h("code", { class: "policy" });
  const kinds = [
    inherit !== undefined && ["task", t("As the task says")], ["balance", t("Balanced")], ["recall", t("Find at least a share")],
    ["false-alarms", t("At most a share of false alarms")], ["cost", t("By costs")], ["fixed", t("A fixed threshold")], ["words", t("In words")],
  ].filter(Boolean);
  const kind = h("select", { id: "policy-kind", onchange: () => { policy = fresh(kind.value, policy); build(); } }, kinds.map(([name, title]) => h("option", { value: name }, title)));

  function build() {
    kind.value = policy.kind;
    fill(numbers, ...inputs(policy, (name, number) => { policy[name] = number; tell(); }));
    tell();
  }

  function tell() {
    const meant = policy.kind === "task" ? read(inherit) : policy;
    const bad = BAD(meant);
    words.dataset.kind = bad ? "problem" : "";
    words.textContent = bad ? t("Fill in the numbers: shares lie between 0 and 100 %, costs above 0.") : explained(meant, task);
    text.textContent = bad ? "" : write(meant).replace(">=", "≥").replace("<=", "≤");
  }

  const element = h("div", { class: "policy-field" }, h("div", { class: "field" }, h("label", { for: "policy-kind" }, t("Policy")), kind), numbers, words, h("p", { class: "hint" }, text));
  element.policy = () => {
    if (policy.kind === own.kind) return null;
    if (BAD(policy)) throw new RangeError(t("The policy lacks a number."));
    return write(policy);
  };
  build();
  return element;
}

function fresh(kind, before) {
  const share = { recall: 0.99, "false-alarms": 0.01 }[kind];
  if (share) return { kind, value: share, confidence: 0.95 };
  if (kind === "cost") return { kind, miss: 100, alarm: 1, review: null };
  if (kind === "fixed") return { kind, value: 0.5 };
  if (kind === "words") return { kind, text: before.kind === "task" ? "" : write(before) };
  return { kind };
}

function inputs(policy, changed) {
  const share = (name, title) => field(title, { type: "number", min: 0, max: 100, step: "any", value: policy[name] === null ? "" : plain(policy[name] * 100) }, (value) => changed(name, value === "" ? null : Number(value) / 100));
  const cost = (name, title) => field(title, { type: "number", min: 0, step: "any", value: policy[name] ?? "" }, (value) => changed(name, value === "" ? null : Number(value)));
  switch (policy.kind) {
    case "recall": return [share("value", t("Find at least, %")), share("confidence", t("with confidence, %"))];
    case "false-alarms": return [share("value", t("False alarms at most, %")), share("confidence", t("with confidence, %"))];
    case "cost": return [cost("miss", t("A miss costs")), cost("alarm", t("A false alarm costs")), cost("review", t("A look by a person costs"))];
    case "fixed": return [field(t("Threshold"), { type: "number", min: 0, max: 1, step: "any", value: policy.value }, (value) => changed("value", Number(value)))];
    case "words": return [field(t("Policy in words"), { type: "text", value: policy.text, placeholder: "recall(loaded)>=0.99@0.95" }, (value) => changed("text", value))];
    default: return [];
  }
}

let count = 0;

function field(title, attributes, changed) {
  const id = `policy-${++count}`;
  return h("div", { class: "field" }, h("label", { for: id }, title), h("input", { id, ...Object.fromEntries(Object.entries(attributes).map(([name, value]) => [name, String(value)])), oninput: (event) => changed(event.target.value) }));
}
