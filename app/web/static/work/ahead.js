/** What the next scans need is fetched while the person looks at this one. */

import { call, get } from "../api.js";
import { prefetch } from "../scan/evidence.js";

const MOST = 20;
const known = new Map();
const explained = new Set();

/** Where the head found its evidence in a scan; null where its answer is hidden. */
export const heatOf = (item) =>
  item.pile === "hidden" ? null : { url: `/v1/images/${item.image_id}/explanation/${item.task}` };

/** Pixels, evidence and boxes of a scan; the heat map only for a person who looks at heat maps. */
export function ready(viewer, item) {
  viewer.preload(item.image_id);
  prefetch(item.image_id, item.task);
  boxesOf(item);
  const heat = heatOf(item);
  if (!heat || !viewer.state.heatShown || explained.has(item.image_id)) return;
  explained.add(item.image_id);
  // Asked for, it is made by the worker; nobody waits for it here.
  call("GET", heat.url, undefined, { as: "response", headers: { Prefer: "wait=0" } }).catch(() => {});
}

/** Boxes of the regions, the whole frame aside, that the task's live head judged; none where they cannot be had. */
export function boxesOf(item) {
  const id = item.image_id;
  if (!known.has(id)) {
    known.set(id, load(item).catch(() => (known.delete(id), [])));
    for (const old of [...known.keys()].slice(0, Math.max(0, known.size - MOST))) known.delete(old);
  }
  return known.get(id);
}

async function load({ image_id: id, task, width: whole, height: high }) {
  const said = await get(`/v1/images/${id}/predictions?live=true`);
  return said
    .filter((one) => one.task === task)
    .map(({ region: { box: [x, y, width, height] } }) => ({ x, y, width, height }))
    .filter(({ width, height }) => width < whole || height < high);
}
