/** How samples become colours: window, gamma, inversion, colour map, equalisation. Numbers only. */

export const PLAIN = Object.freeze({ low: 0, high: 1, gamma: 1, invert: false, clahe: 0, map: "file" });
export const LUT = 1024; // entries of a table of colours
export const GAMMA = { least: 0.2, most: 5 };
export const CLAHE = { least: 0.5, most: 16, usual: 5 };
const NARROWEST = 1 / 2048;

/** Colour maps by name: colours at even distances, those between them mixed. */
export const MAPS = {
  grey: ["000000", "ffffff"],
  bone: ["000000", "1b1b26", "37374d", "525f73", "6d8398", "88a6b0", "aec8c8", "d6e4e4", "ffffff"],
  iron: ["000004", "1b0c41", "4a0c6b", "781c6d", "a52c60", "cf4446", "ed6925", "fb9b06", "f7d13d", "fcffa4"],
  viridis: ["440154", "482878", "3e4989", "31688e", "26828e", "1f9e89", "35b779", "6ece58", "b5de2b", "fde725"],
  spectrum: ["30123b", "4145ab", "4675ed", "39a2fc", "1bcfd4", "24eca6", "61fc6c", "a4fc3b", "d1e834", "f3c63a", "fe9b2d", "f36315", "d93806", "b11901", "7a0402"],
};

export const mapNames = ["file", ...Object.keys(MAPS)];

/** The window as its width and its middle, in the same share of full scale as `low` and `high`. */
export const windowOf = ({ low, high }) => ({ width: high - low, middle: (low + high) / 2 });

export function windowed(width, middle) {
  const wide = Math.max(NARROWEST, Math.min(2, width));
  const at = Math.max(0, Math.min(1, middle));
  return { low: at - wide / 2, high: at + wide / 2 };
}

/** uint8 (LUT x 4): the colour of each share of the window, with gamma, inversion and map. */
export function coloursOf({ gamma, invert, map }) {
  const stops = (MAPS[map] ?? MAPS.grey).map((hex) => [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16)));
  const table = new Uint8Array(LUT * 4);
  for (let i = 0; i < LUT; i++) {
    const light = (i / (LUT - 1)) ** (1 / gamma);
    const place = (invert ? 1 - light : light) * (stops.length - 1);
    const stop = Math.min(stops.length - 2, Math.floor(place)), share = place - stop;
    for (let c = 0; c < 3; c++) table[4 * i + c] = stops[stop][c] + share * (stops[stop + 1][c] - stops[stop][c]) + 0.5;
    table[4 * i + 3] = 255;
  }
  return table;
}

/** The values between which nearly all of a scan lies, by its coarsest level: shares of full scale. */
export function rangeOf(scan, outside = 0.005) {
  const level = scan.info.levels.length - 1;
  const bins = 4096, counts = new Uint32Array(bins);
  let total = 0;
  for (const { samples, channels } of scan.parts(level)) {
    const full = samples instanceof Uint16Array ? 65535 : 255;
    for (let i = 0; i < samples.length; i += channels) {
      counts[Math.round((samples[i] / full) * (bins - 1))]++;
      total++;
    }
  }
  const at = (share) => {
    let left = share * total, bin = 0;
    while (bin < bins - 1 && (left -= counts[bin]) > 0) bin++;
    return bin / (bins - 1);
  };
  const low = at(outside), high = at(1 - outside);
  return high - low < NARROWEST ? { low: 0, high: 1 } : { low, high };
}

/** Windows by name; `range` is that of the scan. */
export const WINDOWS = {
  full: () => ({ low: 0, high: 1 }),
  auto: (range) => range,
  dark: ({ low, high }) => ({ low, high: low + (high - low) / 3 }),
  middle: ({ low, high }) => ({ low: low + (high - low) / 4, high: high - (high - low) / 4 }),
  light: ({ low, high }) => ({ low: high - (high - low) / 3, high }),
};
