/** Stored scans until they are judged: the oldest are asked about, and what waits behind them follows. */

import { post } from "../api.js";

const ASKED = 200;
const SOON_MS = 700;
const LATE_MS = 5000;

export class Watch {
  #pending = new Map(); // image id: the files of these bytes
  #told;
  #running = false;

  /** @param {(record: Object) => void} told  when a file's scan is judged, or cannot be */
  constructor(told) {
    this.#told = told;
  }

  get size() {
    return this.#pending.size;
  }

  add(record) {
    const id = record.image.id;
    if (record.image.state !== "pending") return;
    this.#pending.set(id, [...(this.#pending.get(id) ?? []), record]);
    if (!this.#running) this.#run();
  }

  clear() {
    this.#pending.clear();
  }

  async #run() {
    this.#running = true;
    let wait = SOON_MS;
    while (this.#pending.size) {
      await new Promise((resolve) => setTimeout(resolve, document.hidden ? LATE_MS : wait));
      const ended = await this.#look();
      wait = ended ? SOON_MS : Math.min(wait * 1.4, LATE_MS);
    }
    this.#running = false;
  }

  /** How many ended since the last look. */
  async #look() {
    const ids = [...this.#pending.keys()].slice(0, ASKED);
    try {
      const { images } = await post("/v1/image-lookups", { ids });
      const here = new Map(images.map((image) => [image.id, image]));
      const ended = ids.filter((id) => here.get(id)?.state !== "pending");
      for (const id of ended) {
        for (const record of this.#pending.get(id) ?? []) {
          record.image = here.get(id) ?? { ...record.image, state: "deleted" };
          this.#told(record);
        }
        this.#pending.delete(id);
      }
      return ended.length;
    } catch {
      return 0; // the connection, most likely; they are asked about again
    }
  }
}
