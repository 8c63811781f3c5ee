/** A grid of scans from which some are chosen, by box, by key or by mouse, and labelled together. */

import { post } from "../api.js";
import { fill, given, h } from "../elements.js";
import { lasso } from "./lasso.js";
import { plural, t } from "../messages.js";
import { explain, say, warn } from "../notices.js";
import { shortcuts } from "../shortcuts.js";

const list = document.getElementById("scans");
const panel = document.getElementById("together");
const tasks = given("tasks") ?? {};
const cards = () => [...(list?.children ?? [])];
const boxOf = (card) => card.querySelector('input[type="checkbox"]');
const chosen = () => cards().filter((card) => boxOf(card)?.checked);
let anchor = null;
let busy = false;

if (list) start();

function start() {
  const group = t("Scans");
  const add = (keys, does, run) => shortcuts.add({ keys, does, group, run });
  add(["j", "ArrowRight"], t("Next scan"), () => step(1));
  add(["k", "ArrowLeft"], t("Previous scan"), () => step(-1));
  add("ArrowDown", t("The scan below"), () => step(columns()));
  add("ArrowUp", t("The scan above"), () => step(-columns()));
  add("s", t("Scans like the one at hand"), similar);
  if (!panel) return;
  add("x", t("Choose the scan at hand, or not"), () => toggle(current()));
  add("X", t("Choose all from the last one to this one"), () => upTo(current()));
  add("*", t("Choose all, or none"), () => choose(cards(), chosen().length < cards().length));
  add("Escape", t("Choose none"), () => choose(cards(), false));
  const most = Math.max(0, ...Object.values(tasks).map((task) => Object.keys(task.classes).length));
  const keys = [...Array(Math.min(most, 9)).keys()].map((index) => `l ${index + 1}`);
  shortcuts.add({ keys, does: t("Label the chosen scans with the class of this number"), group: t("Decide"),
    run: ({ key }) => panel.querySelectorAll("[data-class]")[key - 1]?.click(), when: () => chosen().length > 0 });
  list.addEventListener("change", ({ target }) => { anchor = target.closest(".scan"); tell(); });
  list.addEventListener("click", (event) => {
    const card = event.target.closest(".scan");
    if (!card || !(event.shiftKey || event.ctrlKey || event.metaKey) || event.target.closest("label")) return;
    event.preventDefault(); // as in a folder of files
    if (event.shiftKey) upTo(card);
    else toggle(card);
  });
  lasso(list, cards, (inside, more) => choose(cards(), (card) => inside.has(card) || (more && boxOf(card).checked)));
  document.getElementById("together-none").addEventListener("click", () => choose(cards(), false));
  panel.addEventListener("submit", (event) => event.preventDefault());
  tell();
}

const current = () => document.activeElement?.closest?.("#scans > .scan") ?? null;

function columns() {
  const all = cards(), top = all[0]?.offsetTop;
  return Math.max(1, all.findIndex((card) => card.offsetTop !== top));
}

function step(by) {
  const all = cards(), at = all.indexOf(current());
  const next = all[at < 0 ? 0 : Math.max(0, Math.min(all.length - 1, at + by))];
  next?.querySelector(".scan-open").focus();
  next?.scrollIntoView({ block: "nearest" });
}

function similar() {
  const card = current();
  if (card) location.assign(`/search?image=${card.dataset.image}&task=${encodeURIComponent(card.dataset.task)}`);
}

function toggle(card) {
  if (!card) return;
  boxOf(card).checked = !boxOf(card).checked;
  anchor = card;
  tell();
}

function upTo(card) {
  const all = cards();
  if (!card) return;
  const [from, to] = [all.indexOf(anchor ?? card), all.indexOf(card)].sort((a, b) => a - b);
  all.slice(from, to + 1).forEach((one) => (boxOf(one).checked = true));
  anchor = card;
  tell();
}

function choose(which, wanted) {
  for (const card of which) boxOf(card).checked = typeof wanted === "function" ? wanted(card) : wanted;
  tell();
}

/** How many are chosen, and the classes of the task that they are about. */
function tell() {
  const found = chosen(), names = new Set(found.map((card) => card.dataset.task));
  panel.hidden = found.length === 0;
  document.body.classList.toggle("choosing", !panel.hidden);
  if (panel.hidden) return;
  document.getElementById("together-count").textContent = plural("{count} scan chosen", "{count} scans chosen", found.length);
  const [task] = names, place = document.getElementById("together-classes");
  if (names.size > 1) {
    fill(place, h("span", { class: "muted" }, t("They are about different tasks; choose those of one, or a task above.")));
    return;
  }
  fill(place, Object.entries(tasks[task]?.classes ?? {}).map(([name, word], index) =>
    h("button", { type: "button", "data-class": name, disabled: busy, onclick: () => label(task, name, word) }, word, h("kbd", {}, `l ${index + 1}`))));
}

async function label(task, name, word) {
  if (busy) return;
  busy = true;
  tell();
  const field = document.getElementById("together-reason");
  const found = chosen(), ids = found.map((card) => card.dataset.image);
  try {
    const done = await post(`/v1/tasks/${encodeURIComponent(task)}/labels`, { images: ids, class: name, reason: field.value.trim() || null });
    labelled(found, done, name, word, task);
    field.value = "";
    choose(found, false);
  } catch (error) {
    warn(explain(error)); // they stay chosen: nobody chooses forty scans twice
  } finally {
    busy = false;
    tell();
  }
}

function labelled(found, done, name, word, task) {
  const before = new Map(found.map((card) => [card, [...outcomeOf(card).childNodes]]));
  const missing = new Set(done.missing);
  for (const card of found) {
    if (missing.has(card.dataset.image)) card.remove();
    else fill(outcomeOf(card), said(word, name === tasks[task].positive));
  }
  const close = say(told(done, word), { seconds: 20, action: done.labels.length ? { text: t("Undo"), run: back } : null });
  async function back() {
    close();
    try {
      await post("/v1/labels/withdrawals", { ids: done.labels.map((one) => one.id) });
      for (const [card, nodes] of before) fill(outcomeOf(card), nodes);
      say(plural("{count} label taken back", "{count} labels taken back", done.labels.length));
    } catch (error) {
      warn(explain(error), { action: { text: t("Try again"), run: back } });
    }
  }
}

function told(done, word) {
  const parts = [plural("{count} scan labelled {name}", "{count} scans labelled {name}", done.labels.length, { name: word })];
  if (done.known.length) parts.push(plural("{count} had your label already", "{count} had your label already", done.known.length));
  if (done.missing.length) parts.push(plural("{count} was deleted meanwhile", "{count} were deleted meanwhile", done.missing.length));
  return parts.join("; ");
}

const outcomeOf = (card) => card.querySelector(".scan-outcome");
const said = (word, positive) =>
  h("span", { class: "outcome", "data-kind": positive ? "finding" : "calm" }, h("span", { "aria-hidden": "true" }, "✓ "), word, h("span", { class: "visually-hidden" }, `, ${t("said by a person")}`));
