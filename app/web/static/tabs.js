/** Tabs of a page (WAI-ARIA Authoring Practices): one is selected, arrows go to the next. */

/**
 * @param {NodeListOf<HTMLElement>} elements  of role `tab`, in their order
 * @param {HTMLElement} panel  what they change; it is named by the tab that is selected
 * @param {(tab: HTMLElement) => void} choose
 */
export function tabs(elements, panel, choose) {
  const all = [...elements];
  for (const tab of all) {
    tab.addEventListener("click", () => {
      for (const one of all) {
        one.ariaSelected = String(one === tab);
        one.tabIndex = one === tab ? 0 : -1;
      }
      panel.setAttribute("aria-labelledby", tab.id);
      choose(tab);
    });
    tab.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!by) return;
      event.preventDefault();
      const other = all[(all.indexOf(tab) + by + all.length) % all.length];
      other.focus();
      other.click();
    });
  }
}
