/** Paints scans without a graphics processor: the same look, pixel by pixel, for browsers that have no WebGL2. */

import { coloursOf, LUT } from "./look.js";

export class PlanePainter {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.mostTiles = Infinity;
    this.lost = false;
    this._plane = { key: "" };
    this._colours = { key: "" };
  }

  clear() {
    this.context.fillStyle = "#000";
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
  }

  /** Paint what is there of a scan: the level that is asked for, or the finest whose tiles are all here. */
  paint(scan, view, look, tables, level) {
    this.clear();
    const area = view.area;
    const ready = scan.info.levels.map((one) => one.level).find((one) => one >= level && scan.hasArea(one, area));
    if (ready === undefined) return false;
    const [left, top] = view.toScreen(area.x0, area.y0).map(Math.round);
    const [right, bottom] = view.toScreen(area.x1, area.y1).map(Math.round);
    const width = Math.min(this.canvas.width, right) - left, height = Math.min(this.canvas.height, bottom) - top;
    if (width <= 0 || height <= 0) return false;
    const picture = this.context.createImageData(width, height);
    const plane = this._assembled(scan, ready, area);
    const steps = this._steps(scan, view, ready, plane, left, top, width, height);
    this._fill(new Uint32Array(picture.data.buffer), plane, steps, this._shader(scan, look, tables, steps, plane.full));
    this.context.putImageData(picture, left, top);
    return false;
  }

  /** The tiles of a level around an area as one plane; kept until another is looked at. */
  _assembled(scan, level, area) {
    const { left, right, top, bottom } = scan.touched(level, area);
    const key = [scan.id, scan.frame, level, left, right, top, bottom].join("/");
    if (this._plane.key === key) return this._plane;
    const side = scan.info.tile, info = scan.info.levels[level], channels = scan.info.colour ? 3 : 1;
    const x = left * side, y = top * side;
    const width = Math.min(info.width, (right + 1) * side) - x, height = Math.min(info.height, (bottom + 1) * side) - y;
    const deep = scan.info.depth === 16;
    const samples = new (deep ? Uint16Array : Uint8Array)(width * height * channels);
    for (let row = top; row <= bottom; row++) {
      for (let column = left; column <= right; column++) {
        const tile = scan.tile(level, row, column), wide = tile.width * channels;
        for (let line = 0; line < tile.height; line++) {
          const to = ((row * side - y + line) * width + column * side - x) * channels;
          samples.set(tile.samples.subarray(line * wide, (line + 1) * wide), to);
        }
      }
    }
    this._plane = { key, samples, x, y, width, height, channels, full: deep ? 65535 : 255 };
    return this._plane;
  }

  /** For each column and row of the picture, where it lies in the plane and in the scan. */
  _steps(scan, view, level, plane, left, top, width, height) {
    const scale = scan.info.levels[level].scale;
    const squares = view.zoom >= 8 * (devicePixelRatio || 1);
    const along = (count, start, at, most, origin) => {
      const from = new Int32Array(count), share = new Float32Array(count), place = new Float32Array(count);
      for (let i = 0; i < count; i++) {
        place[i] = at(start + i + 0.5);
        const exact = place[i] / scale - origin - (squares ? 0 : 0.5);
        from[i] = Math.max(0, Math.min(most - 1, Math.floor(exact)));
        share[i] = squares ? 0 : Math.max(0, Math.min(1, exact - from[i]));
        if (from[i] >= most - 1) share[i] = 0;
      }
      return { from, share, place };
    };
    return {
      columns: along(width, left, (px) => view.toScan(px, 0)[0], plane.width, plane.x),
      rows: along(height, top, (py) => view.toScan(0, py)[1], plane.height, plane.y),
      scan: scan.info,
    };
  }

  _fill(out, { samples, width, channels }, { columns, rows }, shade) {
    let at = 0;
    const value = [0, 0, 0];
    for (let row = 0; row < rows.from.length; row++) {
      const line = rows.from[row] * width, down = rows.share[row], next = down ? width * channels : 0;
      for (let column = 0; column < columns.from.length; column++) {
        const across = columns.share[column], step = across ? channels : 0;
        const i = (line + columns.from[column]) * channels;
        for (let c = 0; c < channels; c++) {
          const a = samples[i + c], b = samples[i + c + step];
          const below = samples[i + c + next], beside = samples[i + c + next + step];
          const upper = a + across * (b - a);
          value[c] = upper + down * (below + across * (beside - below) - upper);
        }
        out[at++] = shade(value, column, row);
      }
    }
  }

  /** From mixed samples to a packed colour. */
  _shader(scan, look, tables, steps, full) {
    const key = `${look.gamma}/${look.invert}/${look.map}`;
    if (this._colours.key !== key) this._colours = { key, table: new Uint32Array(coloursOf(look).buffer) };
    const { table } = this._colours, scale = (LUT - 1) / (look.high - look.low);
    const place = (share) => Math.max(0, Math.min(LUT - 1, Math.round((share - look.low) * scale)));
    const colour = scan.info.colour, plain = look.map === "file";
    return (value, column, row) => {
      let light = (colour ? 0.299 * value[0] + 0.587 * value[1] + 0.114 * value[2] : value[0]) / full;
      let factor = 1;
      if (tables) {
        const better = equalised(tables, light, steps.columns.place[column] / scan.info.width, steps.rows.place[row] / scan.info.height);
        factor = better / Math.max(light, 0.004);
        light = better;
      }
      if (!colour || !plain) return table[place(light)];
      const [red, green, blue] = value.map((one) => table[place((one / full) * factor)] & 255);
      return (255 << 24) | (blue << 16) | (green << 8) | red;
    };
  }

  dispose() {}
}

function equalised({ columns, rows, bins, low, high, tables }, value, x, y) {
  const bin = Math.round(Math.max(0, Math.min(1, (value - low) / (high - low))) * (bins - 1));
  const cx = x * columns - 0.5, cy = y * rows - 0.5, left = Math.floor(cx), top = Math.floor(cy);
  const of = (column, row) =>
    tables[(Math.max(0, Math.min(rows - 1, row)) * columns + Math.max(0, Math.min(columns - 1, column))) * bins + bin];
  const across = cx - left, upper = of(left, top) + across * (of(left + 1, top) - of(left, top));
  const lower = of(left, top + 1) + across * (of(left + 1, top + 1) - of(left, top + 1));
  return upper + (cy - top) * (lower - upper);
}
