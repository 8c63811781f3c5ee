/** The settings page: a change counts at once. */

import { put, remove } from "../api.js";
import { t } from "../messages.js";
import { explain, say, warn } from "../notices.js";

const LOOKS = ["theme", "density"];
const page = document.documentElement;

for (const field of document.querySelectorAll("[data-preference]")) {
  field.addEventListener("change", () => keep(field.name, field.value));
}

async function keep(name, value) {
  const before = page.dataset[name];
  if (LOOKS.includes(name)) page.dataset[name] = value;
  try {
    await put(`/v1/preferences/${name}`, { value: value || null });
    if (!LOOKS.includes(name)) location.reload();
  } catch (error) {
    if (LOOKS.includes(name)) {
      page.dataset[name] = before;
      document.querySelector(`[name="${name}"][value="${before}"]`).checked = true;
    }
    warn(explain(error));
  }
}

const list = document.getElementById("sessions"), others = document.getElementById("close-others");
const foreign = () => list.querySelectorAll("li:has([data-close])");

list.addEventListener("click", (event) => {
  const button = event.target.closest("[data-close]");
  if (!button) return;
  const row = button.closest("[data-session]");
  close(button, `/v1/sessions/${row.dataset.session}`, [row], t("That browser is signed out."));
});
others.addEventListener("click", () =>
  close(others, "/v1/sessions", [...foreign()], t("All other browsers are signed out.")));

async function close(button, path, rows, told) {
  button.disabled = true;
  try {
    await remove(path);
  } catch (error) {
    if (error.status !== 404) { // it was signed out already: what was wanted
      button.disabled = false;
      warn(explain(error));
      return;
    }
  }
  for (const row of rows) row.remove();
  others.hidden = foreign().length === 0;
  (foreign().length ? list.querySelector("[data-close]") : document.getElementById("language")).focus();
  say(told);
}
