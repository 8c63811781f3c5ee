/** Questions to the person. */

import { h } from "./elements.js";
import { t } from "./messages.js";

let count = 0;

/**
 * A dialog with a title, a body and buttons; resolves to the value of the button, or null when it is dismissed.
 * @param {{title: string, body: (Node|string)[], buttons: {value: string, text: string, kind?: string,
 *   disabled?: boolean, run?: (dialog: HTMLDialogElement) => Promise<boolean>}[], wide?: boolean, onOpen?: (dialog: HTMLDialogElement) => void}} wanted
 *   `run` keeps the dialog open, its button waiting, until it resolves, and afterwards where it resolves to false
 */
export function ask({ title, body, buttons, wide = false, onOpen }) {
  const name = `dialog-${++count}`;
  const dialog = h("dialog", { class: wide ? "wide" : null, "aria-labelledby": name },
    h("header", {}, h("h2", { id: name }, title)),
    h("div", { class: "body" }, body),
    h("footer", {},
      h("button", { type: "button", onclick: () => dialog.close("") }, t("Cancel")),
      buttons.map(({ value, text, kind, disabled, run }) =>
        h("button", { type: "button", class: kind ?? "primary", disabled, "data-value": value, onclick: (event) => press(event.currentTarget, value, run) }, text))));
  const press = async (button, value, run) => {
    button.disabled = true;
    if (!run || (await run(dialog))) dialog.close(value);
    else button.disabled = false;
  };
  document.body.append(dialog);
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      resolve(dialog.returnValue || null);
      dialog.remove();
    });
    dialog.showModal();
    onOpen?.(dialog);
  });
}

/** Yes or no. */
export const confirm = async (title, text, yes, kind = "primary") =>
  (await ask({ title, body: [h("p", {}, text)], buttons: [{ value: "yes", text: yes, kind }] })) === "yes";
