/** Paints scans by WebGL2: every pixel is windowed, equalised and coloured as it is drawn. */

import { coloursOf, LUT } from "./look.js";
import { fragment, VERTEX } from "./shaders.js";

const MOST_BYTES = 256 * 2 ** 20; // of textures
const AT_ONCE = 6; // tiles handed over in one frame: more would be felt while panning

export class GlPainter {
  /**
   * @throws {Error} where there is no WebGL2, or only one that a processor imitates, unless `slow` takes that too: there
   *   the other painter is faster (SwiftShader 65 ms, it 5 ms for 1,280 x 800 on two busy cores, 2026-11-21)
   */
  constructor(canvas, { slow = false } = {}) {
    const gl = canvas.getContext("webgl2", { failIfMajorPerformanceCaveat: !slow, alpha: false, antialias: false, depth: false, stencil: false, powerPreference: "high-performance" });
    if (!gl) throw new Error("no WebGL2");
    if (!slow && imitated(gl)) {
      gl.getExtension("WEBGL_lose_context")?.loseContext();
      throw new Error("no graphics processor");
    }
    this.gl = gl;
    this.canvas = canvas;
    this.most = gl.getParameter(gl.MAX_TEXTURE_SIZE);
    this._reset();
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => { this._reset(); this.onrestored?.(); });
  }

  _reset() {
    this.programs = new Map();
    this.textures = new Map(); // "id/frame/level" -> texture and what lies where in it
    this.colours = { key: "", texture: null };
    this.tables = { of: null, texture: null };
    this.gl.pixelStorei(this.gl.UNPACK_ALIGNMENT, 1);
    this.gl.pixelStorei(this.gl.UNPACK_COLORSPACE_CONVERSION_WEBGL, this.gl.NONE);
  }

  get lost() {
    return this.gl.isContextLost();
  }

  /** The widest and highest part of a level, in tiles, that can be shown at once. */
  get mostTiles() {
    return Math.floor(this.most / 1024);
  }

  clear() {
    this.gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    this.gl.clearColor(0, 0, 0, 1);
    this.gl.clear(this.gl.COLOR_BUFFER_BIT);
  }

  /**
   * Paint what is there of a scan, coarse levels under the fine one.
   * @returns {boolean} whether more waits to be handed over: paint again
   */
  paint(scan, view, look, tables, level) {
    if (this.lost) return false;
    this.clear();
    this.left = AT_ONCE;
    const program = this._program(scan.info, Boolean(tables));
    this._look(program, scan, view, look, tables);
    const levels = scan.hasArea(level, view.area) ? [level] : scan.info.levels.map((one) => one.level).filter((one) => one >= level).reverse();
    for (const one of levels) this._level(program, scan, view, one, one === level && levels.length === 1);
    this._makeRoom(scan);
    return this.left <= 0;
  }

  _level(program, scan, view, index, complete) {
    const { gl } = this;
    const area = view.area, touched = scan.touched(index, area), info = scan.info.levels[index];
    gl.activeTexture(gl.TEXTURE0);
    const texture = this._texture(scan, index, view);
    gl.bindTexture(gl.TEXTURE_2D, texture.texture);
    gl.uniform1f(program.u_scale, info.scale);
    gl.uniform2f(program.u_level, info.width, info.height);
    gl.uniform2f(program.u_texture, texture.width, texture.height);
    let all = complete;
    const side = scan.info.tile * info.scale, ready = [];
    for (let row = touched.top; row <= touched.bottom; row++) {
      for (let column = touched.left; column <= touched.right; column++) {
        if (this._hand(texture, scan, index, row, column)) ready.push([column * side, row * side]);
        else all = false;
      }
    }
    if (all) {
      this._rectangle(program, area.x0, area.y0, area.x1, area.y1);
      return;
    }
    for (const [x, y] of ready) {
      this._rectangle(program, x, y, Math.min(x + side, scan.info.width), Math.min(y + side, scan.info.height));
    }
  }

  _rectangle(program, x0, y0, x1, y1) {
    this.gl.uniform4f(program.u_area, x0, y0, x1, y1);
    this.gl.drawArrays(this.gl.TRIANGLE_STRIP, 0, 4);
  }

  /** The texture of a level: all of it, or as much as is on screen at once, in which tiles take turns. */
  _texture(scan, index, view) {
    const key = `${scan.id}/${scan.frame}/${index}`, info = scan.info.levels[index], side = scan.info.tile;
    const span = (pixels) => Math.ceil(pixels / (view.zoom * info.scale) / side) + 1;
    const columns = Math.min(info.columns, this.mostTiles, Math.max(span(view.width), 2));
    const rows = Math.min(info.rows, this.mostTiles, Math.max(span(view.height), 2));
    let found = this.textures.get(key);
    if (found && (found.columns < columns || found.rows < rows)) {
      this._drop(key);
      found = null;
    }
    this.textures.delete(key);
    // Once more than is needed now: a level that fits is kept whole, so that panning hands nothing over.
    found ??= this._made(scan, info, Math.min(info.columns, this.mostTiles, columns + 1), Math.min(info.rows, this.mostTiles, rows + 1));
    this.textures.set(key, found);
    return found;
  }

  _made(scan, info, columns, rows) {
    const { gl } = this, { tile, depth, colour } = scan.info;
    const width = columns === info.columns ? info.width : columns * tile;
    const height = rows === info.rows ? info.height : rows * tile;
    const texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, texture);
    const deep = depth === 16, filter = deep ? gl.NEAREST : gl.LINEAR;
    gl.texStorage2D(gl.TEXTURE_2D, 1, colour ? gl.RGB8 : deep ? gl.R16UI : gl.R8, width, height);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, filter);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, filter);
    const bytes = width * height * (colour ? 4 : deep ? 2 : 1);
    return { texture, width, height, columns, rows, bytes, lies: new Map() };
  }

  /** Make sure that a tile lies in its place of the texture; whether it does. */
  _hand(texture, scan, level, row, column) {
    const place = `${row % texture.rows}/${column % texture.columns}`, name = `${row}/${column}`;
    if (texture.lies.get(place) === name) return true;
    const tile = scan.tile(level, row, column);
    if (!tile || this.left <= 0) return false;
    this.left -= 1;
    const { gl } = this, side = scan.info.tile, deep = tile.samples instanceof Uint16Array;
    gl.texSubImage2D(gl.TEXTURE_2D, 0, (column % texture.columns) * side, (row % texture.rows) * side, tile.width, tile.height,
      tile.channels === 3 ? gl.RGB : deep ? gl.RED_INTEGER : gl.RED, deep ? gl.UNSIGNED_SHORT : gl.UNSIGNED_BYTE, tile.samples);
    texture.lies.set(place, name);
    return true;
  }

  _look(program, scan, view, look, tables) {
    const { gl } = this, { info } = scan;
    gl.useProgram(program.program);
    gl.uniform3f(program.u_view, view.x, view.y, view.zoom);
    gl.uniform2f(program.u_screen, view.width, view.height);
    gl.uniform2f(program.u_window, look.low, 1 / (look.high - look.low));
    gl.uniform1i(program.u_squares, view.squares ? 1 : 0);
    gl.uniform1i(program.u_plain, look.map === "file" ? 1 : 0);
    this._colours(look);
    if (!tables) return;
    this._tables(tables);
    gl.uniform2f(program.u_frame, info.width, info.height);
    gl.uniform2f(program.u_grid, tables.columns, tables.rows);
    gl.uniform3f(program.u_bins, tables.bins, tables.low, 1 / (tables.high - tables.low));
  }

  _colours(look) {
    const { gl } = this, key = `${look.gamma}/${look.invert}/${look.map}`;
    gl.activeTexture(gl.TEXTURE1);
    if (this.colours.key !== key) {
      this.colours.texture ??= this._table();
      gl.bindTexture(gl.TEXTURE_2D, this.colours.texture);
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, LUT, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, coloursOf(look));
      this.colours.key = key;
    }
    gl.bindTexture(gl.TEXTURE_2D, this.colours.texture);
  }

  _tables(tables) {
    const { gl } = this;
    gl.activeTexture(gl.TEXTURE2);
    if (this.tables.of !== tables) {
      this.tables.texture ??= this._table();
      gl.bindTexture(gl.TEXTURE_2D, this.tables.texture);
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.R16F, tables.bins, tables.columns * tables.rows, 0, gl.RED, gl.FLOAT, tables.tables);
      this.tables.of = tables;
    }
    gl.bindTexture(gl.TEXTURE_2D, this.tables.texture);
  }

  _table() {
    const { gl } = this, texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, texture);
    for (const filter of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, filter, gl.LINEAR);
    for (const wrap of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, wrap, gl.CLAMP_TO_EDGE);
    return texture;
  }

  _program({ depth, colour }, equal) {
    const kind = { deep: depth === 16, colour, equal }, key = JSON.stringify(kind);
    if (!this.programs.has(key)) this.programs.set(key, linked(this.gl, VERTEX, fragment(kind)));
    return this.programs.get(key);
  }

  _drop(key) {
    this.gl.deleteTexture(this.textures.get(key).texture);
    this.textures.delete(key);
  }

  _makeRoom(shown) {
    let total = [...this.textures.values()].reduce((sum, one) => sum + one.bytes, 0);
    for (const [key, { bytes }] of this.textures) {
      if (total <= MOST_BYTES) return;
      if (key.startsWith(`${shown.id}/${shown.frame}/`)) continue;
      this._drop(key);
      total -= bytes;
    }
  }

  dispose() {
    for (const key of [...this.textures.keys()]) this._drop(key);
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}

/** Whether a processor does what a graphics processor should: browsers' own flag for it misses some. */
function imitated(gl) {
  const told = gl.getExtension("WEBGL_debug_renderer_info");
  const name = String(gl.getParameter(told ? told.UNMASKED_RENDERER_WEBGL : gl.RENDERER));
  return /swiftshader|llvmpipe|softpipe|software|basic render/i.test(name);
}

function linked(gl, vertex, pixels) {
  const program = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, pixels]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) {
    const said = gl.getAttachedShaders(program).map((shader) => gl.getShaderInfoLog(shader)).join(" ");
    throw new Error(`The graphics driver refused the viewer's program: ${gl.getProgramInfoLog(program)} ${said}`);
  }
  const found = { program };
  for (let i = 0; i < gl.getProgramParameter(program, gl.ACTIVE_UNIFORMS); i++) {
    const { name } = gl.getActiveUniform(program, i);
    found[name] = gl.getUniformLocation(program, name);
  }
  gl.useProgram(program);
  gl.uniform1i(found.u_pixels, 0);
  gl.uniform1i(found.u_colours, 1);
  if (found.u_tables) gl.uniform1i(found.u_tables, 2);
  return found;
}
