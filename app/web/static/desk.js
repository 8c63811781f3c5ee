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

// A scan that cannot be read has no thumbnail: a plain sign in its place, not the browser's broken picture.
const missing = (image) => image.classList.add("missing");
document.addEventListener("error", ({ target }) => target.matches?.("img.thumbnail") && missing(target), true);
document.querySelectorAll("img.thumbnail").forEach((image) => image.complete && !image.naturalWidth && image.currentSrc && missing(image));

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
