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
    const out = new Uint32Array(picture.data.buffer);
    if (plane.channels === 1 && tables) this._fillEqual(out, plane, steps, tables, look);
    else if (plane.channels === 1) this._fillGrey(out, plane, steps, this._greys(look, plane.full));
    else this._fill(out, plane, steps, this._shader(scan, look, tables, steps, plane.full));
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
    const { squares } = view;
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

  /** The colour of each value of a sample. */
  _greys(look, full) {
    const key = `${look.low}/${look.high}/${look.gamma}/${look.invert}/${look.map}/${full}`;
    if (this._values?.key === key) return this._values.table;
    const colours = this._table(look), table = new Uint32Array(full + 1);
    for (let value = 0; value <= full; value++) {
      const share = (value / full - look.low) / (look.high - look.low);
      table[value] = colours[Math.max(0, Math.min(LUT - 1, Math.round(share * (LUT - 1))))];
    }
    this._values = { key, table };
    return table;
  }

  _fillGrey(out, { samples, width }, { columns, rows }, table) {
    let at = 0;
    const count = columns.from.length, { from, share } = columns;
    for (let row = 0; row < rows.from.length; row++) {
      const line = rows.from[row] * width, down = rows.share[row], next = down ? width : 0;
      for (let column = 0; column < count; column++) {
        const across = share[column], step = across ? 1 : 0, i = line + from[column];
        const upper = samples[i] + across * (samples[i + step] - samples[i]);
        const lower = samples[i + next] + across * (samples[i + next + step] - samples[i + next]);
        out[at++] = table[(upper + down * (lower - upper) + 0.5) | 0];
      }
    }
  }

  /** Grey through the equaliser's tables: those of the four cells around each pixel, mixed. */
  _fillEqual(out, { samples, width, full }, { columns, rows, scan }, equaliser, look) {
    const colours = this._table(look), scale = (LUT - 1) / (look.high - look.low), { tables, bins } = equaliser;
    const toBin = (bins - 1) / ((equaliser.high - equaliser.low) * full), least = equaliser.low * full;
    const across = cells(columns.place, scan.width, equaliser.columns), down = cells(rows.place, scan.height, equaliser.rows);
    let at = 0;
    for (let row = 0; row < rows.from.length; row++) {
      const line = rows.from[row] * width, share = rows.share[row], next = share ? width : 0;
      const upper = down.low[row] * equaliser.columns, lower = down.high[row] * equaliser.columns, weight = down.share[row];
      for (let column = 0; column < columns.from.length; column++) {
        const step = columns.share[column] ? 1 : 0, beside = columns.share[column], i = line + columns.from[column];
        const above = samples[i] + beside * (samples[i + step] - samples[i]);
        const below = samples[i + next] + beside * (samples[i + next + step] - samples[i + next]);
        let bin = ((above + share * (below - above) - least) * toBin + 0.5) | 0;
        if (bin < 0) bin = 0;
        else if (bin >= bins) bin = bins - 1;
        const left = across.low[column], right = across.high[column], mix = across.share[column];
        const a = tables[(upper + left) * bins + bin], b = tables[(upper + right) * bins + bin];
        const c = tables[(lower + left) * bins + bin], d = tables[(lower + right) * bins + bin];
        const first = a + mix * (b - a), second = c + mix * (d - c);
        let place = ((first + weight * (second - first) - look.low) * scale + 0.5) | 0;
        if (place < 0) place = 0;
        else if (place >= LUT) place = LUT - 1;
        out[at++] = colours[place];
      }
    }
  }

  _table(look) {
    const key = `${look.gamma}/${look.invert}/${look.map}`;
    if (this._colours.key !== key) this._colours = { key, table: new Uint32Array(coloursOf(look).buffer) };
    return this._colours.table;
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
    const table = this._table(look), scale = (LUT - 1) / (look.high - look.low);
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

/** Between the middles of which cells each place lies, and how far. */
function cells(places, size, count) {
  const low = new Int32Array(places.length), high = new Int32Array(places.length), share = new Float32Array(places.length);
  places.forEach((place, index) => {
    const at = (place / size) * count - 0.5, left = Math.floor(at);
    low[index] = Math.max(0, Math.min(count - 1, left));
    high[index] = Math.max(0, Math.min(count - 1, left + 1));
    share[index] = at - left;
  });
  return { low, high, share };
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
