/** What happens to the worklist while somebody looks at it: counts, scans that others take or decide. */

import { get, query } from "../api.js";
import { h } from "../elements.js";
import { number, plural, t } from "../messages.js";

const EVERY_MS = 15_000;
const MOST_ROWS = 200;

/** The day begins at the person's own midnight. */
export function midnight() {
  const day = new Date();
  day.setHours(0, 0, 0, 0);
  return day.toISOString();
}

/** Conditions of the desk as the API has them. */
export function asked({ within, count, state, ...rest }, { all = false } = {}) {
  const found = { ...rest };
  if (within) found.received_from = new Date(Date.now() - within * 3_600_000).toISOString();
  if (state && all) found.state = state;
  return found;
}

export const counts = (task, filter) => {
  const { pile, ...rest } = asked(filter);
  return get(`/v1/tasks/${task}/worklist/counts${query({ ...rest, since: midnight() })}`);
};

/** Keep counts and rows as they are now, while the page is looked at. */
export function watch(page, list) {
  const look = () => !document.hidden && refresh(page, list).catch(() => {}); // the next look comes by itself
  look();
  setTimeout(look, 2000); // scans that the work page let go of, on the way here
  others(page);
  setInterval(look, EVERY_MS);
  document.addEventListener("visibilitychange", look);
}

async function refresh(page, list) {
  const found = await counts(page.task, page.filter);
  tell(document.querySelectorAll("[data-count]"), (element) => found[element.dataset.count]);
  tell(document.querySelectorAll("[data-pile-count]"), (element) => found.piles[element.dataset.pileCount]);
  tell(document.querySelectorAll(`[data-task-count="${page.task}"]`), () => found.open);
  await rows(page, list);
}

function tell(elements, value) {
  for (const element of elements) element.textContent = number(value(element));
}

/** How much the other tasks hold; once, for their tabs. */
async function others(page) {
  for (const element of document.querySelectorAll("[data-task-count]")) {
    if (element.dataset.taskCount === page.task) continue;
    const found = await counts(element.dataset.taskCount, {}).catch(() => null);
    if (found) element.textContent = number(found.open);
  }
}

/** Rows stay where they are: what was decided is greyed, who looks at what is said, what is new is only counted. */
async function rows(page, list) {
  const shown = new Map([...list.querySelectorAll(".item")].map((row) => [row.dataset.image, row]));
  const { count, ...filter } = page.filter;
  const limit = count || Math.min(MOST_ROWS, Math.max(50, shown.size));
  const order = count ? "findings" : "piles";
  const found = await get(`/v1/tasks/${page.task}/worklist${query({ ...asked(filter, { all: true }), order, limit })}`);
  const now = new Map(found.items.map((item) => [item.image_id, item]));
  const whole = shown.size <= limit;
  for (const [id, row] of shown) {
    const item = now.get(id);
    if (item) claimed(row, item.claim);
    // Beyond the answer's end a row may only have moved down.
    else if (whole && !found.next && !row.dataset.gone) {
      row.dataset.gone = "";
      row.querySelector(".item-who").replaceChildren(h("span", { class: "chip" }, t("no longer here")));
    }
  }
  news([...now.keys()].filter((id) => !shown.has(id)).length, shown.size);
}

function claimed(row, claim) {
  const place = row.querySelector(".item-who");
  const text = !claim ? "" : claim.mine ? t("with you") : t("with {name}", { name: claim.author });
  if (place.textContent.trim() === text) return;
  place.replaceChildren(...(text ? [h("span", { class: "chip", "data-kind": claim.mine ? "accent" : null }, text)] : []));
}

function news(fresh, shown) {
  const place = document.getElementById("news");
  const known = shown >= 50 ? 0 : fresh; // a full page: what is new may only have moved up
  place.hidden = !known;
  if (known) {
    place.replaceChildren(
      plural("{count} scan came meanwhile.", "{count} scans came meanwhile.", known),
      h("button", { type: "button", class: "link", onclick: () => location.reload() }, t("Show")));
  }
}
