/** Tiles to samples and samples to histograms, away from the thread that paints. */

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const CHANNELS = { 0: 1, 2: 3 };

self.onmessage = async ({ data: { id, kind, ...asked } }) => {
  try {
    const made = kind === "decode" ? await decode(asked.content) : histograms(asked);
    self.postMessage({ id, made }, [made.samples?.buffer ?? made.counts.buffer]);
  } catch (error) {
    self.postMessage({ id, error: error.message });
  }
};

/**
 * A PNG of the service (grey of 8 or 16 bits, RGB of 8), with all its bits, which a browser's own decoder cuts to 8.
 * @returns {Promise<{width: number, height: number, channels: 1|3, samples: Uint8Array|Uint16Array}>}
 */
async function decode(content) {
  const view = new DataView(content);
  if (SIGNATURE.some((byte, index) => view.getUint8(index) !== byte)) throw new Error("no PNG");
  const width = view.getUint32(16), height = view.getUint32(20);
  const depth = view.getUint8(24), channels = CHANNELS[view.getUint8(25)];
  if (!channels || ![8, 16].includes(depth) || view.getUint8(28)) throw new Error("a PNG of another kind");
  const packed = [];
  for (let at = 8; at < content.byteLength; ) {
    const length = view.getUint32(at);
    if (view.getUint32(at + 4) === 0x49444154) packed.push(new Uint8Array(content, at + 8, length));
    at += 12 + length;
  }
  const stream = new Blob(packed).stream().pipeThrough(new DecompressionStream("deflate"));
  const rows = new Uint8Array(await new Response(stream).arrayBuffer());
  const step = channels * (depth / 8);
  const bytes = unfiltered(rows, height, width * step, step);
  return { width, height, channels, samples: depth === 8 ? bytes : wholes(bytes) };
}

/** Rows without their filters: none, the pixel at the left, or the row above. */
function unfiltered(rows, height, stride, step) {
  const bytes = new Uint8Array(height * stride);
  for (let row = 0; row < height; row++) {
    const from = row * (stride + 1) + 1, to = row * stride;
    const filter = rows[from - 1];
    if (filter === 2 && row > 0) {
      for (let i = 0; i < stride; i++) bytes[to + i] = rows[from + i] + bytes[to + i - stride];
    } else if (filter === 1) {
      for (let i = 0; i < stride; i++) bytes[to + i] = rows[from + i] + (i < step ? 0 : bytes[to + i - step]);
    } else if (filter === 0 || filter === 2) {
      bytes.set(rows.subarray(from, from + stride), to);
    } else {
      throw new Error("a PNG of another kind");
    }
  }
  return bytes;
}

function wholes(bytes) {
  const samples = new Uint16Array(bytes.length / 2);
  for (let i = 0; i < samples.length; i++) samples[i] = (bytes[2 * i] << 8) | bytes[2 * i + 1];
  return samples;
}

/**
 * How often each brightness occurs in each cell of a grid over a level.
 * @returns {{counts: Uint32Array}} cells x bins, row by row of the grid
 */
function histograms({ parts, width, height, columns, rows, bins, low, high }) {
  const counts = new Uint32Array(columns * rows * bins);
  for (const part of parts) {
    const full = part.samples instanceof Uint16Array ? 65535 : 255;
    const table = new Uint16Array(full + 1);
    for (let value = 0; value <= full; value++) {
      const place = Math.round(((value / full - low) / (high - low)) * (bins - 1));
      table[value] = Math.max(0, Math.min(bins - 1, place));
    }
    count(part, table, counts, { width, height, columns, rows, bins });
  }
  return { counts };
}

function count({ x, y, width, height, channels, samples }, table, counts, grid) {
  for (let row = 0; row < height; row++) {
    const line = Math.floor(((y + row) * grid.rows) / grid.height) * grid.columns;
    for (let start = 0; start < width; ) {
      const column = Math.floor(((x + start) * grid.columns) / grid.width);
      const end = Math.min(width, Math.ceil(((column + 1) * grid.width) / grid.columns) - x);
      const cell = (line + column) * grid.bins;
      for (let i = start; i < end; i++) counts[cell + table[light(samples, row * width + i, channels)]]++;
      start = Math.max(end, start + 1);
    }
  }
}

/** ITU-R 601 luma of a pixel. */
function light(samples, pixel, channels) {
  if (channels === 1) return samples[pixel];
  const at = 3 * pixel;
  return (299 * samples[at] + 587 * samples[at + 1] + 114 * samples[at + 2] + 500) / 1000 | 0;
}
