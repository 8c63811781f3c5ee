/** The ingest page: what is dropped is sent, and seen to be judged. */

import { given } from "../elements.js";
import { number, plural, t } from "../messages.js";
import { say, warn } from "../notices.js";
import { shortcuts } from "../shortcuts.js";
import { tabs } from "../tabs.js";
import { chosen, dropped } from "./folders.js";
import { keep, metadata, stated } from "./known.js";
import { LongList } from "./list.js";
import { copy, download } from "./refused.js";
import { bytes, refusal, row } from "./row.js";
import { Sender } from "./sender.js";
import { Watch } from "./watch.js";

const ROW = 46;
const RATE_MS = 20_000;
const { maxFileBytes, tasks } = given("ingest");
const $ = (id) => document.getElementById(id);
const records = [];
const ended = []; // when files left the queue, of the last seconds
let view = "all";
let cut = false;
let finished = true;
let asked = false;

const list = new LongList($("list"), $("rows"), (record) => row(record, tasks), ROW);
const watch = new Watch(changed);
const sender = new Sender(changed, (lost) => { cut = lost; tell(); });

const GOING = ["waiting", "checking", "sending"];
const openTask = (image) => image.discrepancies.some((task) => !tasks[task]?.blind);
const VIEWS = {
  all: () => true,
  going: (one) => GOING.includes(one.state),
  new: (one) => one.state === "new",
  known: (one) => one.state === "known",
  judged: (one) => one.image?.state === "ready",
  differs: (one) => one.image?.state === "ready" && openTask(one.image),
  refused: (one) => refusal(one) !== null,
};

// Files come in.

function add(found) {
  if (!found.length) return;
  const known = stated();
  const made = found.map(({ file, path }) => {
    const name = path.split("/").at(-1);
    return { file, path, name, size: file.size, metadata: metadata(known, path, tasks), state: "waiting", share: 0 };
  });
  for (const one of made) {
    const reason = impossible(one);
    if (reason) Object.assign(one, { state: "refused", reason });
  }
  records.push(...made);
  $("sending").hidden = false;
  $("drop").classList.add("small");
  if ($("recent")) $("recent").hidden = true;
  finished = false;
  sender.add(made.filter((one) => one.state === "waiting"));
  tell();
}

function impossible({ size }) {
  if (!size) return t("The file is empty.");
  if (size > maxFileBytes) return t("The file has {size}; at most {most} are taken.", { size: bytes(size), most: bytes(maxFileBytes) });
  return null;
}

async function take(transfer) {
  keep();
  const before = records.length;
  const unread = await dropped(transfer, add);
  if (unread.length) warn(plural("{count} folder or file could not be read: {first}", "{count} folders or files could not be read, {first} first", unread.length, { first: unread[0] }));
  if (records.length === before && !unread.length) say(t("There was no file in it."));
}

const page = document.documentElement;
let inside = 0;
addEventListener("dragenter", (event) => { if (isFiles(event)) { inside += 1; page.classList.add("dropping"); } });
addEventListener("dragleave", () => { inside = Math.max(0, inside - 1); if (!inside) page.classList.remove("dropping"); });
addEventListener("dragover", (event) => { if (isFiles(event)) event.preventDefault(); });
addEventListener("drop", (event) => {
  inside = 0;
  page.classList.remove("dropping");
  if (!isFiles(event)) return;
  event.preventDefault();
  take(event.dataTransfer);
});
addEventListener("paste", (event) => { if (event.clipboardData?.files.length) add(chosen(event.clipboardData.files)); });
const isFiles = (event) => event.dataTransfer?.types.includes("Files");

for (const name of ["folder", "files"]) {
  $(`choose-${name}`).addEventListener("click", () => $(name).click());
  $(name).addEventListener("change", () => {
    keep();
    const found = chosen($(name).files);
    add(found);
    if (!found.length) say(t("There was no file in it."));
    $(name).value = "";
  });
}

// What becomes of them.

function changed(record) {
  if (["new", "known"].includes(record.state) && !record.counted) {
    record.counted = true;
    ended.push(performance.now());
    watch.add(record);
  }
  list.changed(record);
  tell();
}

/** Say the figures again, with the next frame: thousands of files change many times a second. */
function tell() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    draw();
  });
}

