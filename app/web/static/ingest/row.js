/** A file as a row: what it is, how far it is, what its scan was judged as. */

import { h } from "../elements.js";
import { classWord, number, percent, t } from "../messages.js";

/** @param {Object} record  @param {Object} tasks  by name: classes, positive, blind */
export function row(record, tasks) {
  const { image } = record;
  const [folder, name] = [record.path.slice(0, -record.name.length), record.name];
  return h("li", { class: "file", "data-state": record.state },
    image?.state === "ready" ? h("img", { src: `/v1/images/${image.id}/thumbnail?size=128`, alt: "", width: 60, height: 36, loading: "lazy", decoding: "async" })
      : h("span", { class: "file-none", "aria-hidden": "true" }),
    h("span", { class: "file-name", title: record.path },
      image ? h("a", { class: "clip", href: `/images/${image.id}` }, name) : h("span", { class: "clip" }, name),
      folder && h("span", { class: "clip muted small" }, folder.slice(0, -1))),
    h("span", { class: "file-size muted small" }, bytes(record.size)),
    h("span", { class: "file-state" }, state(record)),
    h("span", { class: "file-said" }, said(record, tasks)));
}

const chip = (text, kind) => h("span", { class: "chip", "data-kind": kind }, text);

function state({ state: now, share }) {
  switch (now) {
    case "waiting": return h("span", { class: "muted small" }, t("waits"));
    case "checking": return h("span", { class: "muted small" }, t("is read"));
    case "sending": return [h("progress", { max: 1, value: share, "aria-label": t("Sent") }), h("span", { class: "muted small" }, percent(share, 0))];
    case "new": return chip(t("stored"), "calm");
    case "known": return chip(t("was here"));
    default: return chip(t("refused"), "open");
  }
}

function said({ state: now, reason, image }, tasks) {
  if (now === "refused") return h("span", { class: "small", title: reason }, reason);
  if (!image) return null;
  if (image.state === "pending") return h("span", { class: "muted small" }, t("is being described…"));
  if (image.state === "deleted") return h("span", { class: "muted small" }, t("was deleted meanwhile"));
  if (image.state === "failed") return h("span", { class: "small", title: image.error?.message }, t("Stored, but cannot be judged: {reason}", { reason: image.error?.message ?? "?" }));
  const judged = Object.entries(image.decisions);
  if (!judged.length) return h("span", { class: "muted small" }, t("described; no head judges it"));
  return judged.map(([task, decision]) => {
    if (tasks[task]?.blind) return h("span", { class: "muted small" }, t("judged, kept for your own opinion"));
    const kind = decision === tasks[task]?.positive ? "finding" : ["review", "cannot_judge"].includes(decision) ? "open" : "calm";
    return [chip(classWord(decision), kind), image.discrepancies.includes(task)
      && h("span", { class: "small" }, t("declared {class}", { class: classWord(image.declared[task]) }))];
  });
}

/** 1.2 MB. */
export function bytes(count) {
  if (count >= 1e6) return `${number(Math.round(count / 1e5) / 10)} MB`;
  return `${number(Math.max(1, Math.round(count / 1e3)))} kB`;
}

/** Why a file is on the list of refused ones; null when it is not. */
export const refusal = ({ state: now, reason, image }) =>
  now === "refused" ? reason : image?.state === "failed" ? (image.error?.message ?? "?") : null;
