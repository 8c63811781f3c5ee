/** How the scan on the stage is shown: window, gamma, map and the rest, what of it is changed, what is remembered. */

import { countsOf, tablesOf } from "./equaliser.js";
import { CLAHE, GAMMA, mapNames, PLAIN, rangeOf, windowed, windowOf, WINDOWS } from "./look.js";
import { keep, recall, USUAL } from "./settings.js";

const REMEMBERED = ["gamma", "invert", "clahe", "map", "heatShown", "heatOpacity", "boxesShown"];
const within = (value, least, most) => Math.max(least, Math.min(most, value));

export class Picture {
  /** @param {import("./stage.js").Stage} stage  @param {{changed: () => void, failed: (error: Error) => void}} told */
  constructor(stage, { changed, failed }) {
    this.stage = stage;
    this.look = { ...PLAIN };
    this.switches = { heatShown: USUAL.heatShown, heatOpacity: USUAL.heatOpacity, boxesShown: USUAL.boxesShown };
    this.windowing = "full"; // its name; null when it was set by hand
    this.liked = null; // the window that every scan begins with
    this._touched = false;
    this._changed = changed;
    this._failed = failed;
    stage.look = this.look;
  }

  /** What somebody likes, from the last time. */
  recall() {
    const use = (known) => {
      if (this._touched) return; // what was done meanwhile counts
      this._take(known);
      this.liked = known.windowing;
      if (this.stage.scan) this.use(this.liked ?? this.usual);
      this.equalise();
      this._changed();
    };
    use(recall(use));
  }

  remember() {
    const { gamma, invert, clahe, map } = this.look;
    keep({ gamma, invert, clahe, map, ...this.switches, windowing: this.liked });
  }

  /** The window that a scan begins with where nobody chose another: deep scans seldom use their whole range. */
  get usual() {
    return this.stage.scan?.info.depth === 16 ? "auto" : "full";
  }

  /** For a scan that is shown anew: its own window, whatever was done to the one before by hand. */
  begin() {
    this.use(this.liked ?? this.usual);
  }

  /** A window by its name. */
  use(name) {
    const { scan } = this.stage;
    if (!scan || !WINDOWS[name]) return;
    scan.range ??= rangeOf(scan);
    Object.assign(this.look, WINDOWS[name](scan.range));
    this.windowing = name;
  }

  get state() {
    const { width, middle } = windowOf(this.look), { gamma, invert, clahe, map } = this.look;
    return { window: width, level: middle, windowing: this.windowing, gamma, invert, clahe, map, ...this.switches };
  }

  /** Change parts of the state. */
  set(wanted) {
    this._touched = true;
    if (wanted.window !== undefined || wanted.level !== undefined) {
      const now = windowOf(this.look);
      Object.assign(this.look, windowed(wanted.window ?? now.width, wanted.level ?? now.middle));
      this.windowing = null;
    }
    if (wanted.windowing) {
      this.use(wanted.windowing);
      this.liked = wanted.windowing;
    }
    const before = this.look.clahe;
    this._take(wanted);
    if (this.look.clahe !== before) this.equalise();
  }

  _take(wanted) {
    const { look } = this;
    for (const name of REMEMBERED) {
      const value = wanted[name];
      if (value === undefined || value === null) continue;
      if (name === "gamma") look.gamma = within(Number(value) || 1, GAMMA.least, GAMMA.most);
      else if (name === "invert") look.invert = Boolean(value);
      else if (name === "clahe") look.clahe = value > 0 ? within(value, CLAHE.least, CLAHE.most) : 0;
      else if (name !== "map") this.switches[name] = value;
      else if (mapNames.includes(value)) look.map = value;
    }
  }

  /** The picture as it came; what lies over it stays. */
  reset() {
    this.liked = null;
    this.set({ gamma: PLAIN.gamma, invert: PLAIN.invert, clahe: PLAIN.clahe, map: PLAIN.map });
    this.begin();
  }

  get isChanged() {
    const { gamma, invert, clahe, map } = this.look;
    return gamma !== PLAIN.gamma || invert || clahe > 0 || map !== PLAIN.map || this.windowing !== this.usual;
  }

  /** Make the tables of local contrast for the scan on the stage; resolves when it can be painted with them. */
  async equalise() {
    const { scan } = this.stage, strength = this.look.clahe;
    if (!scan || !strength) {
      this.stage.tables = null;
      this.stage.repaint();
      return;
    }
    try {
      const counts = await countsOf(scan);
      if (scan !== this.stage.scan || strength !== this.look.clahe) return;
      this.stage.tables = tablesOf(counts, strength);
      this.stage.repaint();
    } catch (error) {
      if (scan === this.stage.scan) this._failed(error);
    }
  }
}
