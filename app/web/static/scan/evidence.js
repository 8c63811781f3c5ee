/**
 * The evidence beside a scan, rendered by the server; `evidence.css` belongs to it.
 *
 *   prefetch(imageId, task)        fetched, its pictures too, and ready to be shown at once
 *   await show(element, imageId, task)   fills the element; false where another was asked for meanwhile
 *   forget(imageId, task)          after an opinion or a label: what is shown next is fetched anew
 */

import { call } from "../api.js";
import { fill, h, parse } from "../elements.js";
import { t } from "../messages.js";
import { explain } from "../notices.js";
import { localise } from "../times.js";

const FRESH_MS = 120_000;
const MOST = 12;
const LOOK_AGAIN_MS = 1500;
const held = new Map(); // key: {at, nodes: Promise<Node[]>}
const asked = new WeakMap(); // element: what it was last asked to show

const keyOf = (imageId, task) => `${imageId} ${task}`;

/** Fetch what `show` will be asked for soon; a failure waits until it is. */
export function prefetch(imageId, task) {
  fetched(imageId, task).catch(() => {});
}

/** Fill an element with the evidence on an image. What goes wrong is said in its place. */
export async function show(element, imageId, task) {
  const wanted = Symbol(imageId);
  asked.set(element, wanted);
  const late = () => asked.get(element) !== wanted;
  const waiting = setTimeout(() => !late() && fill(element, h("p", { class: "evidence-wait muted" }, t("Gathering the evidence…"))), 250);
  element.setAttribute("aria-busy", "true");
  try {
    const nodes = await fetched(imageId, task);
    if (late()) return false;
    held.delete(keyOf(imageId, task)); // nodes can be in one place only
    put(element, nodes);
    if (isPending(element)) setTimeout(() => !late() && element.isConnected && again(element, imageId, task), LOOK_AGAIN_MS);
    return true;
  } catch (error) {
    if (!late()) fill(element, h("p", { class: "problem" }, explain(error)), retry(element, imageId, task));
    return false;
  } finally {
    clearTimeout(waiting);
    if (!late()) element.removeAttribute("aria-busy");
  }
}

export function forget(imageId, task) {
  held.delete(keyOf(imageId, task));
}

function fetched(imageId, task) {
  const key = keyOf(imageId, task), known = held.get(key);
  if (known && Date.now() - known.at < FRESH_MS) return known.nodes;
  const nodes = load(imageId, task);
  held.set(key, { at: Date.now(), nodes });
  nodes.catch(() => held.get(key)?.nodes === nodes && held.delete(key));
  for (const old of [...held.keys()].slice(0, Math.max(0, held.size - MOST))) held.delete(old);
  return nodes;
}

async function load(imageId, task) {
  const html = await call("GET", `/images/${imageId}/evidence/${encodeURIComponent(task)}`, undefined, { as: "text" });
  const nodes = [...parse(html)];
  for (const node of nodes) if (node.querySelectorAll) localise(node);
  return nodes;
}

function put(element, nodes) {
  const open = new Set([...element.querySelectorAll("details[open]")].map((one) => one.className));
  element.replaceChildren(...nodes);
  // What a person opened stays open on the next scan.
  for (const one of element.querySelectorAll("details")) one.open = open.has(one.className);
  element.scrollTop = 0;
}

const isPending = (element) => element.querySelector(".evidence-body")?.dataset.state === "pending";

/** The same once more, without a flicker: a scan that is being read has its answer soon. */
async function again(element, imageId, task) {
  forget(imageId, task);
  await show(element, imageId, task);
}

function retry(element, imageId, task) {
  return h("button", { type: "button", onclick: () => again(element, imageId, task) }, t("Try again"));
}
