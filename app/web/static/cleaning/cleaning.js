/** The grid of suspects: two keys judge each, and the next one is at hand at once. */

import { get, query } from "../api.js";
import { decideMany } from "./bulk.js";
import { card, update } from "./card.js";
import { Judgements } from "./judgements.js";
import { close, look, lookedAt, preload, say as sayLarge } from "./look.js";
import { fill, given, h } from "../elements.js";
import { number, plural, t } from "../messages.js";
import { explain, warn } from "../notices.js";
import { shortcuts } from "../shortcuts.js";
import { tabs } from "../tabs.js";

const PAGE = 30;
const page = given("cleaning");
const $ = (id) => document.getElementById(id);
const grid = $("grid");
const cards = new Map(); // image: {one, element}, in the order on screen
const counts = { ...page.states };
let state = "open";
let cursor = null;
let loading = 0;

const desk = { ...page, look: (one) => { select(one); look(one, desk); }, closed: select, decide, takeBack };
const judgements = new Judgements(page.head, changed);

async function load(from = null) {
  const mine = ++loading;
  grid.ariaBusy = "true";
  await judgements.settled();
  try {
    const filter = { state, likely: $("likely").checked || null, limit: PAGE, cursor: from, neighbours: 5 };
    const told = await get(`/v1/heads/${page.head}/label-errors${query(filter)}`);
    if (mine !== loading) return;
    if (from === null) clear();
    Object.assign(counts, told.states);
    for (const { decision } of judgements.kept) {
      counts.open -= 1;
      counts[after(decision)] += 1;
    }
    for (const one of told.items) show(one);
    cursor = told.next;
    $("more").hidden = cursor === null;
    tell();
  } catch (error) {
    warn(explain(error), { action: { text: t("Try again"), run: () => load(from) } });
  } finally {
    if (mine === loading) grid.ariaBusy = "false";
  }
}

function clear() {
  cards.clear();
  grid.replaceChildren();
}

function show(one) {
  const waits = one.state === "open" && judgements.pending(one.image_id);
  if (waits) one.state = after(waits);
  const element = card(one, desk);
  element.addEventListener("pointerdown", () => mark(element));
  element.addEventListener("focus", () => mark(element));
  cards.set(one.image_id, { one, element });
  grid.append(element);
  if (cards.size === 1) mark(element);
}

const after = (decision) => (decision === "accept" ? "accepted" : "confirmed");

// Where one is.

const current = () => cards.get(grid.querySelector('[aria-current="true"]')?.dataset.image)?.one ?? null;

function mark(element) {
  grid.querySelector('[aria-current="true"]')?.removeAttribute("aria-current");
  element.setAttribute("aria-current", "true");
}

function select(one) {
  const { element } = cards.get(one.image_id);
  mark(element);
  if (!lookedAt()) element.focus({ preventScroll: true });
  element.scrollIntoView({ block: "nearest", behavior: "instant" });
}

function step(by) {
  const all = [...cards.values()];
  const at = all.findIndex(({ one }) => one === current());
  const next = all[at + by];
  if (next) goTo(next.one);
  else if (by > 0 && cursor !== null) $("more").click();
}

function goTo(one) {
  select(one);
  if (lookedAt()) look(one, desk);
}

/** Up and down are a row of the grid. */
function columns() {
  const tops = [...cards.values()].map(({ element }) => element.offsetTop);
  return Math.max(1, tops.filter((top) => top === tops[0]).length);
}

// Judging.

function decide(one, decision) {
  if (one?.state !== "open" || !page.judges) return;
  const following = next(one);
  set(one, after(decision));
  judgements.decide(one.image_id, decision);
  if (following) {
    goTo(following);
    const later = next(following);
    if (later) preload(later);
  } else close();
  if (following === null && cursor !== null) load(cursor);
}

function next(one) {
  const all = [...cards.values()].map((entry) => entry.one);
  const at = all.indexOf(one);
  return all.slice(at + 1).find((other) => other.state === "open") ?? null;
}

function set(one, to) {
  counts[one.state] -= 1;
  counts[to] += 1;
  one.state = to;
  if (to === "open") one.decided = null;
  update(cards.get(one.image_id).element, one, desk);
  sayLarge(one, desk);
  tell();
}

