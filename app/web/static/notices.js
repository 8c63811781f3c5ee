/** Short messages at the edge of the page, read out by screen readers. */

import { h } from "./elements.js";
import { t } from "./messages.js";
import { Offline, Problem } from "./api.js";

/**
 * @param {string} text
 * @param {{kind?: "say"|"warn", seconds?: number, action?: {text: string, run: Function}}} [options]
 *   `seconds` 0 keeps it until it is closed
 * @returns a function that takes the notice away
 */
export function say(text, { kind = "say", seconds = 6, action } = {}) {
  const close = () => notice.remove();
  const notice = h("div", { class: "notice", "data-kind": kind, role: kind === "warn" ? "alert" : null },
    h("p", {}, text),
    action && h("button", { type: "button", onclick: () => { close(); action.run(); } }, action.text),
    h("button", { type: "button", class: "quiet", "aria-label": t("Close"), onclick: close }, "×"));
  document.getElementById("notices").append(notice);
  if (seconds) setTimeout(close, seconds * 1000);
  return close;
}

export const warn = (text, options = {}) => say(text, { kind: "warn", seconds: 12, ...options });

/** An error in plain words: what the service said, or that it does not answer. */
export function explain(error) {
  if (error instanceof Offline) return t("The service does not answer. Check the connection and try again.");
  if (error instanceof Problem) return error.message;
  console.error(error);
  return t("Something on this page failed: {what}. Load it again.", { what: error.message });
}
