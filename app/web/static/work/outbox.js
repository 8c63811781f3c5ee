/**
 * Opinions on their way to the service. They are kept in the browser until the service has them: a lost connection, a
 * closed page, a session that ended lose none. They go one after the other, in the order in which they were given;
 * sent twice, an opinion counts once.
 *
 * Events: `change` (what waits or is stuck is another), `sent` {entry, answer}, `gone` {entry} (the scan was deleted),
 * `elsewhere` {entry} (another tab of the same person keeps it here too).
 */

import { call, Offline, Problem } from "../api.js";
import { uuid } from "../ids.js";

const WAITS_MS = [500, 1000, 2000, 4000, 8000];
const visitor = () => document.querySelector('meta[name="visitor"]')?.content ?? "";

export class Outbox extends EventTarget {
  #prefix = `penumbra-outbox:${visitor()}:`;
  #memory = new Map(); // where the browser keeps nothing for us
  #last = 0;
  #tried = new Set(); // keys of entries that the service may have, though it has not said so
  #running = false;
  #awake = null;
  offline = false;

  /** Begin to send, what an earlier page left first. */
  start() {
    addEventListener("online", () => this.#awake?.());
    addEventListener("storage", (event) => this.#elsewhere(event));
    addEventListener("pagehide", () => this.#farewell());
    this.#tell("change");
    this.#run();
  }

  /** Everything that the service does not have yet, in its order: {key, kind, task, body, name, problem}. */
  get entries() {
    const found = new Map(this.#memory);
    for (let index = 0; index < localStorage.length; index++) {
      const key = localStorage.key(index);
      if (key.startsWith(this.#prefix)) found.set(key, JSON.parse(localStorage.getItem(key)));
    }
    return [...found].sort(([one], [other]) => (one < other ? -1 : 1)).map(([key, entry]) => ({ key, ...entry }));
  }

  get waiting() {
    return this.entries.filter((entry) => !entry.problem);
  }

  /** What the service refused, and a person must decide on. */
  get stuck() {
    return this.entries.filter((entry) => entry.problem);
  }

  /** @param {{task: string, name: string, body: Object}} opinion  `body` as the API takes it, `name` of the scan */
  give({ task, name, body }) {
    this.#keep({ kind: "give", task, name, body });
  }

  /** Take an opinion back, whether it was sent or not. */
  withdraw(id, name) {
    const unsent = this.entries.find((entry) => entry.kind === "give" && entry.body.id === id);
    if (unsent && !this.#tried.has(unsent.key)) this.#drop(unsent.key);
    else this.#keep({ kind: "withdraw", name, body: { id } });
  }

  /** Send a stuck opinion though somebody else has the scan or has decided. */
  insist(key) {
    const { problem: _, key: __, ...entry } = this.entries.find((one) => one.key === key);
    this.#write(key, { ...entry, body: { ...entry.body, anyway: true } });
    this.#tell("change");
    this.#run();
  }

  /** Forget a stuck opinion. */
  drop(key) {
    this.#drop(key);
  }

  #keep(entry) {
    this.#last = Math.max(Date.now(), this.#last + 1);
    this.#write(`${this.#prefix}${String(this.#last).padStart(15, "0")}-${uuid().slice(0, 4)}`, entry);
    this.#tell("change");
    this.#run();
  }

  #write(key, entry) {
    try {
      localStorage.setItem(key, JSON.stringify(entry));
      this.#memory.delete(key);
    } catch {
      this.#memory.set(key, entry);
    }
  }

  #drop(key) {
    this.#memory.delete(key);
    localStorage.removeItem(key);
    this.#tell("change");
  }

  #elsewhere({ key, newValue }) {
    if (!key?.startsWith(this.#prefix)) return;
    this.#tell("change");
    if (newValue) this.#tell("elsewhere", { entry: JSON.parse(newValue) });
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  async #run() {
    if (this.#running) return;
    this.#running = true;
    let failures = 0;
    for (let entry; (entry = this.waiting[0]); ) {
      this.#tried.add(entry.key);
      try {
        const answer = await this.#send(entry);
        failures = 0;
        this.#reached(true);
        this.#drop(entry.key);
        this.#tell("sent", { entry, answer });
      } catch (error) {
        if (error instanceof Problem && error.status < 500) this.#refused(entry, error);
        else {
          this.#reached(false);
          await this.#pause(WAITS_MS[Math.min(failures++, WAITS_MS.length - 1)]);
        }
      }
    }
    this.#running = false;
  }

  #reached(so) {
    if (this.offline === !so) return;
    this.offline = !so;
    this.#tell("change");
  }

  #pause(milliseconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#awake = () => { clearTimeout(timer); resolve(); };
    });
  }

  #send(entry, options) {
    if (entry.kind === "give") return call("POST", `/v1/tasks/${entry.task}/opinions`, entry.body, options);
    return call("DELETE", `/v1/opinions/${entry.body.id}`, undefined, options);
  }

  #refused(entry, problem) {
    this.#reached(true);
    const mine = problem.code === "taken" && problem.told.author === visitor();
    if (problem.status === 404) {
      for (const one of this.entries) if (one.body.id === entry.body.id) this.#drop(one.key);
      if (entry.kind === "give") this.#tell("gone", { entry });
    } else if (mine && !entry.body.anyway) {
      // A claim of this person's own, from before they signed in again.
      const { key, ...rest } = entry;
      this.#write(key, { ...rest, body: { ...rest.body, anyway: true } });
    } else {
      const { key, ...rest } = entry;
      this.#write(key, { ...rest, problem: { code: problem.code, status: problem.status, detail: problem.message, author: problem.told.author } });
      this.#tell("change");
    }
  }

  /** The page goes: the browser may still carry what waits; what it does not is sent by the next page. */
  #farewell() {
    for (const entry of this.waiting.slice(0, 20)) this.#send(entry, { keepalive: true }).catch(() => {});
  }
}

export { Offline };
