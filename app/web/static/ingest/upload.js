/** One request with several files: known bytes are asked for first, and what goes over the wire tells how far it is. */

import { Offline, post, Problem } from "../api.js";
import { signInAgain } from "../session.js";

const MOST_HASHED = 128 * 1024 * 1024; // a digest needs the whole file in memory

/** The SHA-256 of a file in hexadecimal; null where the browser has none to give (no HTTPS) or the file is too large. */
export async function digest(file) {
  if (!globalThis.crypto?.subtle || file.size > MOST_HASHED) return null;
  const found = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
  return [...new Uint8Array(found)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** By digest, the images that are here already. */
export async function lookUp(digests) {
  if (!digests.length) return new Map();
  const told = await post("/v1/image-lookups", { sha256: digests });
  return new Map(told.images.map((image) => [image.sha256, image]));
}

/**
 * Send files with what is known of each. `fetch` does not tell how much of a body has left; XMLHttpRequest does.
 * @param {{file: File, name: string, metadata: Object}[]} parts
 * @param {(bytes: number) => void} onBytes  how many bytes of the request have left
 * @returns the API's answer: `images`, `refused` and `files` by position
 * @throws {Problem|Offline}
 */
export async function upload(parts, onBytes) {
  const form = new FormData();
  form.append("metadata", JSON.stringify(parts.map((part) => part.metadata)));
  for (const part of parts) form.append("files", part.file, part.name);
  const { status, text } = await send(form, onBytes);
  if (status === 401) {
    await signInAgain();
    return upload(parts, onBytes);
  }
  if (status === 502 || status === 504) throw new Offline("The service does not answer.");
  const told = read(text);
  if (status >= 400) throw new Problem(status, told);
  return told;
}

function send(form, onBytes) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", "/v1/images");
    request.setRequestHeader("Accept", "application/json");
    request.setRequestHeader("X-CSRF-Token", document.querySelector('meta[name="csrf"]')?.content ?? "");
    request.upload.addEventListener("progress", (event) => onBytes(event.loaded));
    request.addEventListener("load", () => resolve({ status: request.status, text: request.responseText }));
    for (const broken of ["error", "abort", "timeout"]) request.addEventListener(broken, () => reject(new Offline("The connection broke.")));
    request.send(form);
  });
}

function read(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}
