/** A session that has ended is opened again in place: what the person was doing stays where it was. */

import { h } from "./elements.js";
import { t } from "./messages.js";

let pending = null;

/** Resolves once somebody has signed in again; every call that waits shares one dialog. */
export function signInAgain() {
  pending ??= ask().finally(() => (pending = null));
  return pending;
}

function ask() {
  const problem = h("p", { class: "problem", role: "alert", hidden: true });
  const key = h("input", { type: "password", id: "key-again", autocomplete: "current-password", required: true });
  const dialog = h("dialog", { "aria-labelledby": "again-title" },
    h("header", {}, h("h2", { id: "again-title" }, t("Your session has ended"))),
    h("form", { class: "body stack", id: "sign-in-again" },
      h("p", {}, t("Sign in again to go on. Nothing of your work is lost: it waits on this page.")), problem,
      h("div", { class: "field" }, h("label", { for: "key-again" }, t("Key")), key)),
    h("footer", {}, h("button", { class: "primary", form: "sign-in-again" }, t("Sign in"))));
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  document.body.append(dialog);
  dialog.showModal();
  key.focus();
  return new Promise((resolve) => {
    dialog.querySelector("form").addEventListener("submit", async (event) => {
      event.preventDefault();
      const said = await open(key.value);
      if (said) {
        problem.textContent = said;
        problem.hidden = false;
        key.select();
        return;
      }
      dialog.close();
      dialog.remove();
      resolve();
    });
  });
}

/** What went wrong, or null when the session is open again. */
async function open(key) {
  try {
    const answer = await fetch("/sign-in", { method: "POST", body: new URLSearchParams({ key }), credentials: "same-origin" });
    if (!answer.ok) return t("This key is unknown or was revoked. Check it, or ask your administrator for a new one.");
    const told = await answer.json();
    const visitor = document.querySelector('meta[name="visitor"]');
    if (visitor && visitor.content !== told.name) {
      location.reload(); // somebody else: the page was made for another's eyes
      return null;
    }
    document.querySelector('meta[name="csrf"]').content = told.csrf;
    for (const field of document.querySelectorAll('input[name="csrf"]')) field.value = told.csrf;
    return null;
  } catch {
    return t("The service does not answer. Check the connection and try again.");
  }
}