function undo() {
  const imageId = judgements.undo();
  const found = imageId && cards.get(imageId);
  if (found) {
    if (found.one.state !== "open") set(found.one, "open");
    goTo(found.one);
  } else if (imageId) load();
}

function takeBack(one) {
  judgements.takeBack({ imageId: one.image_id, labelIds: one.decided ? [one.decided.label_id] : [] });
  set(one, "open");
}

function changed({ imageId, stored, refused }) {
  const found = cards.get(imageId);
  if (found && refused && refused.kind === "decide") set(found.one, "open");
  if (found && stored) found.one.decided = { label_id: stored.labelIds[0], author: document.querySelector('meta[name="visitor"]').content };
  if (found && stored) update(found.element, found.one, desk);
  tell();
}

function tell() {
  for (const [name, count] of Object.entries(counts)) {
    const element = document.querySelector(`[data-count="${name}"]`);
    if (element) element.textContent = number(count);
  }
  const all = Object.values(counts).reduce((sum, one) => sum + one, 0);
  $("judged").style.width = `${all ? (100 * (all - counts.open)) / all : 0}%`;
  $("judged-of").textContent = t("{done} of {all} judged", { done: number(all - counts.open), all: number(all) });
  if ($("undo")) $("undo").disabled = !judgements.undoable;
  const waiting = judgements?.waiting ?? 0;
  $("sending").textContent = !waiting ? "" : judgements.cut
    ? plural("No connection: {count} decision waits here and is sent by itself.", "No connection: {count} decisions wait here and are sent by themselves.", waiting)
    : t("Storing…");
  nothing();
}

function nothing() {
  const empty = !cards.size;
  const done = state === "open" && !empty && cursor === null && [...cards.values()].every(({ one }) => one.state !== "open");
  $("nothing").hidden = !empty && !done;
  if (!empty && !done) return;
  const learned = counts.accepted + counts.superseded;
  fill($("nothing"), h("div", { class: "empty cleaning-done" },
    h("h2", {}, state === "open" ? t("Every doubted label has been judged") : t("None here")),
    state === "open" && h("p", {}, learned ? t("Train again, so that the next version learns from what was changed.") : t("No label had to be changed.")),
    state === "open" && learned > 0 && h("p", {}, h("a", { class: "button primary", href: `/heads/${page.task}` }, t("Train a head")))));
}

// Tabs, filters, keys.

tabs(document.querySelectorAll("#states [role=tab]"), $("suspects"), (tab) => {
  state = tab.dataset.state;
  clear();
  load();
});
$("likely").addEventListener("change", () => load());
$("more").addEventListener("click", () => load(cursor));
$("undo")?.addEventListener("click", undo);
$("bulk")?.addEventListener("click", () => decideMany(page, () => load()));
$("version")?.addEventListener("change", (event) => { location.search = `version=${event.target.value}`; });

const free = () => !lookedAt();
const go = t("Suspects");
shortcuts.add({ keys: ["j", "n"], does: t("Next"), group: go, run: () => step(1) });
shortcuts.add({ keys: "k", does: t("Previous"), group: go, run: () => step(-1) });
shortcuts.add({ keys: "ArrowRight", does: t("Next"), group: go, run: () => step(1), when: free });
shortcuts.add({ keys: "ArrowLeft", does: t("Previous"), group: go, run: () => step(-1), when: free });
shortcuts.add({ keys: "ArrowDown", does: t("One row down"), group: go, run: () => step(columns()), when: free });
shortcuts.add({ keys: "ArrowUp", does: t("One row up"), group: go, run: () => step(-columns()), when: free });
shortcuts.add({ keys: " ", does: t("Look at the scan at full size, and back"), group: go, run: () => (lookedAt() ? close() : current() && desk.look(current())) });
shortcuts.add({ keys: "Enter", does: t("Everything about the scan"), group: go, run: () => { if (current()) location.href = `/images/${current().image_id}?task=${page.task}`; } });
if (page.judges) {
  const judging = t("Decide");
  shortcuts.add({ keys: "x", does: t("The label is wrong: change it"), group: judging, run: () => decide(current(), "accept") });
  shortcuts.add({ keys: "c", does: t("The label is right: keep it"), group: judging, run: () => decide(current(), "reject") });
  shortcuts.add({ keys: "u", does: t("Undo the last decision"), group: judging, run: undo });
}
addEventListener("beforeunload", (event) => { if (judgements.waiting) event.preventDefault(); });

tell();
await load();
