/** Two scans side by side. */

import { t } from "../messages.js";
import { shortcuts } from "../shortcuts.js";
import { link } from "../viewer/scan-viewer.js";

const viewers = [...document.querySelectorAll("scan-viewer")];
const linked = document.getElementById("linked");
let part = null;

function together(on) {
  part?.();
  part = on && viewers.length === 2 ? link(...viewers) : null;
  linked.setAttribute("aria-pressed", String(on));
}

function swap() {
  const asked = new URLSearchParams(location.search);
  const [left, right] = [asked.get("left"), asked.get("right")];
  asked.delete("left");
  asked.delete("right");
  if (right) asked.set("left", right);
  if (left) asked.set("right", left);
  location.search = asked;
}

linked.disabled = viewers.length < 2;
linked.addEventListener("click", () => together(!part));
document.getElementById("swap").addEventListener("click", swap);
shortcuts.add({ keys: "t", does: t("Zoom and move both scans together, or each by itself"), group: t("Scan"), run: () => linked.click() });
shortcuts.add({ keys: "y", does: t("Change sides"), group: t("Scan"), run: swap });

together(true);
await Promise.all(viewers.map((viewer) => viewer.show(viewer.dataset.image)));
