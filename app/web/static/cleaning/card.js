/** A suspect as a card: the scan, what it is labelled as and looks like, its neighbours, two buttons. */

import { h, fill } from "../elements.js";
import { classWord, percent, t } from "../messages.js";

/** What a suspect says in one sentence. */
export const sentence = (one) =>
  t("Labelled {given}, looks {suggested} ({probability})", {
    given: classWord(one.given), suggested: classWord(one.suggested), probability: percent(one.probabilities[one.suggested]),
  });

/**
 * @param {Object} one  a suspect of the API
 * @param {{task: string, positive: string, judges: boolean, look: Function, decide: Function, takeBack: Function}} desk
 */
export function card(one, desk) {
  const name = t("Rank {rank}", { rank: one.rank });
  const made = h("li", { class: "scan suspect", tabindex: "-1", "data-image": one.image_id, "aria-label": `${name}: ${sentence(one)}` },
    h("button", { type: "button", class: "suspect-look", "aria-label": t("Look at the scan of rank {rank} at full size", { rank: one.rank }), onclick: () => desk.look(one) },
      one.likely && h("span", { class: "chip suspect-likely", "data-kind": "open" }, t("likely error")),
      h("img", { class: "thumbnail", src: `/v1/images/${one.image_id}/thumbnail?size=512`, alt: "", loading: "lazy", decoding: "async", width: 512, height: 307 })),
    statement(one, desk),
    near(one, desk),
    h("div", { class: "suspect-judge" }));
  return update(made, one, desk);
}

/** The two classes, the given one crossed by what the head says. */
export function statement(one, { positive }) {
  return h("p", { class: "suspect-says" },
    h("span", { class: "muted small" }, t("labelled")), " ", word(one.given, positive), h("span", { class: "suspect-arrow", "aria-hidden": "true" }, "→"),
    h("span", { class: "muted small" }, t("looks")), " ", word(one.suggested, positive), " ",
    h("strong", {}, percent(one.probabilities[one.suggested])));
}

const word = (name, positive) =>
  h("span", { class: "chip", "data-kind": name === positive ? "finding" : "calm" }, classWord(name));

function near(one, { task, positive }) {
  if (!one.neighbours.length) return h("p", { class: "suspect-near muted small" }, t("No labelled scan is near it."));
  return h("div", { class: "suspect-near" }, h("span", { class: "muted small" }, t("nearest labelled")),
    h("ul", {}, one.neighbours.map((other) => h("li", {},
      h("a", {
        href: `/images/${other.image_id}?task=${encodeURIComponent(task)}`, "data-kind": other.label === positive ? "finding" : "calm",
        title: [other.name, t("distance {distance}", { distance: other.distance.toFixed(3) })].filter(Boolean).join(" · "),
      },
        h("img", { src: `${other.thumbnail}?size=128`, alt: "", loading: "lazy", decoding: "async", width: 128, height: 77 }),
        h("span", {}, classWord(other.label)))))));
}

/** Say what became of the suspect. */
export function update(made, one, desk) {
  made.dataset.state = one.state;
  const judge = made.querySelector(".suspect-judge");
  if (one.state === "open") fill(judge, desk.judges ? buttons(one, desk) : h("p", { class: "muted small" }, t("Inspectors judge labels.")));
  else fill(judge, outcome(one), desk.judges && one.state !== "superseded" && h("button", { type: "button", class: "quiet", onclick: () => desk.takeBack(one) }, t("Take back")));
  return made;
}

/** The two decisions, with their keys. */
export function buttons(one, { decide }) {
  return [
    h("button", { type: "button", "data-decision": "accept", onclick: () => decide(one, "accept") }, h("kbd", {}, "x"), t("Change to {class}", { class: classWord(one.suggested) })),
    h("button", { type: "button", "data-decision": "reject", onclick: () => decide(one, "reject") }, h("kbd", {}, "c"), t("Keep {class}", { class: classWord(one.given) })),
  ];
}

/** What was decided, and by whom if that is known. */
export function outcome(one) {
  const said = {
    accepted: t("Changed to {class}", { class: classWord(one.suggested) }),
    confirmed: t("Kept as {class}", { class: classWord(one.given) }),
    superseded: t("Now {class}, by another statement", { class: classWord(one.label) }),
  }[one.state];
  return h("p", { class: "suspect-outcome" }, h("span", { "aria-hidden": "true" }, one.state === "accepted" ? "✎ " : "✓ "), said,
    one.decided && h("span", { class: "muted small" }, ` · ${one.decided.author}`));
}
