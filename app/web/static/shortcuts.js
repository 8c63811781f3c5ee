/** Keys of a page: single keys and sequences such as `g w`, all listed by `?`. */

import { h } from "./elements.js";
import { t } from "./messages.js";

const known = new Map();
let first = null; // the first key of a sequence, while the second is awaited
let timer = 0;

const NAMES = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", " ": "Space", Escape: "Esc" };

export const shortcuts = {
  /**
   * @param {{keys: string|string[], does: string, group?: string, run: (event: KeyboardEvent) => void,
   *   when?: () => boolean}} entry  `keys` as in KeyboardEvent.key, `g w` for a sequence; capitals mean Shift
   */
  add(entry) {
    for (const keys of [entry.keys].flat()) known.set(keys, entry);
  },
  remove(keys) {
    for (const one of [keys].flat()) known.delete(one);
  },
  show,
};

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
  if (typing(event.target) || document.querySelector("dialog[open]:not([data-keys])")) return;
  const sequence = first && `${first} ${event.key}`;
  clearTimeout(timer);
  const entry = known.get(sequence) ?? known.get(event.key);
  first = null;
  if (entry && (!entry.when || entry.when())) {
    if ((event.key === "Enter" || event.key === " ") && event.target.closest("a, button, summary, [role=slider]")) return;
    event.preventDefault();
    entry.run(event);
  } else if ([...known.keys()].some((keys) => keys.startsWith(`${event.key} `))) {
    first = event.key;
    timer = setTimeout(() => (first = null), 1500);
  }
});

function typing(target) {
  return target.closest?.('input:not([type="checkbox"], [type="radio"], [type="range"], [type="button"]), textarea, select, [contenteditable="true"]');
}

function show() {
  const groups = new Map();
  for (const [, entry] of known) {
    const group = entry.group ?? t("Everywhere");
    if (!groups.has(group)) groups.set(group, new Set());
    groups.get(group).add(entry);
  }
  const named = (keys) => keys.split(/ (?!$)/).map((key) => h("kbd", {}, NAMES[key] ?? key));
  const dialog = h("dialog", { class: groups.size > 2 ? "wide" : null, "aria-labelledby": "keys-title" },
    h("header", {}, h("h2", { id: "keys-title" }, t("Keyboard shortcuts"))),
    // What the page itself added comes first: what every page has is known by then.
    h("div", { class: "body keys-groups", tabindex: 0 }, [...groups].reverse().map(([group, entries]) => h("section", {},
      h("h3", {}, group),
      h("dl", { class: "keys" }, [...entries].map((entry) => [
        h("dt", {}, [entry.keys].flat().map((keys, index) => [index ? " / " : null, named(keys)])), h("dd", {}, entry.does),
      ]))))),
    h("footer", {}, h("form", { method: "dialog" }, h("button", { autofocus: true }, t("Close")))));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
