/** What a person answered today and can take back: on this page, and before it was opened. */

import { get } from "../api.js";
import { nameOf, said } from "./answers.js";
import { midnight } from "../worklist/live.js";

const MOST = 100;
const BEFORE = 50;

export class History {
  #entries = []; // {item, body}, the last one last; no item for those of an earlier page

  constructor(classes) {
    this.classes = classes;
  }

  push(item, body) {
    this.#entries.push({ item, body });
    this.#entries.splice(0, this.#entries.length - MOST);
  }

  /** @returns {{item: ?Object, body: Object, name: string, word: string}|null} */
  pop() {
    const last = this.last;
    this.#entries.pop();
    return last;
  }

  get last() {
    const last = this.#entries.at(-1);
    if (!last) return null;
    const name = last.item ? nameOf(last.item) : last.body.image_id.slice(0, 13);
    return { ...last, name, word: said(last.body, this.classes) };
  }

  /** Answers of today from before this page was opened. */
  async recall(task) {
    const { items } = await get(`/v1/tasks/${task}/opinions?author=me&limit=${BEFORE}`);
    const here = new Set(this.#entries.map(({ body }) => body.id));
    const today = items.filter((one) => !one.withdrawn && new Date(one.at) >= new Date(midnight()) && !here.has(one.id));
    this.#entries.unshift(...today.reverse().map((body) => ({ item: null, body })));
  }
}
