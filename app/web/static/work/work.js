/** The work page: one scan after the other. What is decided goes out in the background; the next scan is there already. */

import { Offline, Problem } from "../api.js";
import { given as read, fill, h } from "../elements.js";
import { forget, show as showEvidence } from "../scan/evidence.js";
import { t } from "../messages.js";
import { explain, say, warn } from "../notices.js";
import { Outbox } from "./outbox.js";
import { boxesOf, heatOf, ready } from "./ahead.js";
import { nameOf, opinion, said } from "./answers.js";
import { Bar } from "./bar.js";
import { History } from "./history.js";
import { keys } from "./keys.js";
import { Queue } from "./queue.js";
import { Trouble } from "./trouble.js";
import { midnight } from "../worklist/live.js";
import "../viewer/scan-viewer.js";

const LOOK_AGAIN_MS = 5000;
const PATIENCE_MS = 3000; // a scan that takes longer may be passed over unseen
const COUNT_MS = 60_000;

const given = read("work-given");
const place = (id) => document.getElementById(id);
const viewer = place("viewer");
const outbox = new Outbox();
const queue = new Queue(given);
const bar = new Bar(place("bar"), given, { answer, undo });
const trouble = new Trouble(place("trouble"), outbox, given, { move });
const history = new History(given.classes);
const far = { open: null, mine: 0, left: given.filter.count ?? null };

let shown = null; // the item on screen
let since = 0; // when it was asked for
let seen = 0; // when it was painted; 0 while it is not
let failed = false; // it cannot be painted
let pressed = 0; // when the key was pressed that brought it
let retry = 0;
let later = 0;

/* One scan. */

async function show() {
  const item = queue.current;
  clearTimeout(retry);
  if (item === shown) return;
  shown = item;
  since = performance.now();
  seen = 0;
  failed = false;
  bar.seen = false;
  trouble.taken(null);
  bar.show(item);
  if (!item) return between();
  place("between").hidden = true;
  facts(item);
  showEvidence(place("evidence"), item.image_id, given.task);
  const painted = viewer.show(item.image_id);
  viewer.heat = heatOf(item);
  boxesOf(item).then((boxes) => item === shown && (viewer.boxes = boxes));
  if (!(await painted) || item !== shown) return;
  seen = performance.now();
  bar.seen = true;
  if (pressed) performance.measure("work-next", { start: pressed, end: seen });
  pressed = 0;
  document.dispatchEvent(new CustomEvent("work-shown", { detail: { imageId: item.image_id } }));
  ahead();
}

function facts(item) {
  const address = new URL(location);
  address.searchParams.set("image", item.image_id);
  window.history.replaceState(null, "", address);
  fill(place("facts"),
    h("p", { class: "work-pile" }, given.titles[item.pile] ?? t("Not judged by the head yet")),
    h("h1", { class: "clip", title: nameOf(item) }, h("a", { href: `/images/${item.image_id}?task=${given.task}` }, nameOf(item))),
    item.opinion && h("p", { class: "small" }, t("{name} has answered already: {word}.", { name: item.opinion.author, word: said(item.opinion, given.classes) })));
  place("spoken").textContent = `${nameOf(item)}. ${given.titles[item.pile] ?? ""}`;
}

function ahead() {
  for (const item of queue.next) ready(viewer, item);
}

viewer.addEventListener("viewer-error", ({ detail: { error, imageId } }) => {
  if (imageId !== shown?.image_id || seen) return;
  if (error instanceof Problem && error.status === 404) return deleted(shown);
  if (!(error instanceof Offline)) return (failed = true);
  trouble.reachable = false;
  retry = setTimeout(showAgain, LOOK_AGAIN_MS, shown);
});

function showAgain(item) {
  if (item !== shown || seen) return;
  shown = null;
  show();
}

/* The list. */

async function fetchNext() {
  try {
    await queue.fill();
    trouble.reachable = true;
  } catch (error) {
    if (error instanceof Offline || error.status >= 500) trouble.reachable = false;
    else warn(explain(error));
  }
  if (!shown && queue.current) show();
  else if (seen) ahead();
  if (!shown) between();
  clearTimeout(later);
  if (!shown || trouble.unreachable) later = setTimeout(fetchNext, LOOK_AGAIN_MS);
}

queue.addEventListener("deleted", ({ detail: { item } }) => deleted(item));
queue.addEventListener("lost", ({ detail: { item, author } }) => {
  if (item === shown) trouble.taken(author);
  else queue.leave(item);
});

