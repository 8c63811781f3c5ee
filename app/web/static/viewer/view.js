/** Which part of a scan is on screen: zoom in pixels of the screen for one of the scan, and the middle. */

export const MOST_ZOOM = 40;
const SQUARES = 8;

export class View {
  constructor() {
    this.width = 1; // of the screen's area, in its own (device) pixels
    this.height = 1;
    this.scan = { width: 1, height: 1 };
    this.zoom = 1;
    this._x = 0.5; // as it was asked for; `x` and `y` are where it is painted
    this._y = 0.5;
    this.fitted = true;
  }

  get x() {
    return this._whole(this._x, this.width);
  }

  set x(value) {
    this._x = value;
  }

  get y() {
    return this._whole(this._y, this.height);
  }

  set y(value) {
    this._y = value;
  }

  /** So that pixels of the scan begin with pixels of the screen: half a pixel aside, every edge would be blurred. */
  _whole(middle, size) {
    if (this.zoom < 1) return middle;
    return (size / 2 - Math.round(size / 2 - middle * this.zoom)) / this.zoom;
  }

  get fitZoom() {
    return Math.min(this.width / this.scan.width, this.height / this.scan.height);
  }

  get leastZoom() {
    return Math.min(1, this.fitZoom);
  }

  /** Another scan: seen whole. */
  of(scan) {
    this.scan = scan;
    this.fit();
  }

  resize(width, height) {
    this.width = Math.max(1, width);
    this.height = Math.max(1, height);
    if (this.fitted) this.fit();
    else this.settle();
  }

  fit() {
    this.zoom = Math.min(MOST_ZOOM, this.fitZoom);
    this.x = this.scan.width / 2;
    this.y = this.scan.height / 2;
    this.fitted = true;
  }

  /** Zoom by a factor, what is at (px, py) of the screen staying there; the middle by default. */
  zoomBy(factor, px = this.width / 2, py = this.height / 2) {
    const [x, y] = this.toScan(px, py);
    this.zoom = Math.max(this.leastZoom, Math.min(MOST_ZOOM, this.zoom * factor));
    this.x = x - (px - this.width / 2) / this.zoom;
    this.y = y - (py - this.height / 2) / this.zoom;
    this.fitted = false;
    this.settle();
  }

  zoomTo(zoom, px, py) {
    this.zoomBy(zoom / this.zoom, px, py);
  }

  /** Move the scan by pixels of the screen. */
  pan(dx, dy) {
    this._x -= dx / this.zoom;
    this._y -= dy / this.zoom;
    this.fitted = false;
    this.settle();
  }

  /** Whether pixels are shown as they are: where they lie on those of the screen, and where they are so large that
   * one wants to tell them apart. */
  get squares() {
    return this.zoom === 1 || this.zoom >= SQUARES * (devicePixelRatio || 1);
  }

  /** Keep the scan on screen: no border wider than it must be. */
  settle() {
    this._x = settled(this._x, this.scan.width, this.width / this.zoom);
    this._y = settled(this._y, this.scan.height, this.height / this.zoom);
  }

  toScan(px, py) {
    return [this.x + (px - this.width / 2) / this.zoom, this.y + (py - this.height / 2) / this.zoom];
  }

  toScreen(x, y) {
    return [(x - this.x) * this.zoom + this.width / 2, (y - this.y) * this.zoom + this.height / 2];
  }

  /** The part of the scan that is on screen: {x0, y0, x1, y1}. */
  get area() {
    const [x0, y0] = this.toScan(0, 0), [x1, y1] = this.toScan(this.width, this.height);
    return {
      x0: Math.max(0, x0), y0: Math.max(0, y0),
      x1: Math.min(this.scan.width, x1), y1: Math.min(this.scan.height, y1),
    };
  }

  /** The level that is sharp at this zoom: a pixel of it is no larger than one of the screen, where there is such. */
  level(levels) {
    const wanted = Math.floor(Math.log2(Math.max(1, 1 / this.zoom)) + 1e-6);
    return Math.max(0, Math.min(levels.length - 1, wanted));
  }

  /** How this view lies in its scan, whatever the sizes of scan and screen: for views that are linked. */
  get relative() {
    return { zoom: this.zoom / this.fitZoom, x: this.x / this.scan.width, y: this.y / this.scan.height, fitted: this.fitted };
  }

  set relative({ zoom, x, y, fitted }) {
    if (fitted) {
      this.fit();
      return;
    }
    this.zoom = Math.max(this.leastZoom, Math.min(MOST_ZOOM, zoom * this.fitZoom));
    this.x = x * this.scan.width;
    this.y = y * this.scan.height;
    this.fitted = false;
    this.settle();
  }
}

function settled(middle, size, shown) {
  return shown >= size ? size / 2 : Math.max(shown / 2, Math.min(size - shown / 2, middle));
}
