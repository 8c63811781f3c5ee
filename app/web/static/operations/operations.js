/** Operations: figures that stay fresh, and the few acts of whoever runs the service. */

import { get, post, put, remove } from "../api.js";
import { ask, confirm } from "../dialogs.js";
import { fill, h, parse } from "../elements.js";
import { plural, t } from "../messages.js";
import { explain, say, warn } from "../notices.js";
import { localise } from "../times.js";

const FRESH_MS = 4000;
const now = document.getElementById("now");

async function refresh() {
  if (document.hidden) return;
  try {
    replace(await get(now.dataset.refresh, { as: "text" }));
    now.removeAttribute("data-stale");
  } catch {
    now.dataset.stale = ""; // the figures stay as they were, and look so
  }
}

/** New figures, with the focus and the scrolled tables where they were. */
function replace(text) {
  const focused = now.contains(document.activeElement) ? document.activeElement.id : "";
  const scrolled = [...now.querySelectorAll(".scroll")].map((one) => one.scrollLeft);
  now.replaceChildren(...parse(text));
  localise(now);
  now.querySelectorAll(".scroll").forEach((one, index) => { one.scrollLeft = scrolled[index] ?? 0; });
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

if (now) {
  setInterval(refresh, FRESH_MS);
  document.addEventListener("visibilitychange", refresh);
  document.getElementById("main").addEventListener("click", (event) => {
    const button = event.target.closest("[data-act]");
    if (button) act(button);
  });
}

async function act({ dataset: { set, act: what, rate } }) {
  const path = `/v1/feature-sets/${encodeURIComponent(set)}`;
  try {
    if (what === "rate") {
      const wanted = await askRate(rate);
      if (wanted === undefined) return;
      await put(`${path}/rate`, { rate: wanted });
    } else {
      const told = await post(`${path}/${what}`, what === "backfill" ? {} : undefined);
      if (what === "retry") say(plural("{count} job is queued again.", "{count} jobs are queued again.", told.queued));
    }
    await refresh();
  } catch (error) {
    warn(explain(error));
  }
}

async function askRate(rate) {
  const input = h("input", { type: "number", id: "rate", min: "0.1", step: "0.1", value: rate, placeholder: t("unbounded") });
  const answer = await ask({
    title: t("How fast may it be filled?"),
    body: [h("div", { class: "field" }, h("label", { for: "rate" }, t("Scans a second at most; empty for no bound")), input)],
    buttons: [{ value: "set", text: t("Set") }],
  });
  if (answer !== "set") return undefined;
  return input.value ? Number(input.value) : null;
}

// Failed jobs.

for (const button of document.querySelectorAll("[data-retry]")) {
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await post(`/v1/jobs/${button.dataset.retry}/retry`);
      button.replaceWith(h("span", { class: "chip", "data-kind": "accent" }, t("queued again")));
    } catch (error) {
      button.disabled = false;
      warn(explain(error));
    }
  });
}

for (const button of document.querySelectorAll("[data-retry-all]")) {
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      const told = await post(`/v1/feature-sets/${encodeURIComponent(button.dataset.retryAll)}/retry`);
      say(plural("{count} job is queued again.", "{count} jobs are queued again.", told.queued), {
        seconds: 0, action: { text: t("Load the list again"), run: () => location.reload() },
      });
    } catch (error) {
      button.disabled = false;
      warn(explain(error));
    }
  });
}

// Keys.

document.getElementById("key-form")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const fields = Object.fromEntries(new FormData(form));
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    const made = await post("/v1/keys", fields);
    await show(made);
    location.reload();
  } catch (error) {
    warn(explain(error));
  } finally {
    button.disabled = false;
  }
});

function show({ key, secret }) {
  const field = h("input", { id: "secret", class: "mono", readonly: true, value: secret, onfocus: () => field.select() });
  const told = h("p", { class: "small", role: "status" });
  const copy = h("button", { type: "button", onclick: async () => fill(told, await copied(field)) }, t("Copy"));
  const dialog = h("dialog", { "aria-labelledby": "secret-title" },
    h("header", {}, h("h2", { id: "secret-title" }, t("The key of {name}", { name: key.name }))),
    h("div", { class: "body" },
      h("p", {}, t("It is shown this once and stored nowhere. Hand it over by a way that nobody else reads.")),
      h("div", { class: "row secret" }, h("label", { class: "visually-hidden", for: "secret" }, t("Key")), field, copy), told),
    h("footer", {}, h("button", { type: "button", class: "primary", onclick: () => dialog.close() }, t("I have it"))));
  dialog.addEventListener("cancel", (event) => event.preventDefault()); // Escape would lose it for good
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => { dialog.remove(); resolve(); }));
}

async function copied(field) {
  try {
    await navigator.clipboard.writeText(field.value);
    return t("Copied.");
  } catch {
    field.select(); // no clipboard without HTTPS
    return t("This browser does not let pages copy; the key is selected, copy it by hand.");
  }
}

for (const button of document.querySelectorAll("[data-revoke]")) {
  button.addEventListener("click", async () => {
    const { revoke, name, mine } = button.dataset;
    const text = mine !== undefined
      ? t("This is the key that you are signed in with: you will be signed out at once, here and everywhere.")
      : t("Whoever uses it is refused from now on. What was done with it stays. This cannot be undone; a new key can be made.");
    if (!(await confirm(t("Revoke the key of {name}?", { name }), text, t("Revoke"), "danger"))) return;
    try {
      await remove(`/v1/keys/${revoke}`);
      location.reload();
    } catch (error) {
      warn(explain(error));
    }
  });
}
