/** The scans that this page holds for its person: the one on screen and the next ones, claimed and renewed. */

import { get, post, put, remove, Offline, Problem } from "../api.js";
import { asked } from "../worklist/live.js";

const AHEAD = 3;
const MOST_LEFT_OUT = 200; // the list itself knows of those before
const RENEW_MS = 60_000;
const IDLE_MS = 5 * 60_000; // whoever has left the desk lets others have the scans

/** Events: `change`, `lost` {item, author} (somebody else has it now), `deleted` {item}. */
export class Queue extends EventTarget {
  items = [];
  #task;
  #filter;
  #order;
  #decided = new Set();
  #filling = null;
  #active = Date.now();
  #renewing = false;

  constructor({ task, filter }) {
    super();
    const { count, state, ...conditions } = filter;
    this.#task = task;
    // What is decided is looked at in its own page; what one skipped can be taken up again.
    this.#filter = state === "skipped" ? { ...conditions, state } : conditions;
    this.#order = count ? "findings" : "piles";
    setInterval(() => this.renew(), RENEW_MS);
    for (const kind of ["keydown", "pointerdown", "pointermove", "wheel"]) addEventListener(kind, () => this.#here(), { passive: true });
    document.addEventListener("visibilitychange", () => document.hidden || this.renew());
    addEventListener("pagehide", () => this.release());
  }

  get current() {
    return this.items[0] ?? null;
  }

  get next() {
    return this.items.slice(1);
  }

  #path(id) {
    return `/v1/tasks/${this.#task}/worklist/claims/${id}`;
  }

  #here() {
    const away = Date.now() - this.#active > IDLE_MS;
    this.#active = Date.now();
    if (away) this.renew();
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /** Begin with a scan of the person's choice. Throws Problem where somebody else has it or it was deleted. */
  async begin(id) {
    this.items.unshift(await put(this.#path(id)));
    this.#decided.delete(id);
  }

  /** Claim until three are held; one request at a time, and one more where the first was asked too early. */
  async fill() {
    while (this.#filling) await this.#filling.catch(() => {});
    if (this.items.length >= AHEAD) return;
    this.#filling = this.#claim();
    try {
      await this.#filling;
    } finally {
      this.#filling = null;
    }
  }

  async #claim() {
    const body = { filter: asked(this.#filter, { all: true }), order: this.#order, count: AHEAD, without: [...this.#decided].slice(-MOST_LEFT_OUT) };
    const { items } = await post(`/v1/tasks/${this.#task}/worklist/claims`, body);
    const held = new Set(this.items.map((item) => item.image_id));
    const fresh = items.filter((item) => !held.has(item.image_id) && !this.#decided.has(item.image_id));
    const added = fresh.slice(0, Math.max(0, AHEAD - this.items.length));
    if (!added.length) return;
    this.items.push(...added);
    this.#tell("change");
  }

  /** The scan on screen is decided: it is the page's no more. */
  decided() {
    const item = this.items.shift();
    this.#decided.add(item.image_id);
    return item;
  }

  /** It is decided no more: it comes first again. */
  reopen(item) {
    this.#decided.delete(item.image_id);
    this.items = [item, ...this.items.filter((one) => one.image_id !== item.image_id)];
  }

  /** Take a scan out, as it was deleted or went to somebody else. */
  leave(item) {
    this.items = this.items.filter((one) => one !== item);
    this.#decided.add(item.image_id);
  }

  /** Renew the claims, while somebody is here. */
  async renew() {
    if (this.#renewing || Date.now() - this.#active > IDLE_MS) return;
    this.#renewing = true;
    try {
      for (const item of [...this.items]) await this.#renewOne(item);
    } finally {
      this.#renewing = false;
    }
  }

  async #renewOne(item) {
    try {
      await put(this.#path(item.image_id));
    } catch (error) {
      if (error instanceof Offline || !this.items.includes(item)) return;
      if (!(error instanceof Problem)) throw error;
      if (error.status === 404) this.#tell("deleted", { item });
      else if (error.code === "taken") this.#tell("lost", { item, author: error.told.author });
    }
  }

  /** Let others have what this page holds; the page is going. */
  release() {
    for (const item of this.items) remove(this.#path(item.image_id), { keepalive: true }).catch(() => {});
  }

  /** Counts of the list, for whoever wants to know how far it is. */
  counts(since) {
    const { pile, state, ...rest } = asked(this.#filter);
    const query = new URLSearchParams({ ...rest, since });
    return get(`/v1/tasks/${this.#task}/worklist/counts?${query}`);
  }
}
