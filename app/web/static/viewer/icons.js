/** Drawings of 16 x 16 for the toolbar's buttons. */

const PATHS = {
  fit: "M2 5V2h3M11 2h3v3M14 11v3h-3M5 14H2v-3M5 6h6v4H5z",
  actual: "M3.5 5l1.5-1v8M10.5 5L12 4v8M8 6.2v.2M8 9.6v.2",
  in: "M8 3.5v9M3.5 8h9",
  out: "M3.5 8h9",
  pan: "M8 1.5v13M1.5 8h13M6 3.5l2-2 2 2M6 12.5l2 2 2-2M3.5 6l-2 2 2 2M12.5 6l2 2-2 2",
  window: "M8 2a6 6 0 100 12A6 6 0 008 2zM8 2v12M8 4.5h4.5M8 7h6M8 9.5h5.6M8 12h3.6",
  measure: "M1.5 10.5l9-9 4 4-9 9zM4 8l1.5 1.5M6.3 5.7l2.2 2.2M8.5 3.5L10 5",
  invert: "M2 2h12v12H2zM2 14L14 2M9 11h4M10 8.5h3M11.5 6H13",
  auto: "M1.5 13.5h13M2.5 13.5c2 0 2-4 3-4s1.5 2 2.5 2 1.5-8.5 3-8.5 1.5 10.5 3 10.5",
  clahe: "M2 2h5v5H2zM9 2h5v5H9zM2 9h5v5H2zM9 9h5v5H9zM4.5 2v5M9 4.5h5M2 11.5h5M11.5 9v5",
  adjust: "M2 4.5h6M11.5 4.5H14M9.7 3v3M2 11.5h2.5M8 11.5h6M6.3 10v3",
  heat: "M8 1.5c.5 3 3.5 4.5 3.5 8a3.5 3.5 0 01-7 0c0-1.8.8-2.6 1.6-3.6.3 1 .7 1.6 1.2 1.8C7.2 6 6.800 3.500 8 1.500z",
  boxes: "M2 5V3.500A1.500 1.500 0 013.500 2H5M11 2h1.500A1.500 1.500 0 0114 3.500V5M14 11v1.500a1.500 1.500 0 01-1.500 1.500H11M5 14H3.500A1.500 1.500 0 012 12.500V11",
  reset: "M3 3v3.500h3.500M3.300 6.300A5.500 5.500 0 112.700 9.500",
  full: "M6 2H2v4M10 2h4v4M14 10v4h-4M6 14H2v-4M2 2l4 4M14 2l-4 4M14 14l-4-4M2 14l4-4",
  previous: "M10 3L5 8l5 5",
  next: "M6 3l5 5-5 5",
  bin: "M3 4.500h10M6.500 4.500V2.500h3v2M4.500 4.500l.7 9h5.600l.7-9M6.800 7v4M9.200 7v4",
};

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [key, value] of Object.entries({ viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true", class: "viewer-icon" })) svg.setAttribute(key, value);
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}
