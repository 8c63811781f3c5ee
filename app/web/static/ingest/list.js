/** A list of many thousands of rows, of which only those in sight are in the page. */

const SPARE = 6;

export class LongList {
  #frame;
  #list;
  #row;
  #height;
  #items = [];
  #made = new Map(); // position: {item, element}
  #asked = false;

  /**
   * @param {HTMLElement} frame  what scrolls
   * @param {HTMLUListElement} list  inside it
   * @param {(item: Object) => HTMLLIElement} row  makes a row, each as tall as `height`
   */
  constructor(frame, list, row, height) {
    this.#frame = frame;
    this.#list = list;
    this.#row = row;
    this.#height = height;
    frame.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.draw()).observe(frame);
  }

  set items(items) {
    this.#items = items;
    this.draw();
  }

  /** An item says something else now. */
  changed(item) {
    for (const [position, one] of this.#made) {
      if (one.item === item) one.stale = true;
      if (one.item === item && this.#items[position] !== item) this.#made.delete(position);
    }
    this.draw();
  }

  /** Draw what is in sight, with the next frame. */
  draw() {
    if (this.#asked) return;
    this.#asked = true;
    requestAnimationFrame(() => {
      this.#asked = false;
      this.#draw();
    });
  }

  #draw() {
    this.#list.style.height = `${this.#items.length * this.#height}px`;
    const first = Math.max(0, Math.floor(this.#frame.scrollTop / this.#height) - SPARE);
    const last = Math.min(this.#items.length, Math.ceil((this.#frame.scrollTop + this.#frame.clientHeight) / this.#height) + SPARE);
    for (const [position, { item, element }] of this.#made) {
      if (position >= first && position < last && this.#items[position] === item) continue;
      element.remove();
      this.#made.delete(position);
    }
    let before = null;
    for (let position = last - 1; position >= first; position -= 1) {
      const one = this.#made.get(position);
      if (one && !one.stale) {
        before = one.element;
        continue;
      }
      const element = this.#row(this.#items[position]);
      element.style.top = `${position * this.#height}px`;
      element.setAttribute("aria-setsize", String(this.#items.length));
      element.setAttribute("aria-posinset", String(position + 1));
      if (one) one.element.replaceWith(element);
      else this.#list.insertBefore(element, before);
      this.#made.set(position, { item: this.#items[position], element, stale: false });
      before = element;
    }
  }
}
