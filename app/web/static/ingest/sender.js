/**
 * Files on their way: a few requests at a time, each of some files, repeated after a lost connection for as long as it
 * takes. What a file is, is told by its bytes: whatever is sent twice is stored once, and counted once.
 */

import { Offline, Problem } from "../api.js";
import { t } from "../messages.js";
import { digest, lookUp, upload } from "./upload.js";

const LANES = 3;
const FILES = 12;
const BYTES = 16 * 1024 * 1024;
const TRIES = 5; // of a service that answers, and fails
const WAITS = [1, 2, 4, 8, 15];

export class Sender {
  #waiting = [];
  #lanes = 0;
  #paused = false;
  #misses = 0;
  #sleepers = new Set();
  #firsts = new Map(); // digest: the first file with it
  #changed;
  #cut;

  /**
   * @param {(record: Object) => void} changed  told whenever a file's state or share changes
   * @param {(cut: boolean) => void} cut  told when the connection is lost, and when it is back
   */
  constructor(changed, cut) {
    this.#changed = changed;
    this.#cut = cut;
    addEventListener("online", () => this.#wake());
  }

  get paused() {
    return this.#paused;
  }

  /** @param {Object[]} records  `{file, path, name, size, metadata, state: "waiting"}` */
  add(records) {
    this.#waiting.push(...records);
    this.#run();
  }

  pause() {
    this.#paused = true;
  }

  resume() {
    this.#paused = false;
    this.#run();
  }

  #run() {
    while (!this.#paused && this.#lanes < LANES && this.#lanes * FILES < this.#waiting.length) {
      this.#lanes += 1;
      this.#lane().finally(() => { this.#lanes -= 1; });
    }
  }

  async #lane() {
    for (let batch = this.#take(); batch.length; batch = this.#take()) {
      try {
        await this.#send(batch);
        this.#found();
      } catch (error) {
        await this.#failed(batch, error);
      }
    }
  }

  #take() {
    const batch = [];
    let bytes = 0;
    while (!this.#paused && this.#waiting.length && batch.length < FILES) {
      const next = this.#waiting[0];
      if (batch.length && (bytes + next.size > BYTES || next.alone || batch[0].alone)) break;
      batch.push(this.#waiting.shift());
      bytes += next.size;
    }
    return batch;
  }

  async #send(batch) {
    const unsent = await this.#unknown(batch);
    if (!unsent.length) return;
    for (const one of unsent) this.#set(one, "sending", { share: 0 });
    const told = await upload(unsent, (bytes) => this.#share(unsent, bytes));
    const images = new Map(told.images.map((image) => [image.id, image]));
    for (const { position, image_id, created } of told.files) {
      const one = unsent[position];
      // Ours all the same: it was not here before, and the answer to the first try was lost.
      const ours = created || one.wasUnknown;
      this.#set(one, ours ? "new" : "known", { image: images.get(image_id) });
    }
    this.#refuse(unsent, told.refused);
  }

  /** Those of a batch that are to be sent; the others are here already, and declared alike. */
  async #unknown(batch) {
    const readable = [];
    for (const one of batch) {
      this.#set(one, "checking");
      try {
        one.digest ??= await digest(one.file);
        readable.push(one);
      } catch {
        this.#set(one, "refused", { reason: t("The file cannot be read: it was moved, changed, or is not ours to read.") });
      }
    }
    const here = await lookUp([...new Set(readable.map((one) => one.digest).filter(Boolean))]);
    return readable.filter((one) => {
      const image = here.get(one.digest);
      if (one.digest && !image) one.wasUnknown = this.#isFirst(one);
      if (!image || Object.entries(one.metadata.declared).some(([task, name]) => image.declared[task] !== name)) return true;
      this.#set(one, one.wasUnknown ? "new" : "known", { image });
      return false;
    });
  }

  /** Of the files of this visit with the same bytes, one is new and the others are here already. */
  #isFirst(one) {
    if (!this.#firsts.has(one.digest)) this.#firsts.set(one.digest, one);
    return this.#firsts.get(one.digest) === one;
  }

  #share(batch, bytes) {
    let left = bytes;
    for (const one of batch) {
      one.share = Math.min(1, Math.max(0, left / (one.size || 1)));
      left -= one.size;
      this.#changed(one);
    }
  }

  #refuse(batch, refused) {
    for (const { position, problem } of refused) this.#set(batch[position], "refused", { reason: problem.detail });
  }

  async #failed(batch, error) {
    const unsent = batch.filter((one) => ["checking", "sending"].includes(one.state));
    if (error instanceof Problem && error.told.refused?.length) {
      this.#refuse(unsent.filter((one) => one.state === "sending"), error.told.refused);
      return;
    }
    if (error instanceof Offline) {
      const gone = await unreadable(unsent);
      for (const one of gone) this.#set(one, "refused", { reason: t("The file cannot be read: it was moved, changed, or is not ours to read.") });
      await this.#again(unsent.filter((one) => !gone.includes(one)));
    } else if (error instanceof Problem && error.status < 500) {
      // One file that spoils its request spoils only itself when it is sent alone.
      if (unsent.length > 1) this.#back(unsent, { alone: true });
      else this.#set(unsent[0], "refused", { reason: error.message });
    } else {
      for (const one of unsent) one.tries = (one.tries ?? 0) + 1;
      for (const one of unsent.filter((other) => other.tries >= TRIES)) this.#set(one, "refused", { reason: error.message });
      await this.#again(unsent.filter((one) => one.tries < TRIES));
    }
  }

  /** Back to the head of the queue, and a pause that grows until something works again. */
  async #again(batch) {
    this.#back(batch);
    const seconds = WAITS[Math.min(this.#misses, WAITS.length - 1)];
    this.#misses += 1;
    this.#cut(true);
    await new Promise((resolve) => {
      this.#sleepers.add(resolve);
      setTimeout(resolve, seconds * 1000);
    });
  }

  #back(batch, how = {}) {
    for (const one of batch) this.#set(one, "waiting", { share: 0, ...how });
    this.#waiting.unshift(...batch);
  }

  #found() {
    if (this.#misses) this.#cut(false);
    this.#misses = 0;
    this.#wake();
    this.#run();
  }

  #wake() {
    for (const resolve of this.#sleepers) resolve();
    this.#sleepers.clear();
  }

  #set(record, state, more = {}) {
    Object.assign(record, more, { state });
    this.#changed(record);
  }
}

/** Those that the browser can no longer read: a request with one of them breaks like a lost connection. */
async function unreadable(batch) {
  const read = await Promise.allSettled(batch.map((one) => one.file.slice(0, 1).arrayBuffer()));
  return batch.filter((_, index) => read[index].status === "rejected");
}