function deleted(item) {
  queue.leave(item);
  warn(t("{name} was deleted meanwhile.", { name: nameOf(item) }));
  if (item === shown) next();
}

/** On to the next scan without an answer: somebody else has this one. */
function move() {
  queue.leave(shown);
  next();
}

function next() {
  show();
  fetchNext();
}

/** Nothing is on screen: say why, and what can be done. */
function between() {
  pressed = 0;
  const [title, text] = trouble.unreachable
    ? [t("The next scan is not here yet"), t("It comes when the service answers again.")]
    : !given.answered
      ? [t("Nobody judges these scans yet"), t("This task has no live head. An administrator trains or promotes one.")]
      : given.narrows
        ? [t("Nothing is left that fits"), t("Your filter leaves the other scans out. New ones that fit appear here by themselves.")]
        : [t("Nothing is left to look at"), t("Others may hold the last ones. New scans appear here by themselves.")];
  fill(place("between"), h("h1", {}, title), h("p", {}, text), h("p", {}, h("a", { class: "button", href: given.list }, t("To the worklist"))));
  place("between").hidden = false;
  fill(place("facts"));
  fill(place("evidence"));
}

/* Answers. */

function answer({ verdict, name }) {
  const item = shown;
  if (!item) return;
  const passed = failed || (verdict === "skip" && performance.now() - since > PATIENCE_MS);
  if (!seen && (name || !passed)) return place("spoken").append(` ${t("The scan is not on screen yet.")}`);
  pressed = performance.now();
  const seconds = seen ? (pressed - seen) / 1000 : 0;
  const body = opinion(item, { verdict, name, reason: bar.takeReason(), blind: given.blind, seconds });
  queue.decided();
  outbox.give({ task: given.task, name: nameOf(item), body });
  history.push(item, body);
  bar.last(history.last);
  count(verdict === "skip" ? 0 : 1);
  forget(item.image_id, given.task);
  if (far.left === 0 && verdict !== "skip") finished();
  next();
}

function undo() {
  const last = history.pop();
  if (!last) return;
  pressed = performance.now();
  outbox.withdraw(last.body.id, last.name);
  bar.last(history.last);
  count(last.body.verdict === "skip" ? 0 : -1);
  say(t("Taken back: “{word}” for {name}.", last), { seconds: 3 });
  if (!last.item) return reopen(last.body);
  queue.reopen(last.item);
  show();
}

/** A scan that was answered before this page was opened: it can be had once the answer is taken back. */
function reopen({ id, image_id: imageId }) {
  outbox.addEventListener("sent", async function hear({ detail: { entry } }) {
    if (entry.kind !== "withdraw" || entry.body.id !== id) return;
    outbox.removeEventListener("sent", hear);
    await queue.begin(imageId).catch((error) => warn(explain(error)));
    show();
  });
}

// The same person at another tab: what is answered there is not asked here.
outbox.addEventListener("elsewhere", ({ detail: { entry } }) => {
  const item = entry.task === given.task && queue.items.find((one) => one.image_id === entry.body.image_id);
  if (!item) return;
  queue.leave(item);
  if (item === shown) next();
});

outbox.addEventListener("sent", () => trouble.unreachable && fetchNext());
outbox.addEventListener("gone", ({ detail: { entry } }) => {
  warn(t("{name} was deleted meanwhile; your answer to it has nowhere to go.", { name: entry.name }));
});

/* How far it is. */

function count(by) {
  far.mine = Math.max(0, far.mine + by);
  if (far.open !== null) far.open = Math.max(0, far.open - by);
  if (far.left !== null) far.left = Math.max(0, far.left - by);
  bar.progress(far);
}

function finished() {
  say(t("The scans that you chose for today are done. What comes now is beyond them."), { seconds: 0, action: { text: t("To the worklist"), run: () => location.assign(given.list) } });
  far.left = null;
}

async function recount() {
  if (document.hidden || outbox.waiting.length) return;
  const found = await queue.counts(midnight()).catch(() => null);
  if (!found || outbox.waiting.length) return;
  Object.assign(far, { open: found.open, mine: found.mine_today });
  bar.progress(far);
}

setInterval(recount, COUNT_MS);
addEventListener("pageshow", (event) => event.persisted && location.reload());

keys({ bar, answer, undo, side: place("work"), list: given.list });
outbox.start();
bar.progress(far);
if (given.first) {
  await queue.begin(given.first).catch((error) => warn(explain(error), { seconds: 20 }));
  if (queue.current) show();
}
await fetchNext();
recount();
await history.recall(given.task).catch(() => {}); // then only what is answered here can be taken back
bar.last(history.last);
