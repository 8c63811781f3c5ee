/** Choosing by a box that is drawn with the mouse. */

import { h } from "../elements.js";

const SLACK = 6; // pixels before a click becomes a box

/**
 * @param {HTMLElement} area  where a box may begin
 * @param {() => HTMLElement[]} every
 * @param {(inside: Set<HTMLElement>, more: boolean) => void} found  called while the box is drawn; `more`: with Shift or
 *   Ctrl, which add to what is chosen
 */
export function lasso(area, every, found) {
  let from = null, box = null;

  function move(event) {
    if (!box && Math.hypot(event.clientX - from.x, event.clientY - from.y) < SLACK) return;
    if (!box) {
      box = h("div", { class: "lasso", "aria-hidden": "true" });
      document.body.append(box);
    }
    const now = { x: event.clientX, y: event.clientY + scrollY };
    const [left, right] = [from.x, now.x].sort((a, b) => a - b);
    const [top, bottom] = [from.y + from.scroll, now.y].sort((a, b) => a - b);
    Object.assign(box.style, { left: `${left}px`, top: `${top - scrollY}px`, width: `${right - left}px`, height: `${bottom - top}px` });
    const inside = every().filter((one) => {
      const { x, y, width, height } = one.getBoundingClientRect();
      return x < right && x + width > left && y + scrollY < bottom && y + height + scrollY > top;
    });
    found(new Set(inside), from.more);
  }

  function end() {
    removeEventListener("pointermove", move);
    if (box) {
      box.remove();
      box = null;
      area.addEventListener("click", swallow, { capture: true, once: true }); // the drag ended on a link
      setTimeout(() => area.removeEventListener("click", swallow, { capture: true }));
    }
    from = null;
  }

  area.addEventListener("pointerdown", (event) => {
    if (event.pointerType !== "mouse" || event.button !== 0 || event.target.closest("input, button, label")) return;
    from = { x: event.clientX, y: event.clientY, scroll: scrollY, more: event.shiftKey || event.ctrlKey || event.metaKey };
    addEventListener("pointermove", move);
    addEventListener("pointerup", end, { once: true });
  });
}

const swallow = (event) => {
  event.preventDefault();
  event.stopPropagation();
};
