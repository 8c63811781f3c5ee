/** Mouse, pen, fingers and wheel on the stage. */

const WHEEL = 0.0016; // of the logarithm of the zoom, for a pixel of the wheel
const PINCH = 0.01; // a trackpad's pinch comes as a wheel with Ctrl, in smaller steps
const LINE = 16;

/**
 * @param {HTMLElement} stage
 * @param {Object} viewer  what the hands move: `at` gives pixels of the screen for an event; `tool` says what the
 *   first button does; panBy, zoomAt, windowBy, point, measureFrom, measureTo, toggleFit are called
 */
export function listen(stage, viewer) {
  const fingers = new Map();
  let doing = null; // "pan", "window", "measure", "pinch"

  const kindOf = (event) => {
    if (event.button === 2 || event.shiftKey) return "window";
    return event.button === 1 ? "pan" : viewer.tool;
  };

  stage.addEventListener("pointerdown", (event) => {
    if (event.target.closest("button")) return;
    if (event.button === 1) event.preventDefault(); // no scrolling by the middle button
    stage.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, viewer.at(event));
    doing = fingers.size > 1 ? "pinch" : kindOf(event);
    if (doing === "measure") viewer.measureFrom(viewer.at(event));
    stage.dataset.doing = doing;
  });

  stage.addEventListener("pointermove", (event) => {
    const at = viewer.at(event), before = fingers.get(event.pointerId);
    viewer.point(at);
    if (!before) return;
    if (doing === "pinch") pinch(event.pointerId, at);
    else if (doing === "pan") viewer.panBy(at.x - before.x, at.y - before.y);
    else if (doing === "window") viewer.windowBy(at.x - before.x, at.y - before.y);
    else viewer.measureTo(at);
    fingers.set(event.pointerId, at);
  });

  const pinch = (moved, at) => {
    const before = fingers.get(moved), still = [...fingers].find(([id]) => id !== moved)?.[1];
    if (!still) return;
    const apart = (point) => Math.max(1, Math.hypot(point.x - still.x, point.y - still.y));
    viewer.panBy((at.x - before.x) / 2, (at.y - before.y) / 2);
    viewer.zoomAt(apart(at) / apart(before), { x: (at.x + still.x) / 2, y: (at.y + still.y) / 2 });
  };

  const end = (event) => {
    if (!fingers.delete(event.pointerId)) return;
    if (doing === "measure") viewer.measured();
    doing = fingers.size ? "pan" : null; // a pinch that lost a finger goes on as a pan
    if (doing) stage.dataset.doing = doing;
    else delete stage.dataset.doing;
  };
  stage.addEventListener("pointerup", end);
  stage.addEventListener("pointercancel", end);
  stage.addEventListener("pointerleave", () => viewer.point(null));
  stage.addEventListener("contextmenu", (event) => event.preventDefault());
  stage.addEventListener("dblclick", (event) => {
    if (viewer.tool !== "measure" && !event.target.closest("button")) viewer.toggleFit(viewer.at(event));
  });

  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    const pixels = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? event.deltaY * LINE : event.deltaY;
    const step = Math.max(-240, Math.min(240, pixels));
    viewer.zoomAt(Math.exp(-step * (event.ctrlKey ? PINCH : WHEEL)), viewer.at(event));
  }, { passive: false });
}
