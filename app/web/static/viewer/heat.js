/** Where a head found its evidence, over the scan: orange speaks for the positive class, blue against it. */

import { call } from "../api.js";

const FOR = [255, 132, 56], AGAINST = [76, 150, 255];
const MOST_TRIES = 30;

/**
 * Fetch an explanation. Where it is still being made, wait for it.
 * @param {string} url  answers JSON as `/v1/images/{id}/explanation/{task}` does, or a picture of the whole frame
 * @returns {Promise<{regions: Object[], positive: string|null}>}
 */
export async function heatOf(url, frame, signal) {
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    const answer = await call("GET", url, undefined, { as: "response", signal, headers: { Accept: "application/json, image/*" } });
    if (answer.status === 202) {
      await new Promise((resolve) => setTimeout(resolve, 1000 * (Number(answer.headers.get("Retry-After")) || 1)));
      continue;
    }
    if (!answer.ok) return call("GET", url, undefined, { signal }); // throws the problem
    const type = answer.headers.get("Content-Type") ?? "";
    if (type.startsWith("image/")) return pictured(await answer.blob());
    return mapped(await answer.json(), frame);
  }
  throw new Error("The explanation is not ready.");
}

async function pictured(blob) {
  return { positive: null, regions: [{ box: null, picture: await createImageBitmap(blob), heat: null }] };
}

function mapped(told, frame) {
  const regions = told.regions.filter(({ region }) => region.frame === frame);
  const strongest = Math.max(1e-9, ...regions.flatMap(({ heat }) => heat.flat().map(Math.abs)));
  return {
    positive: told.positive,
    regions: regions.map(({ region, heat, hottest_region: hottest }) => ({
      box: box(region.box), hottest: box(hottest.box), heat, picture: picture(heat, strongest),
    })),
  };
}

const box = ([x, y, width, height]) => ({ x, y, width, height });

/** A picture of one pixel a cell, the stronger the evidence the less one sees through. */
function picture(heat, strongest) {
  const rows = heat.length, columns = heat[0].length;
  const canvas = new OffscreenCanvas(columns, rows), context = canvas.getContext("2d");
  const data = context.createImageData(columns, rows);
  heat.flat().forEach((value, cell) => {
    const colour = value > 0 ? FOR : AGAINST;
    data.data.set([...colour, 255 * Math.min(1, Math.abs(value) / strongest)], 4 * cell);
  });
  context.putImageData(data, 0, 0);
  return canvas;
}

/** Evidence at a pixel of the scan, in log-odds of its cell; null where there is none. */
export function evidenceAt(heat, x, y) {
  for (const { box: place, heat: cells } of heat?.regions ?? []) {
    if (!cells || x < place.x || y < place.y || x >= place.x + place.width || y >= place.y + place.height) continue;
    const row = Math.floor(((y - place.y) / place.height) * cells.length);
    return cells[row][Math.floor(((x - place.x) / place.width) * cells[0].length)];
  }
  return null;
}

export function drawHeat(context, heat, view, opacity) {
  context.save();
  context.globalAlpha = opacity;
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = "high";
  for (const { box: place, picture: cells } of heat.regions) {
    const { x, y, width, height } = place ?? { x: 0, y: 0, ...view.scan };
    const [left, top] = view.toScreen(x, y);
    context.drawImage(cells, left, top, width * view.zoom, height * view.zoom);
  }
  context.restore();
}
