/** Scans as the viewer holds them: pyramids, and those of their tiles that were fetched and decoded. */

import { call, get } from "../api.js";

const MOST_BYTES = 384 * 2 ** 20; // decoded, of all scans together
const SOON_PIXELS = 24e6; // scans up to here are fetched whole once they are shown
const WORKERS = navigator.hardwareConcurrency > 3 ? 2 : 1;

const held = new Map(); // key -> Scan, the one used longest ago first

/** A scan's frame, described and ready to load tiles; the same object for the same frame while it is kept. */
export async function scanOf(id, frame = 0) {
  const key = `${id}/${frame}`;
  let scan = held.get(key);
  if (scan) held.delete(key);
  else scan = new Scan(id, frame);
  held.set(key, scan);
  try {
    await scan.described;
  } catch (error) {
    if (held.get(key) === scan) held.delete(key); // asked again, it is fetched again
    throw error;
  }
  return scan;
}

/** The scan if it is described already: no waiting. */
export const scanHeld = (id, frame = 0) => {
  const scan = held.get(`${id}/${frame}`);
  return scan?.info ? scan : null;
};

export class Scan {
  constructor(id, frame) {
    this.id = id;
    this.frame = frame;
    this.info = null;
    this.tiles = new Map(); // "level/row/column" -> {width, height, channels, samples}
    this.bytes = 0;
    this.pinned = 0; // by viewers that show it
    this.histograms = null;
    this._pending = new Map();
    this.described = this._describe();
    this.described.catch(() => {}); // whoever asked is told; nobody else needs to be
  }

  async _describe() {
    this.info = await get(`/v1/images/${this.id}/pyramid?frame=${this.frame}`);
    return this;
  }

  tile(level, row, column) {
    return this.tiles.get(`${level}/${row}/${column}`);
  }

  /** Fetch and decode a tile, once. */
  load(level, row, column) {
    const key = `${level}/${row}/${column}`;
    if (this.tiles.has(key)) return this.tiles.get(key);
    if (!this._pending.has(key)) {
      this._pending.set(key, this._fetch(key).finally(() => this._pending.delete(key)));
    }
    return this._pending.get(key);
  }

  async _fetch(key) {
    const answer = await call("GET", `/v1/images/${this.id}/pyramid/${this.frame}/${key}`, undefined,
      { as: "arrayBuffer", headers: { Accept: "image/png" } });
    const tile = await inWorker("decode", { content: answer }, [answer]);
    this.tiles.set(key, tile);
    this.bytes += tile.samples.byteLength;
    makeRoom(this);
    return tile;
  }

  /** Fetch the tiles of a level that a rectangle of the scan touches; resolves when all are there. */
  async loadArea(level, area) {
    const { left, right, top, bottom } = this.touched(level, area);
    const loading = [];
    for (let row = top; row <= bottom; row++) {
      for (let column = left; column <= right; column++) {
        const tile = this.load(level, row, column);
        if (tile instanceof Promise) loading.push(tile);
      }
    }
    await Promise.all(loading);
  }

  /** First and last column and row of a level's tiles that a rectangle {x0, y0, x1, y1} of the scan touches. */
  touched(level, { x0, y0, x1, y1 }) {
    const { columns, rows, scale } = this.info.levels[level];
    const side = this.info.tile * scale;
    const within = (value, most) => Math.max(0, Math.min(most - 1, Math.floor(value / side)));
    return {
      left: within(x0, columns), right: within(x1 - 1e-3, columns),
      top: within(y0, rows), bottom: within(y1 - 1e-3, rows),
    };
  }

  /** Whether all tiles of a level that a rectangle touches are here. */
  hasArea(level, area) {
    const { left, right, top, bottom } = this.touched(level, area);
    for (let row = top; row <= bottom; row++) {
      for (let column = left; column <= right; column++) if (!this.tile(level, row, column)) return false;
    }
    return true;
  }

  get whole() {
    return { x0: 0, y0: 0, x1: this.info.width, y1: this.info.height };
  }

  /** Fetch the finer levels too, so that zooming waits for nothing; giants come tile by tile as they are looked at. */
  async loadSoon(level) {
    if (this.info.width * this.info.height > SOON_PIXELS) return;
    for (let finer = level - 1; finer >= 0; finer--) await this.loadArea(finer, this.whole);
  }

  /** The value at a pixel of the scan, by the finest tile that is here: {samples: number[], exact: boolean}. */
  valueAt(x, y) {
    for (const { level, scale } of this.info.levels) {
      const column = Math.floor(x / scale), row = Math.floor(y / scale), side = this.info.tile;
      const tile = this.tile(level, Math.floor(row / side), Math.floor(column / side));
      if (!tile) continue;
      const at = ((row % side) * tile.width + (column % side)) * tile.channels;
      return { samples: [...tile.samples.subarray(at, at + tile.channels)], exact: level === 0 };
    }
    return null;
  }

  /** The tiles of a level with where they lie in it. */
  parts(level) {
    const side = this.info.tile;
    return [...this.tiles].filter(([key]) => key.startsWith(`${level}/`)).map(([key, tile]) => {
      const [, row, column] = key.split("/").map(Number);
      return { x: column * side, y: row * side, ...tile };
    });
  }

  /** Counts of brightness by cells of a grid, of the level that `counted` names. */
  async counted(level, grid) {
    await this.loadArea(level, this.whole);
    const { width, height } = this.info.levels[level];
    const made = await inWorker("histograms", { parts: this.parts(level), width, height, ...grid });
    return made.counts;
  }
}

/** Let go of what was used longest ago: other scans first, then tiles of this one that are no longer on screen. */
function makeRoom(newest) {
  let total = 0;
  for (const scan of held.values()) total += scan.bytes;
  for (const [key, scan] of held) {
    if (total <= MOST_BYTES) return;
    if (scan === newest || scan.pinned) continue;
    held.delete(key);
    total -= scan.bytes;
  }
  const coarsest = newest.info.levels.length - 1;
  for (const [key, tile] of newest.tiles) {
    if (total <= MOST_BYTES) return;
    if (key.startsWith(`${coarsest}/`)) continue;
    newest.tiles.delete(key);
    newest.bytes -= tile.samples.byteLength;
    total -= tile.samples.byteLength;
  }
}

let workers = [];
let next = 0;
const waiting = new Map();

function inWorker(kind, asked, transfer = []) {
  if (!workers.length) workers = Array.from({ length: WORKERS }, started);
  const id = ++next;
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject });
    workers[id % workers.length].postMessage({ id, kind, ...asked }, transfer);
  });
}

function started() {
  const worker = new Worker(new URL("./pixel-worker.js", import.meta.url), { type: "module" });
  worker.onmessage = ({ data: { id, made, error } }) => {
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    if (error) reject(new Error(error));
    else resolve(made);
  };
  worker.onerror = (event) => {
    for (const { reject } of waiting.values()) reject(new Error(event.message || "The worker failed."));
    waiting.clear();
  };
  return worker;
}
