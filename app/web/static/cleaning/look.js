/** A suspect at full size, judged from there: the next one follows by itself. */

import { fill, h } from "../elements.js";
import { t } from "../messages.js";
import { buttons, outcome, statement } from "./card.js";

let open = null;

/** The suspect that is looked at, or null. */
export const lookedAt = () => open?.one ?? null;

/** Open the large view, or show another suspect in the one that is open. */
export async function look(one, desk) {
  if (!open) {
    await import("../viewer/scan-viewer.js");
    open = build(desk);
  }
  open.one = one;
  say(one, desk);
  await open.viewer.show(one.image_id);
}

/** Say again what became of the suspect that is looked at. */
export function say(one, desk) {
  if (open?.one !== one) return;
  fill(open.head, h("span", { class: "muted nowrap" }, t("Rank {rank}", { rank: one.rank })), statement(one, desk));
  fill(open.judge,
    h("a", { class: "button", href: `/images/${one.image_id}?task=${encodeURIComponent(desk.task)}` }, t("Everything about it")),
    one.state === "open" ? (desk.judges && buttons(one, desk)) : outcome(one),
    h("button", { type: "button", onclick: close }, t("Close")));
}

export const preload = (one) => open?.viewer.preload?.(one.image_id);

export function close() {
  open?.dialog.close();
}

function build(desk) {
  const viewer = document.createElement("scan-viewer");
  const head = h("header", { class: "look-head" });
  const judge = h("footer", { class: "look-judge" });
  // `data-keys`: the page's keys work in this dialog.
  const dialog = h("dialog", { class: "look", "data-keys": "", "aria-label": t("The scan at full size") }, head, viewer, judge);
  dialog.addEventListener("close", () => {
    const { one } = open;
    open = null;
    dialog.remove();
    desk.closed(one);
  });
  document.body.append(dialog);
  dialog.showModal();
  return { dialog, viewer, head, judge, one: null };
}
