/** What the person says of the files they add: the form, and what it means for each of them. */

import { remember } from "../api.js";

const form = document.getElementById("known");
const CUT = { subject: 256, tag: 256 };

/** The form as it stands. */
export function stated() {
  const fields = Object.fromEntries(new FormData(form));
  const declared = {};
  for (const [name, value] of Object.entries(fields)) {
    if (name.startsWith("declared:") && value) declared[name.slice("declared:".length)] = value;
  }
  const { source, subject, subject_text, tags, profile } = fields;
  return { declared, source: source.trim(), subject, subject_text: subject_text.trim(), tags, profile };
}

/** Keep the form for the next visit; nothing hangs on whether that works. */
export const keep = () => remember("ingest", stated()).catch(() => {});

/**
 * What the API is told of one file.
 * @param {Object} known  as `stated` gives it
 * @param {string} path  such as `empty/MSKU1234567.jpg`
 * @param {Object} tasks  by name: classes
 */
export function metadata(known, path, tasks) {
  const folders = path.split("/").slice(0, -1);
  const told = { declared: {}, tags: known.tags.split(",").map((tag) => tag.trim().slice(0, CUT.tag)).filter(Boolean).slice(0, 64) };
  for (const [task, value] of Object.entries(known.declared)) {
    const named = value === "@folder" ? folders.findLast((one) => tasks[task].classes.includes(one.toLowerCase()))?.toLowerCase() : value;
    if (named) told.declared[task] = named;
  }
  if (known.source) told.source = known.source;
  if (known.profile) told.profile = known.profile;
  const subject = {
    text: known.subject_text,
    folder: folders.at(-1),
    file: path.split("/").at(-1).replace(/\.[^.]+$/, ""),
  }[known.subject];
  if (subject) told.subject = subject.slice(0, CUT.subject);
  return told;
}

form.subject.addEventListener("change", () => {
  document.getElementById("subject-field").hidden = form.subject.value !== "text";
});
form.addEventListener("submit", (event) => event.preventDefault());
