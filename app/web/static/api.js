/** Calls of the REST API by the desk's own session. */

import { signInAgain } from "./session.js";

/** The service said no: RFC 9457. `code` is the last word of the problem's type, such as `taken`. */
export class Problem extends Error {
  constructor(status, told) {
    super(told.detail || told.title || String(status));
    this.status = status;
    this.told = told;
    this.code = String(told.type || "").split(":").pop();
  }
}

/** The service did not answer: no connection, or it is being restarted. */
export class Offline extends Error {}

const csrf = () => document.querySelector('meta[name="csrf"]')?.content ?? "";

/**
 * Call the API. A session that has ended opens the sign-in dialog, and the call is made again after it.
 * @param {string} method
 * @param {string} path  such as `/v1/images/…`
 * @param {*} [body]  JSON, or FormData as it is
 * @param {{signal?: AbortSignal, headers?: Object, keepalive?: boolean, as?: "json"|"text"|"blob"|"response"}} [options]
 * @returns the answer's JSON, or what `as` says; null for 204
 * @throws {Problem|Offline}
 */
export async function call(method, path, body, options = {}) {
  const answer = await send(method, path, body, options);
  if (answer.status === 401 && !options.keepalive) {
    await signInAgain();
    return call(method, path, body, options);
  }
  const as = options.as ?? "json";
  if (as === "response") return answer;
  if (answer.status === 204) return null;
  if (!answer.ok) throw new Problem(answer.status, await told(answer));
  return answer[as]();
}

async function send(method, path, body, options) {
  const headers = { Accept: options.as === "text" ? "text/html" : "application/json", ...options.headers };
  if (method !== "GET") headers["X-CSRF-Token"] = csrf();
  const form = body instanceof FormData;
  if (body !== undefined && !form) headers["Content-Type"] = "application/json";
  try {
    const answer = await fetch(path, {
      method, headers, body: body === undefined || form ? body : JSON.stringify(body),
      signal: options.signal, keepalive: options.keepalive, credentials: "same-origin",
    });
    // A proxy in front of a service that is being restarted.
    if ([502, 504].includes(answer.status)) throw new Offline("The service does not answer.");
    return answer;
  } catch (error) {
    if (error.name === "AbortError" || error instanceof Offline) throw error;
    throw new Offline(error.message);
  }
}

async function told(answer) {
  try {
    return await answer.json();
  } catch {
    return { title: answer.statusText };
  }
}

export const get = (path, options) => call("GET", path, undefined, options);
export const post = (path, body, options) => call("POST", path, body, options);
export const put = (path, body, options) => call("PUT", path, body, options);
export const patch = (path, body, options) => call("PATCH", path, body, options);
export const remove = (path, options) => call("DELETE", path, undefined, options);

/** A query string of what is given; lists repeat their name. */
export function query(values) {
  const found = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== null && one !== undefined && one !== "") found.append(name, one);
    }
  }
  const text = found.toString();
  return text ? `?${text}` : "";
}

/** Keep something for the next visit, for this user on any machine. */
export const remember = (name, value) => put(`/v1/preferences/${encodeURIComponent(name)}`, { value });
