/** What a person may answer of a scan, and what is sent of it. */

import { classWord, t } from "../messages.js";
import { uuid } from "../ids.js";

/**
 * The two classes as answers, in their places on the bar. Where something was said of the scan, the first confirms it:
 * the head's decision, or the papers where the head decides nothing or its answer is hidden. Else the classes stand in
 * their own order, and neither confirms anything.
 * @returns {{key: string, also: string, verdict: string, name: string, text: string, primary: boolean}[]}
 */
export function answers(item, { classes, positive }) {
  const names = Object.keys(classes);
  const word = (name) => classes[name] ?? classWord(name);
  const usual = { [names.find((name) => name !== positive)]: "k", [positive]: "l" };
  const reference = [item.decision, item.declared].find((name) => names.includes(name));
  if (!reference) {
    return names.sort((one) => (one === positive ? 1 : -1)).map((name) => (
      { key: usual[name], also: null, verdict: "confirm", name, text: capital(word(name)), primary: false }));
  }
  const decided = reference === item.decision;
  const other = names.find((name) => name !== reference);
  return [
    { key: "c", also: usual[reference], verdict: "confirm", name: reference, primary: true,
      text: decided ? t("Confirm: {word}", { word: word(reference) }) : t("As declared: {word}", { word: word(reference) }) },
    { key: "x", also: usual[other], verdict: "correct", name: other, primary: false,
      text: decided ? t("Correct: {word}", { word: word(other) }) : t("Not as declared: {word}", { word: word(other) }) },
  ];
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** How a person calls a scan. */
export const nameOf = (item) => item.subject || item.file_name || item.image_id.slice(0, 13);

/** An opinion as the API takes it, with what was on the screen when it was given. */
export function opinion(item, { verdict, name = null, reason, blind, seconds }) {
  const { pile, decision, risk, finding, declared, head } = item;
  return {
    id: uuid(), image_id: item.image_id, verdict, class_name: name, reason: reason || null, blind: blind && pile === "hidden",
    shown: { pile, decision, risk, finding, declared, head: head?.version ?? null, seconds: Math.round(seconds * 10) / 10 },
  };
}

/** An answer in words, for the notice that it was given. */
export function said({ verdict, class_name: name }, classes) {
  if (verdict === "skip") return t("skipped");
  if (verdict === "cannot_judge") return t("cannot judge");
  return classes[name] ?? classWord(name);
}
