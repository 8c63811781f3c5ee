/** Build DOM without markup in strings: what people typed can only ever become text. */

/**
 * @param {string} tag
 * @param {Object} attributes  `class`, `data-*`, `aria-*`, properties such as `disabled`, and `on<event>` listeners;
 *   null, undefined and false leave an attribute away
 * @param {...(Node|string|number|null|Array)} children
 */
export function h(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2).toLowerCase(), value);
    else if (name === "style") Object.assign(made.style, value);
    else if (name in made && typeof value !== "string") made[name] = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** A fragment that the server rendered, as nodes. The server escapes; scripts in it never run. */
export function parse(html) {
  return document.importNode(new DOMParser().parseFromString(html, "text/html").body, true).childNodes;
}

/** Put children in place of what an element holds. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter(Boolean));
}

/** What a `<script type="application/json" id=...>` of the page holds. */
export function given(id) {
  const element = document.getElementById(id);
  return element ? JSON.parse(element.textContent) : null;
}
