/**
 * Contrast-limited adaptive histogram equalisation (Pizer et al., 1987; Zuiderveld, 1994) at full resolution.
 *
 * A table for each cell of a grid says what a brightness becomes there; between the middles of cells the painters mix
 * the tables of the four cells around. The tables come from a level of at most COUNTED pixels, and are applied to
 * every pixel that is shown.
 */

import { rangeOf } from "./look.js";

const BINS = 512;
const CELL = 8; // cells along the shorter side
const MOST_CELLS = 24;
const COUNTED = 4e6;

/** What every strength needs, counted once for a scan. */
export async function countsOf(scan) {
  scan.histograms ??= counted(scan).catch((error) => {
    scan.histograms = null;
    throw error;
  });
  return scan.histograms;
}

async function counted(scan) {
  const { width, height, levels } = scan.info;
  const side = Math.min(width, height) / CELL;
  const columns = Math.max(1, Math.min(MOST_CELLS, Math.round(width / side)));
  const rows = Math.max(1, Math.min(MOST_CELLS, Math.round(height / side)));
  const level = levels.find((one) => one.width * one.height <= COUNTED) ?? levels.at(-1);
  await scan.loadArea(levels.length - 1, scan.whole);
  const { low, high } = rangeOf(scan, 0.0005);
  const counts = await scan.counted(level.level, { columns, rows, bins: BINS, low, high });
  return { columns, rows, bins: BINS, low, high, counts };
}

/**
 * The tables at a strength: how many times its even share a brightness may count, what lies above being shared out.
 * @returns {{columns, rows, bins, low, high, tables: Float32Array}} tables: cells x bins, in [0, 1]
 */
export function tablesOf({ columns, rows, bins, low, high, counts }, strength) {
  const tables = new Float32Array(counts.length);
  for (let cell = 0; cell < columns * rows; cell++) {
    const own = counts.subarray(cell * bins, (cell + 1) * bins);
    const total = own.reduce((sum, count) => sum + count, 0) || 1;
    const most = Math.max(1, (strength * total) / bins);
    let above = 0;
    for (const count of own) above += Math.max(0, count - most);
    const share = above / bins;
    let sum = 0;
    for (let bin = 0; bin < bins; bin++) {
      const count = Math.min(own[bin], most) + share;
      tables[cell * bins + bin] = (sum + count / 2) / total;
      sum += count;
    }
  }
  return { columns, rows, bins, low, high, tables };
}
