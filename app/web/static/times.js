/** Times in the visitor's own zone and words. */

import { locale } from "./messages.js";

const full = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });
const exact = new Intl.DateTimeFormat(locale, { dateStyle: "full", timeStyle: "long" });
const relative = new Intl.RelativeTimeFormat(locale, { numeric: "auto", style: "short" });
const STEPS = [["second", 60], ["minute", 60], ["hour", 24], ["day", 7], ["week", 5]];

/** "3 min ago". */
export function ago(at) {
  let left = (new Date(at) - Date.now()) / 1000;
  for (const [unit, size] of STEPS) {
    if (Math.abs(left) < size) return relative.format(Math.round(left), unit);
    left /= size;
  }
  return full.format(new Date(at));
}

export const at = (moment) => full.format(new Date(moment));

/** A `<time>` element, as the server's `moment` makes one. */
export function time(moment, relatively = false) {
  const made = document.createElement("time");
  made.dateTime = moment;
  made.dataset.time = relatively ? "ago" : "at";
  return say(made);
}

function say(element) {
  const moment = element.dateTime;
  element.textContent = element.dataset.time === "ago" ? ago(moment) : at(moment);
  element.title = exact.format(new Date(moment));
  return element;
}

/** Say all times below an element in the visitor's zone. */
export function localise(root = document) {
  for (const element of root.querySelectorAll("time[data-time]")) say(element);
}

setInterval(() => document.querySelectorAll('time[data-time="ago"]').forEach(say), 30_000);
