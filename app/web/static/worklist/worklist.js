/** The worklist: keys, filters that are kept, pages that follow. What others do meanwhile: worklist-live.js. */

import { get, remember } from "../api.js";
import { fill, given, h, parse } from "../elements.js";
import { t } from "../messages.js";
import { explain, warn } from "../notices.js";
import { Outbox } from "../work/outbox.js";
import { shortcuts } from "../shortcuts.js";
import { localise } from "../times.js";
import { watch } from "./live.js";

const page = given("worklist");
const form = document.getElementById("filter-form");
const list = document.querySelector(".list");

if (page.recalled) history.replaceState(null, "", `/${page.query}`);
remember("worklist", page.task).catch(() => {}); // only a memory

/* What a person typed in their own zone, and what the service understands. */

function local(moment) {
  const at = new Date(moment);
  return new Date(at - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

for (const field of form.querySelectorAll("[data-moment]")) {
  if (field.dataset.moment) field.value = local(field.dataset.moment);
}

function conditions() {
  const found = {};
  for (const field of form.elements) {
    if (!field.name || !field.value || (field.name === "state" && field.value === "open")) continue;
    found[field.name] = field.type === "datetime-local" ? new Date(field.value).toISOString() : field.value;
  }
  if (found.within) delete found.received_from;
  return found;
}

/** Open the worklist with these conditions; they are kept for the next visit. */
async function open(wanted) {
  await remember(`worklist:${page.task}`, Object.keys(wanted).length ? wanted : null).catch((error) => warn(explain(error)));
  const query = new URLSearchParams({ task: page.task });
  for (const [name, value] of Object.entries(wanted)) for (const one of [value].flat()) query.append(name, one);
  if (query.size === 1) query.set("all", "1");
  location.assign(`/?${query}`);
}

const piles = page.filter.pile ? { pile: page.filter.pile } : {};
form.addEventListener("submit", (event) => {
  event.preventDefault();
  open({ ...piles, ...conditions() });
});
for (const button of document.querySelectorAll("#clear, [data-clear]")) button.addEventListener("click", () => open({}));
document.getElementById("capacity")?.addEventListener("submit", (event) => {
  event.preventDefault();
  const { count } = Object.fromEntries(new FormData(event.target));
  open({ ...conditions(), count: count || "40" });
});
for (const link of document.querySelectorAll(".piles a")) {
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    const { count: _, pile: __, ...kept } = page.filter;
    open({ ...kept, ...Object.fromEntries([["pile", new URL(link.href).searchParams.getAll("pile")]].filter(([, names]) => names.length)) });
  });
}

/* Pages that follow. */

const more = document.getElementById("more");

async function follow() {
  const last = [...list.querySelectorAll(".rows")].at(-1);
  if (!last?.dataset.next || more.disabled) return;
  more.disabled = true;
  try {
    const query = new URLSearchParams(page.query);
    query.set("cursor", last.dataset.next);
    if (last.dataset.pile) query.set("before", last.dataset.pile);
    const nodes = [...parse(await get(`/worklist/${page.task}/rows?${query}`, { as: "text" }))];
    last.after(...nodes.filter((node) => node.nodeType === Node.ELEMENT_NODE));
    const added = last.nextElementSibling;
    localise(added);
    suggest();
    more.hidden = !added.dataset.next;
  } catch (error) {
    warn(explain(error));
  } finally {
    more.disabled = false;
  }
}

if (more) {
  more.addEventListener("click", follow);
  new IntersectionObserver(([seen]) => seen.isIntersecting && follow(), { rootMargin: "600px" }).observe(more);
}

/** Sources of the scans in the list, to choose from. */
function suggest() {
  const found = new Set([...list.querySelectorAll(".item-facts > span:first-child")].map((one) => one.textContent));
  fill(document.getElementById("sources"), [...found].map((value) => h("option", { value })));
}
suggest();

/* Keys. */

const links = () => [...list.querySelectorAll(".item-open")];

function step(by) {
  const all = links();
  const now = all.indexOf(document.activeElement?.closest?.(".item")?.querySelector(".item-open"));
  const next = now < 0 ? (by > 0 ? 0 : all.length - 1) : Math.max(0, Math.min(all.length - 1, now + by));
  all[next]?.focus({ preventScroll: true });
  all[next]?.closest(".item").scrollIntoView({ block: "nearest" });
}

const group = t("Worklist");
shortcuts.add({ keys: ["j", "ArrowDown"], does: t("Next scan"), group, run: () => step(1) });
shortcuts.add({ keys: ["k", "ArrowUp"], does: t("Previous scan"), group, run: () => step(-1) });
shortcuts.add({ keys: "Enter", does: t("Open the chosen scan, or start at the top"), group, run: () => document.getElementById("start")?.click() });
shortcuts.add({
  keys: "/", does: t("Filters"), group,
  run() {
    document.getElementById("filters").open = true;
    document.getElementById("f-source").focus();
  },
});
shortcuts.add({ keys: "n", does: t("How many scans you can open today"), group, run: () => document.getElementById("count")?.select() });
for (const link of document.querySelectorAll("[data-pile-key]")) {
  const text = link.querySelector("span").textContent;
  shortcuts.add({ keys: link.dataset.pileKey, does: text, group: t("Piles"), run: () => link.click() });
}

// Answers that an earlier visit could not send, and those that the service refused.
const outbox = new Outbox();
let told = false;
outbox.addEventListener("change", () => {
  const [first] = outbox.stuck;
  if (!first || told) return;
  told = true;
  warn(t("An answer of yours waits for your decision: {name}.", { name: first.name }), {
    seconds: 0, action: { text: t("Look at it"), run: () => location.assign(`/work/${first.task ?? page.task}`) },
  });
});
outbox.start();
watch(page, list);
