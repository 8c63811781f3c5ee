/** Two viewers that zoom and move together, each in its own scan: by shares of it, so that their sizes may differ. */

/** @returns {() => void} parts them again */
export function link(a, b) {
  const follow = (from, to) => (event) => {
    if (event.detail.by !== "person" || !to.imageId) return;
    const { relative } = from.stage.view, now = to.stage.view.relative;
    if (Object.keys(relative).every((name) => Math.abs(relative[name] - now[name]) < 1e-9)) return;
    to.stage.view.relative = relative;
    to.changed("page");
  };
  const right = follow(a, b), left = follow(b, a);
  a.addEventListener("viewer-change", right);
  b.addEventListener("viewer-change", left);
  return () => {
    a.removeEventListener("viewer-change", right);
    b.removeEventListener("viewer-change", left);
  };
}
