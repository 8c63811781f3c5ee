/** Lines that somebody draws over a scan to measure it, by mouse or by a cross that arrows move. */

const STEP = 10; // pixels of the scan, with Shift
const SHORTEST = 2; // pixels of the screen: less is a click

export class Measuring {
  constructor(stage, status, changed) {
    this.stage = stage;
    this.status = status;
    this.changed = changed;
    this.line = null; // being drawn
  }

  get lines() {
    return this.stage.marks.lines;
  }

  clear() {
    this.line = null;
    Object.assign(this.stage.marks, { lines: [], cross: null });
    this._show();
  }

  from(at) {
    if (!this.stage.scan) return;
    const point = this._point(at.x, at.y);
    this.line = { from: point, to: point };
    this.lines.push(this.line);
    this.stage.marks.cross = null;
  }

  to(at) {
    if (!this.line) return;
    this.line.to = this._point(at.x, at.y);
    this._show();
  }

  end() {
    const { line } = this;
    this.line = null;
    if (!line) return;
    const long = Math.hypot(line.to.x - line.from.x, line.to.y - line.from.y) * this.stage.view.zoom;
    if (long < SHORTEST) this.lines.splice(this.lines.indexOf(line), 1);
    this._show();
  }

  /** Move the cross by an arrow; a line that was begun follows it. */
  move(dx, dy, far) {
    const { marks, view, scan } = this.stage;
    if (!scan) return;
    const step = far ? STEP : 1, { x, y } = marks.cross ?? { x: view.x, y: view.y };
    const inside = (value, size) => Math.max(0, Math.min(size, Math.round(value)));
    marks.cross = { x: inside(x + dx * step, scan.info.width), y: inside(y + dy * step, scan.info.height) };
    if (this.line) this.line.to = marks.cross;
    this._show();
    this.status.at(scan, Math.min(marks.cross.x, scan.info.width - 1), Math.min(marks.cross.y, scan.info.height - 1), marks.opacity ? marks.heat : null);
  }

  /** Keys on the stage while measuring; whether one was meant for it. */
  key({ key }) {
    const { marks } = this.stage;
    if ((key === "Enter" || key === " ") && marks.cross) {
      if (this.line) this.end();
      else {
        this.line = { from: marks.cross, to: marks.cross };
        this.lines.push(this.line);
      }
    } else if (key === "Escape" && this.line) {
      this.lines.splice(this.lines.indexOf(this.line), 1);
      this.line = null;
    } else if (key === "Delete" || key === "Backspace") {
      this.line = null;
      this.lines.pop();
    } else return false;
    this._show();
    return true;
  }

  _point(px, py) {
    const [x, y] = this.stage.view.toScan(px, py), { width, height } = this.stage.scan.info;
    return { x: Math.max(0, Math.min(width, x)), y: Math.max(0, Math.min(height, y)) };
  }

  _show() {
    this.status.measured(this.line ?? this.lines.at(-1) ?? null, this.stage.marks.spacing);
    if (this.stage.scan) this.stage.repaint(); // what has changed is told with the picture
    else this.changed();
  }
}