function draw() {
  const counts = Object.fromEntries(Object.entries(VIEWS).map(([name, fits]) => [name, records.filter(fits).length]));
  for (const [name, count] of Object.entries(counts)) document.querySelector(`[data-count="${name}"]`).textContent = number(count);
  const shown = view === "all" ? records : records.filter(VIEWS[view]);
  list.items = shown;
  $("list-none").hidden = shown.length > 0;
  $("refusals").hidden = view !== "refused" || !counts.refused;
  const sent = records.length - counts.going;
  $("sent").max = records.length || 1;
  $("sent").value = sent;
  $("line").textContent = line(sent, counts);
  $("pause").hidden = !counts.going;
  const verb = sender.paused ? t("Go on") : t("Pause");
  $("pause").firstChild.data = `${verb} `;
  $("clear").hidden = counts.going > 0 || !records.length;
  $("cut").hidden = !cut || !counts.going;
  if (cut) $("cut").textContent = t("The service does not answer. What is left waits here and goes on by itself; nothing is sent twice.");
  if (!counts.going && !finished) end(counts);
}

function line(sent, counts) {
  if (!counts.going) {
    const waits = watch.size;
    const said = [plural("{count} file is through", "All {count} files are through", records.length)];
    if (waits) said.push(plural("{count} is still to be judged", "{count} are still to be judged", waits));
    return said.join(" · ");
  }
  const parts = [t("{sent} of {all} files are through", { sent: number(sent), all: number(records.length) })];
  while (ended.length && performance.now() - ended[0] > RATE_MS) ended.shift();
  const seconds = Math.min(RATE_MS, performance.now() - (ended[0] ?? 0)) / 1000;
  const rate = ended.length > 5 && seconds > 1 ? ended.length / seconds : 0;
  if (sender.paused) parts.push(t("paused"));
  else if (rate && !cut) {
    parts.push(plural("{count} a second", "{count} a second", Math.max(1, Math.round(rate))));
    parts.push(left(counts.going / rate));
  }
  return parts.join(" · ");
}

const left = (seconds) => (seconds < 90 ? t("less than two minutes left") : plural("about {count} minute left", "about {count} minutes left", Math.round(seconds / 60)));

function end(counts) {
  finished = true;
  const parts = [
    plural("{count} new scan", "{count} new scans", counts.new),
    plural("{count} was here already", "{count} were here already", counts.known),
    plural("{count} refused", "{count} refused", counts.refused),
  ];
  say(t("All files are through: {what}.", { what: parts.join(", ") }), { seconds: 0 });
}

// Views, buttons, keys.

tabs(document.querySelectorAll("#views [role=tab]"), $("list"), (tab) => {
  view = tab.dataset.view;
  $("list").scrollTop = 0;
  $("copied").textContent = "";
  tell();
});

const refused = () => records.filter(VIEWS.refused);
$("copy").addEventListener("click", () => copy(refused(), $("copied"), () => download(refused())));
$("download").addEventListener("click", () => download(refused()));
$("try-again").addEventListener("click", () => {
  const some = records.filter((one) => one.state === "refused" && !impossible(one));
  for (const one of some) Object.assign(one, { state: "waiting", tries: 0, alone: true, reason: null });
  finished = !some.length && finished;
  sender.add(some);
  tell();
});
$("pause").addEventListener("click", pause);
$("clear").addEventListener("click", () => {
  records.length = 0;
  watch.clear();
  $("sending").hidden = true;
  $("drop").classList.remove("small");
  tell();
});

function pause() {
  if (sender.paused) sender.resume();
  else sender.pause();
  tell();
}

const group = t("Ingest");
shortcuts.add({ keys: "d", does: t("Choose a folder"), group, run: () => $("choose-folder").click() });
shortcuts.add({ keys: "f", does: t("Choose files"), group, run: () => $("choose-files").click() });
shortcuts.add({ keys: "p", does: t("Pause, or go on"), group, run: pause, when: () => !$("pause").hidden && !$("sending").hidden });
shortcuts.add({ keys: "r", does: t("Refused files"), group, run: () => $("view-refused").click(), when: () => !$("sending").hidden });
addEventListener("beforeunload", (event) => { if (records.some(VIEWS.going)) event.preventDefault(); });
