/** The viewer's keys: they go to the viewer that was used last. */

import { t } from "../messages.js";
import { shortcuts } from "../shortcuts.js";

const viewers = [];
let registered = false;

const active = () => viewers.at(-1);

export function enter(viewer) {
  if (!registered) register();
  registered = true;
  viewers.unshift(viewer); // the first on the page is the one in use until another is touched
  for (const kind of ["pointerdown", "focusin", "pointerenter"]) viewer.addEventListener(kind, () => use(viewer));
}

export function leave(viewer) {
  viewers.splice(viewers.indexOf(viewer), 1);
}

function use(viewer) {
  if (!viewer.isConnected || active() === viewer) return;
  leave(viewer);
  viewers.push(viewer);
}

/** Arrows belong to a slider, a list or a page that scrolls, unless the scan is what one is at. */
function arrowsAreFree() {
  const focused = document.activeElement;
  if (active()?.contains(focused) && focused.classList.contains("viewer-stage")) return true;
  const page = document.scrollingElement;
  const idle = !focused || focused === document.body || focused.id === "main";
  return idle && page.scrollHeight <= page.clientHeight;
}

function register() {
  const group = t("Scan");
  const add = (keys, does, run, when = () => true) =>
    shortcuts.add({ keys, does, group, run: (event) => run(active(), event), when: () => Boolean(active()?.imageId) && when() });
  add(["+", "="], t("Zoom in"), (viewer) => viewer.zoomAt(1.25));
  add("-", t("Zoom out"), (viewer) => viewer.zoomAt(0.8));
  add("0", t("Show the whole scan"), (viewer) => viewer.fit());
  add("1", t("One pixel of the scan on one of the screen"), (viewer) => viewer.zoomTo(1));
  add(["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"], t("Move, window or measure, as the chosen tool does; Shift: further"),
    (viewer, event) => viewer.arrow(event.key, event.shiftKey), arrowsAreFree);
  add("p", t("Tool: move the scan"), (viewer) => viewer.choose("pan"));
  add("w", t("Tool: window and level"), (viewer) => viewer.choose("window"));
  add("m", t("Tool: measure"), (viewer) => viewer.choose("measure"));
  add("a", t("Window: automatic or all values"), (viewer) => viewer.toggleAuto());
  add("i", t("Invert"), (viewer) => viewer.set({ invert: !viewer.state.invert }));
  add(".", t("Gamma: lighter"), (viewer) => viewer.set({ gamma: viewer.state.gamma * 1.1 }));
  add(",", t("Gamma: darker"), (viewer) => viewer.set({ gamma: viewer.state.gamma / 1.1 }));
  add("e", t("Local contrast (CLAHE)"), (viewer) => viewer.toggleClahe());
  add("v", t("Next colour map"), (viewer) => viewer.nextMap());
  add("h", t("Heat map"), (viewer) => viewer.set({ heatShown: !viewer.state.heatShown }));
  add("b", t("Boxes that were judged"), (viewer) => viewer.set({ boxesShown: !viewer.state.boxesShown }));
  add("o", t("As it came: no changes to the picture"), (viewer) => viewer.reset());
  add("f", t("Full screen: nothing but the scan"), (viewer) => viewer.toggleFullScreen());
  add("PageDown", t("Next frame"), (viewer) => viewer.turn(1), () => active().frames > 1);
  add("PageUp", t("Previous frame"), (viewer) => viewer.turn(-1), () => active().frames > 1);
}
