/** The parts of a scan that were judged, for the viewer; of the whole frame there is nothing to draw. */

import { get } from "./api.js";

const MOST = 20;
const known = new Map();

/** Boxes of the regions that the task's live head judged; none where they cannot be had. */
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
