/** What every page of the desk does. */

import { t } from "./messages.js";
import { shortcuts } from "./shortcuts.js";
import { localise } from "./times.js";

localise();

for (const link of document.querySelectorAll("a[data-go]")) {
  shortcuts.add({
    keys: `g ${link.dataset.go}`, does: link.textContent.trim(), group: t("Go to"), run: () => link.click(),
  });
}
shortcuts.add({ keys: "?", does: t("Keyboard shortcuts"), group: t("Everywhere"), run: shortcuts.show });
document.querySelector("[data-shortcuts]")?.addEventListener("click", shortcuts.show);

const connection = document.getElementById("connection");
async function tell() {
  if (!connection) return;
  // A machine without any network is offline to its browser, and may still serve the desk to itself.
  const there = navigator.onLine || (await fetch("/healthz").then(() => true, () => false));
  connection.hidden = there;
  connection.textContent = there ? "" : t("No connection");
}
addEventListener("online", tell);
addEventListener("offline", tell);
tell();
