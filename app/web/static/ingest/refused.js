/** The list of refused files, to be handed to whoever can mend them. */

import { t } from "../messages.js";
import { refusal } from "./row.js";

const lines = (records) => records.map((record) => [record.path, String(record.size), refusal(record)]);

export async function copy(records, status, fallback) {
  const text = lines(records).map(([path, , reason]) => `${path}\t${reason}`).join("\n");
  try {
    await navigator.clipboard.writeText(text);
    status.textContent = t("Copied.");
  } catch {
    status.textContent = t("This browser does not let pages copy; the list is downloaded instead.");
    fallback(); // no clipboard without HTTPS
  }
}

export function download(records) {
  const rows = [["file", "bytes", "reason"], ...lines(records)];
  const text = rows.map((row) => row.map(cell).join(",")).join("\r\n");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(["\ufeff", text, "\r\n"], { type: "text/csv;charset=utf-8" }));
  link.download = "refused.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** RFC 4180; a cell that a spreadsheet would take for a formula begins with a quote. */
function cell(value) {
  const inert = /^[=+\-@\t\r']/.test(value) ? `'${value}` : value;
  return `"${inert.replaceAll('"', '""')}"`;
}
