/**
 * What the person decided, on its way to the service: one after the other, kept in the browser until it is stored.
 * Sending a decision twice stores it once, so whatever was under way when the connection broke is simply sent again.
 */

import { uuid } from "../ids.js";
import { Offline, post } from "../api.js";
import { explain, warn } from "../notices.js";

const AGAIN_MS = 3000;

export class Judgements {
  #key;
  #head;
  #changed;
  #queue; // {id, kind: "decide"|"withdraw", imageId, decision, labelIds}
  #done = []; // what can be undone, the latest last
  #busy = false;
  #cut = false;
  #timer = 0;
  #settling = []; // who waits until nothing is under way

  /** @param {string} head  @param {(what: Object) => void} changed  told after each change of anything */
  constructor(head, changed) {
    this.#key = `penumbra.cleaning.${head}`;
    this.#head = head;
    this.#changed = changed;
    this.#queue = recall(this.#key);
    addEventListener("online", () => this.#flush());
    setTimeout(() => this.#flush());
  }

  get waiting() {
    return this.#queue.length;
  }

  /** Whether the connection is what they wait for. */
  get cut() {
    return this.#cut;
  }

  get undoable() {
    return this.#done.length;
  }

  /** Decisions on an image that wait, from this visit or one that broke off. */
  pending(imageId) {
    return this.#queue.findLast((one) => one.kind === "decide" && one.imageId === imageId)?.decision ?? null;
  }

  decide(imageId, decision) {
    const made = { id: uuid(), kind: "decide", imageId, decision };
    this.#done.push(made);
    this.#add(made);
  }

  /** Take back the last decision of this visit; its image, or null when there is none. */
  undo() {
    const last = this.#done.pop();
    if (!last) return null;
    this.takeBack(last);
    return last.imageId;
  }

  /** Take back labels: of a decision of this visit, or `{imageId, labelIds}` of an earlier one. */
  takeBack(one) {
    this.#done = this.#done.filter((other) => other !== one && !(one.imageId === other.imageId));
    const unsent = this.#queue.findIndex((waits) => waits.id === one.id && !waits.sending);
    if (unsent >= 0) {
      this.#queue.splice(unsent, 1);
      this.#keep();
    } else {
      this.#add({ id: uuid(), kind: "withdraw", imageId: one.imageId, of: one });
    }
  }

  #add(one) {
    this.#queue.push(one);
    this.#keep();
    this.#flush();
  }

  async #flush() {
    if (this.#busy) return;
    this.#busy = true;
    clearTimeout(this.#timer);
    while (this.#queue.length) {
      const one = this.#queue[0];
      one.sending = true;
      try {
        await this.#send(one);
        this.#cut = false;
      } catch (error) {
        one.sending = false;
        if (error instanceof Offline) {
          this.#cut = true;
          this.#timer = setTimeout(() => this.#flush(), AGAIN_MS);
          break;
        }
        this.#done = this.#done.filter((other) => other !== one);
        warn(explain(error));
        this.#changed({ imageId: one.imageId, refused: one });
      }
      this.#queue.shift();
      this.#keep();
    }
    this.#busy = false;
    for (const resolve of this.#settling.splice(0)) resolve();
    this.#changed({});
  }

  /** Resolves when everything is stored, or waits for the connection. */
  settled() {
    if (!this.#queue.length || this.#cut) return Promise.resolve();
    return new Promise((resolve) => this.#settling.push(resolve));
  }

  /** What waits for the connection, of decisions. */
  get kept() {
    return this.#queue.filter((one) => one.kind === "decide");
  }

  async #send(one) {
    if (one.kind === "decide") {
      const body = { decision: one.decision, image_ids: [one.imageId] };
      const told = await post(`/v1/heads/${this.#head}/label-errors/decisions`, body);
      one.labelIds = told.label_ids;
      this.#changed({ imageId: one.imageId, stored: one });
    } else if (one.of.labelIds?.length) {
      await post("/v1/labels/withdrawals", { ids: one.of.labelIds });
    }
  }

  #keep() {
    try {
      if (this.#queue.length) localStorage.setItem(this.#key, JSON.stringify(this.#queue));
      else localStorage.removeItem(this.#key);
    } catch {
      // a browser that keeps nothing: the page itself still has them
    }
    this.#changed({});
  }
}

function recall(key) {
  try {
    return JSON.parse(localStorage.getItem(key) ?? "[]").map((one) => ({ ...one, sending: false }));
  } catch {
    return [];
  }
}
