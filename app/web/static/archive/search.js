/** Search by a scan that is dropped, pasted or chosen: it is stored, and its own address shows those like it. */

import "./filters.js";
import "./selection.js";
import { call, get, Problem } from "../api.js";
import { t } from "../messages.js";
import { explain } from "../notices.js";
import { shortcuts } from "../shortcuts.js";

const drop = document.getElementById("drop");
const file = document.getElementById("file");
const problem = document.getElementById("drop-problem");
const words = [...drop.childNodes];
const ID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/i;
const WAIT_SECONDS = 20;
const LOOK_AGAIN_MS = 1500;
let busy = false;

async function searchBy(files) {
  if (busy || !files.length) return;
  if (files.length > 1) return complain(t("One scan at a time: these were {count}.", { count: files.length }));
  busy = true;
  drop.setAttribute("aria-busy", "true");
  const unnamed = t("the scan");
  drop.replaceChildren(t("Reading {name}…", { name: files[0].name || unnamed }));
  problem.hidden = true;
  try {
    const form = new FormData();
    form.append("files", files[0], files[0].name || "pasted.png");
    const told = await call("POST", "/v1/images", form, { headers: { Prefer: `wait=${WAIT_SECONDS}` } });
    location.assign(`/search?image=${told.images[0].id}`);
  } catch (error) {
    complain(refusal(error));
  } finally {
    busy = false;
  }
}

/** Why the file was not taken: its own problem says more than that of the upload. */
function refusal(error) {
  const own = error instanceof Problem && error.told.refused?.[0]?.problem;
  return own ? own.detail : explain(error);
}

function complain(text) {
  drop.removeAttribute("aria-busy");
  drop.replaceChildren(...words);
  file.value = "";
  problem.textContent = text;
  problem.hidden = false;
}

file.addEventListener("change", () => searchBy(file.files));
let depth = 0; // dragenter and dragleave come for every element on the way
const over = (by) => {
  depth = Math.max(0, depth + by);
  drop.classList.toggle("over", depth > 0);
};
addEventListener("dragenter", () => over(1));
addEventListener("dragleave", () => over(-1));
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  depth = 0;
  over(0);
  searchBy(event.dataTransfer.files);
});
addEventListener("paste", (event) => {
  if (event.target.closest?.("input, textarea")) return;
  if (event.clipboardData.files.length) return searchBy(event.clipboardData.files);
  const [id] = ID.exec(event.clipboardData.getData("text")) ?? [];
  if (id) location.assign(`/search?image=${id.toLowerCase()}`);
  else complain(t("Nothing in the clipboard is a scan, or the id of one."));
});
shortcuts.add({ keys: "u", does: t("Choose a file to search by"), group: t("Scans"), run: () => file.click() });
shortcuts.add({ keys: "/", does: t("To the search field"), group: t("Scans"),
  run: () => document.getElementById("find")?.focus() ?? document.getElementById("filter-subject")?.focus() });

/** A list to pick from: each scan leads to those like it. */
for (const link of document.querySelectorAll("[data-pick] .scan-open")) {
  const card = link.closest(".scan");
  link.href = `/search?image=${card.dataset.image}&task=${encodeURIComponent(card.dataset.task)}`;
}

const page = document.querySelector(".search");
if (page?.dataset.state === "pending") watch(page.dataset.image);

async function watch(imageId) {
  try {
    const image = await get(`/v1/images/${imageId}`);
    if (image.state !== "pending") return location.reload();
  } catch (error) {
    if (error instanceof Problem) return complain(explain(error));
  }
  setTimeout(() => watch(imageId), LOOK_AGAIN_MS);
}
