/** What is drawn over a scan: heat, the boxes that were judged, measurements, the cross of the keyboard. */

import { drawHeat } from "./heat.js";
import { number, t } from "../messages.js";

const COLOURS = { judged: "#6cc3ff", hottest: "#ffd678", finding: "#ff8f75", calm: "#8fd6a8", other: "#dbe1e8" };
const FONT = '12px system-ui, "Segoe UI", sans-serif';

/** How long a line is, in pixels of the scan and, where its spacing is known, in millimetres. */
export function lengthOf({ from, to }, spacing) {
  const dx = to.x - from.x, dy = to.y - from.y;
  const px = Math.hypot(dx, dy);
  return { px, mm: spacing ? Math.hypot(dx * spacing[1], dy * spacing[0]) : null };
}

export function lengthText(line, spacing) {
  const { px, mm } = lengthOf(line, spacing);
  const pixels = t("{length} px", { length: number(Math.round(px * 10) / 10) });
  return mm === null ? pixels : [pixels, t("{length} mm", { length: number(Math.round(mm * 10) / 10) })].join(" · ");
}

/** Draw all marks on a canvas that lies over the scan. */
export function drawMarks(canvas, view, { heat, opacity, boxes, lines, cross, spacing }) {
  // A layer with nothing in it costs as much to put on screen as one that is full.
  canvas.hidden = !((heat && opacity > 0) || boxes.length || lines.length || cross);
  if (canvas.hidden) return;
  const context = canvas.getContext("2d"), ratio = devicePixelRatio || 1;
  context.clearRect(0, 0, canvas.width, canvas.height);
  if (heat && opacity > 0) drawHeat(context, heat, view, opacity);
  const pen = { context, view, ratio };
  for (const box of boxes) drawBox(pen, box);
  for (const line of lines) drawLine(pen, line, spacing);
  if (cross) drawCross(pen, cross);
}

function drawBox({ context, view, ratio }, { x, y, width, height, label, kind }) {
  const [left, top] = view.toScreen(x, y), wide = width * view.zoom, high = height * view.zoom;
  const inset = ratio; // a box of the whole frame would lie on the edge
  const colour = COLOURS[kind] ?? COLOURS.judged;
  context.setLineDash(kind === "hottest" ? [4 * ratio, 3 * ratio] : []);
  outlined(context, ratio, colour, () => context.strokeRect(left + inset, top + inset, wide - 2 * inset, high - 2 * inset));
  context.setLineDash([]);
  if (label) tag({ context, ratio }, label, Math.max(0, left) + 2 * ratio, Math.max(0, top) + 2 * ratio, colour);
}

function drawLine({ context, view, ratio }, line, spacing) {
  const [x0, y0] = view.toScreen(line.from.x, line.from.y), [x1, y1] = view.toScreen(line.to.x, line.to.y);
  const angle = Math.atan2(y1 - y0, x1 - x0) + Math.PI / 2, tick = 6 * ratio;
  outlined(context, ratio, COLOURS.hottest, () => {
    context.beginPath();
    context.moveTo(x0, y0);
    context.lineTo(x1, y1);
    for (const [x, y] of [[x0, y0], [x1, y1]]) {
      context.moveTo(x - tick * Math.cos(angle), y - tick * Math.sin(angle));
      context.lineTo(x + tick * Math.cos(angle), y + tick * Math.sin(angle));
    }
    context.stroke();
  });
  const text = lengthText(line, spacing);
  tag({ context, ratio }, text, (x0 + x1) / 2 + 8 * ratio, (y0 + y1) / 2 + 8 * ratio, COLOURS.hottest);
}

function drawCross({ context, view, ratio }, { x, y }) {
  const [px, py] = view.toScreen(x, y), arm = 14 * ratio, gap = 4 * ratio;
  outlined(context, ratio, COLOURS.other, () => {
    context.beginPath();
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      context.moveTo(px + gap * dx, py + gap * dy);
      context.lineTo(px + arm * dx, py + arm * dy);
    }
    context.stroke();
  });
}

/** A line that shows on black and on white. */
function outlined(context, ratio, colour, stroke) {
  context.strokeStyle = "#000b";
  context.lineWidth = 3.5 * ratio;
  stroke();
  context.strokeStyle = colour;
  context.lineWidth = 1.5 * ratio;
  stroke();
}

function tag({ context, ratio }, text, x, y, colour) {
  context.font = FONT.replace("12", String(12 * ratio));
  const wide = context.measureText(text).width + 12 * ratio, high = 20 * ratio;
  const left = Math.min(x, context.canvas.width - wide), top = Math.min(y, context.canvas.height - high);
  context.fillStyle = "#0b0d10d9";
  context.fillRect(left, top, wide, high);
  context.fillStyle = colour;
  context.textBaseline = "middle";
  context.fillText(text, left + 6 * ratio, top + high / 2);
}
