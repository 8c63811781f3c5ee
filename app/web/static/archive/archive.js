/** The archive: filters, choosing, pages. */

import "./filters.js";
import "./selection.js";
import { t } from "../messages.js";
import { shortcuts } from "../shortcuts.js";

const follow = (id) => document.getElementById(id)?.click();
shortcuts.add({ keys: "]", does: t("Older scans"), group: t("Scans"), run: () => follow("older") });
shortcuts.add({ keys: "[", does: t("Newest scans"), group: t("Scans"), run: () => follow("newest") });
shortcuts.add({ keys: "/", does: t("To the filters"), group: t("Scans"), run: () => document.getElementById("filter-subject")?.focus() });
