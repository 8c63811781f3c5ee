/** How somebody likes to look at scans, kept for the next one: here at once, and for other machines by the service. */

import { get, remember } from "../api.js";
import { PLAIN } from "./look.js";

const NAME = "viewer";
const PLACE = `penumbra-viewer:${document.querySelector('meta[name="visitor"]')?.content ?? ""}`;
const WAIT_MS = 1500;

export const USUAL = Object.freeze({
  gamma: PLAIN.gamma, invert: PLAIN.invert, clahe: PLAIN.clahe, map: PLAIN.map, windowing: null,
  heatShown: false, heatOpacity: 0.55, boxesShown: true,
});

let known = { ...USUAL, ...stored() };
let timer = 0;
let touched = false;
let asked = null;

function stored() {
  try {
    return JSON.parse(localStorage.getItem(PLACE)) ?? {};
  } catch {
    return {};
  }
}

/** What is known now; `then` is called if the service knows better, unless something was changed meanwhile. */
export function recall(then) {
  asked ??= get("/v1/preferences").then((all) => all[NAME] ?? null).catch(() => null);
  asked.then((told) => {
    if (!told || touched) return;
    const better = { ...USUAL, ...told };
    if (JSON.stringify(better) === JSON.stringify(known)) return;
    known = better;
    localStorage.setItem(PLACE, JSON.stringify(known));
    then(known);
  });
  return known;
}

/** Keep changed settings. */
export function keep(changes) {
  const next = { ...known, ...changes };
  if (JSON.stringify(next) === JSON.stringify(known)) return;
  known = next;
  touched = true;
  try {
    localStorage.setItem(PLACE, JSON.stringify(known));
  } catch {
    // a full or forbidden store: the service has it all the same
  }
  clearTimeout(timer);
  timer = setTimeout(() => remember(NAME, known).catch(() => {}), WAIT_MS);
}
