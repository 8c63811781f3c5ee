/** A scan's own page: the picture, its evidence, what a person says of it. */

import { post, remove } from "../api.js";
import { confirm } from "../dialogs.js";
import { given } from "../elements.js";
import { uuid } from "../ids.js";
import { forget, show } from "./evidence.js";
import { classWord, t } from "../messages.js";
import { explain, say, warn } from "../notices.js";
import { shortcuts } from "../shortcuts.js";
import "../viewer/scan-viewer.js";

const scan = given("scan");
const viewer = document.getElementById("viewer");
const evidence = document.getElementById("evidence");
const reason = document.getElementById("reason");
const hand = document.getElementById("by-hand");

async function open() {
  await viewer.show(scan.id);
  if (scan.hidden || !scan.head) return;
  viewer.boxes = scan.boxes.map((box) => ({ ...box, label: classWord(box.kind), kind: box.kind === scan.positive ? "finding" : box.kind in scan.classes ? "calm" : "open" }));
  viewer.heat = { url: `/v1/images/${scan.id}/explanation/${encodeURIComponent(scan.task)}` };
}

const refresh = () => {
  forget(scan.id, scan.task);
  return show(evidence, scan.id, scan.task);
};

/** Give an opinion; the class that the papers or the head name is confirmed, another corrects it. */
async function judge(className, { id = uuid(), anyway = false } = {}) {
  const expected = scan.declared ?? scan.decision;
  const verdict = className ? (className === expected ? "confirm" : "correct") : "cannot_judge";
  busy(true);
  try {
    const opinion = await post(`/v1/tasks/${encodeURIComponent(scan.task)}/opinions`, {
      id, image_id: scan.id, verdict, class_name: className || null, reason: reason.value.trim() || null, blind: scan.hidden,
      shown: { page: "scan", head: scan.head, decision: scan.decision, risk: scan.risk, declared: scan.declared }, anyway,
    });
    const word = className ? scan.classes[className] : classWord("cannot_judge");
    say(t("Kept: {name}", { name: word }), { seconds: 20, action: { text: t("Undo"), run: () => undo(opinion.id) } });
    reason.value = "";
    await refresh();
  } catch (error) {
    if (error.code === "taken") await ask(error, className, id);
    else warn(explain(error));
  } finally {
    busy(false);
  }
}

async function ask(error, className, id) {
  if (await confirm(t("Somebody else is at this scan"), error.message, t("Say it all the same"))) await judge(className, { id, anyway: true });
}

async function undo(opinionId) {
  try {
    await remove(`/v1/opinions/${opinionId}`);
    say(t("Taken back."));
    await refresh();
  } catch (error) {
    warn(explain(error), { action: { text: t("Try again"), run: () => undo(opinionId) } });
  }
}

function busy(now) {
  for (const button of hand.querySelectorAll("button")) button.disabled = now;
}

async function deleteScan() {
  const sure = await confirm(t("Delete this scan?"), t("{name} goes for good, with its labels, opinions and predictions.", { name: scan.name }), t("Delete"), "danger");
  if (!sure) return;
  try {
    await remove(`/v1/images/${scan.id}`);
    location.assign("/images");
  } catch (error) {
    warn(explain(error));
  }
}

document.getElementById("delete")?.addEventListener("click", deleteScan);
shortcuts.add({ keys: "s", does: t("Scans like this one"), group: t("Scan"), run: () => document.getElementById("similar").click() });
if (hand) {
  hand.addEventListener("submit", (event) => event.preventDefault());
  const buttons = [...hand.querySelectorAll("[data-class]")];
  for (const button of buttons) button.addEventListener("click", () => judge(button.dataset.class));
  for (const [index, name] of Object.keys(scan.classes).entries()) {
    shortcuts.add({ keys: `l ${index + 1}`, does: t("It is {name}", { name: scan.classes[name] }), group: t("Decide"), run: () => judge(name) });
  }
  shortcuts.add({ keys: "l 0", does: t("It cannot be judged"), group: t("Decide"), run: () => judge("") });
  shortcuts.add({ keys: "r", does: t("Give a reason"), group: t("Decide"), run: () => reason.focus() });
}
if (evidence.querySelector(".evidence-body").dataset.state === "pending") refresh();
await open();
