/** Files out of what was dropped, chosen or pasted, folders within folders included. */

/** Files that systems leave in folders; nobody means to send them. */
const LEFT_BEHIND = /^(\.|__MACOSX$)|^(thumbs\.db|desktop\.ini)$/i;

/**
 * Everything in a drop, as it is found: a folder of many thousands is not read before the first file is on its way.
 * @param {DataTransfer} transfer
 * @param {(found: {file: File, path: string}[]) => void} found
 * @returns the paths that could not be read
 */
export async function dropped(transfer, found) {
  // Entries must be taken while the event lasts; after the first `await` the transfer is empty.
  const entries = [...transfer.items].filter((item) => item.kind === "file").map((item) => item.webkitGetAsEntry?.() ?? item.getAsFile());
  const unread = [];
  for (const entry of entries.filter(Boolean)) {
    if (entry instanceof File) found([{ file: entry, path: entry.name }]);
    else await walk(entry, found, unread);
  }
  return unread;
}

async function walk(entry, found, unread) {
  if (LEFT_BEHIND.test(entry.name)) return;
  try {
    if (entry.isFile) {
      found([{ file: await asked(entry, "file"), path: entry.fullPath.slice(1) }]);
      return;
    }
    const reader = entry.createReader();
    // A reader gives a hundred or so at a time, and an empty list at the end.
    for (let some = await asked(reader, "readEntries"); some.length; some = await asked(reader, "readEntries")) {
      const files = some.filter((one) => one.isFile && !LEFT_BEHIND.test(one.name));
      const read = await Promise.allSettled(files.map((one) => asked(one, "file")));
      found(read.flatMap(({ value }, index) => (value ? [{ file: value, path: files[index].fullPath.slice(1) }] : [])));
      unread.push(...read.flatMap(({ value }, index) => (value ? [] : [files[index].fullPath.slice(1)])));
      for (const one of some) if (one.isDirectory) await walk(one, found, unread);
    }
  } catch {
    unread.push(entry.fullPath.slice(1));
  }
}

const asked = (object, method) => new Promise((resolve, reject) => object[method](resolve, reject));

/** The files of an `<input type=file>`, or of a paste. */
export const chosen = (files) =>
  [...files].filter((file) => !path(file).split("/").some((part) => LEFT_BEHIND.test(part))).map((file) => ({ file, path: path(file) }));

const path = (file) => file.webkitRelativePath || file.name;
