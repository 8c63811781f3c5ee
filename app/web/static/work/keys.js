/** The keys of the work page; those of the viewer are its own. */

import { t } from "../messages.js";
import { say } from "../notices.js";
import { shortcuts } from "../shortcuts.js";

const HIDDEN = "penumbra-work-side";

/** @param {{bar: Bar, answer: Function, undo: Function, side: HTMLElement, list: string}} page */
export function keys({ bar, answer, undo, side, list }) {
  shortcuts.add({ keys: "d", does: t("Evidence: show or hide"), group: t("Page"), run: () => toggle(side) });
  shortcuts.add({ keys: "q", does: t("Leave: to the worklist"), group: t("Page"), run: () => location.assign(list) });
  const decide = t("Decide");
  // A key that is held down would answer for scans that nobody has seen.
  const add = (key, does, run) => shortcuts.add({ keys: key, does, group: decide, run: (event) => event.repeat || run(event) });
  const choose = (event) => {
    const choice = bar.byKey(event.key);
    if (!choice) return bar.choices && say(t("Nothing was said of this scan that could be confirmed: {keys}.", { keys: bar.choices.map(({ key, text }) => `${key.toUpperCase()} ${text}`).join(", ") }), { seconds: 4 });
    bar.flash(bar.places[bar.choices.indexOf(choice)]);
    answer(choice);
  };
  add("c", t("Confirm what is said of the scan"), choose);
  add("x", t("Correct it: the other class"), choose);
  const [other, positive] = classes(bar.given);
  add("k", t("Answer: {word}", { word: other }), choose);
  add("l", t("Answer: {word}", { word: positive }), choose);
  add("j", t("Cannot judge"), () => answer({ verdict: "cannot_judge" }));
  add("s", t("Skip: not for me today"), () => answer({ verdict: "skip" }));
  add(["u", "z"], t("Undo the last answer"), undo);
  shortcuts.add({ keys: "r", does: t("Give a reason first"), group: decide, run: () => bar.reason.focus() });
  side.classList.toggle("work-alone", localStorage.getItem(HIDDEN) === "yes");
}

function classes({ classes: words, positive }) {
  return [Object.entries(words).find(([name]) => name !== positive)[1], words[positive]];
}

function toggle(side) {
  const alone = side.classList.toggle("work-alone");
  try {
    localStorage.setItem(HIDDEN, alone ? "yes" : "no");
  } catch {
    // a full store: for this page only
  }
}
