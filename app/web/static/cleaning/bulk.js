/** Decide alike on many suspects: counted first, then stated, then undone in one if it was wrong. */

import { post } from "../api.js";
import { fill, h } from "../elements.js";
import { classWord, plural, t } from "../messages.js";
import { explain, say, warn } from "../notices.js";

/**
 * @param {{head: string, likely: number}} page
 * @param {() => void} changed  told when labels were stored or taken back
 */
export function decideMany({ head, likely }, changed) {
  const path = `/v1/heads/${head}/label-errors/decisions`;
  const counted = h("div", { class: "bulk-counted", role: "status" });
  const state = h("button", { class: "primary", disabled: true }, t("Count first"));
  const form = h("form", { class: "stack", id: "bulk-form", oninput: recount, onsubmit: store },
    choices(t("Which suspects"), "bound", [
      ["likely", plural("The likely error that is still to judge", "The likely errors that are still to judge ({count} in all)", likely)],
      ["first", [t("Those of the first ranks, up to"), number("first", 20, 1, 1e6, 1)]],
      ["below", [t("Those whose label has at most this probability"), number("below", 0.1, 0, 1, 0.01)]],
    ]),
    choices(t("What to do with them"), "decision", [
      ["accept", t("Change each label to what the head says")],
      ["reject", t("Keep each label: the head is wrong")],
    ]), counted);
  const dialog = h("dialog", { "aria-labelledby": "bulk-title" },
    h("header", {}, h("h2", { id: "bulk-title" }, t("Decide many at once"))),
    h("div", { class: "body" }, h("p", { class: "muted" }, t("Only suspects that nobody has judged are meant. Look at some of them first.")), form),
    h("footer", {}, h("button", { type: "button", onclick: () => dialog.close() }, t("Cancel")), state));
  state.setAttribute("form", "bulk-form");
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  queueMicrotask(recount);

  function wanted(dryRun) {
    const fields = new FormData(form);
    const bound = fields.get("bound");
    const bulk = bound === "likely" ? { likely: true } : { [bound]: Number(fields.get(bound)) };
    return { decision: fields.get("decision"), bulk, dry_run: dryRun };
  }

  let asked = 0;
  async function recount() {
    const mine = ++asked;
    state.disabled = true;
    if (!form.checkValidity()) return fill(counted, h("p", { class: "problem" }, t("Give a number within the bounds.")));
    try {
      const told = await post(path, wanted(true));
      if (mine !== asked) return;
      fill(counted, list(told));
      state.textContent = plural("Store {count} label", "Store {count} labels", told.stored);
      state.disabled = !told.stored;
    } catch (error) {
      fill(counted, h("p", { class: "problem" }, explain(error)));
    }
  }

  async function store(event) {
    event.preventDefault();
    state.disabled = true;
    try {
      const told = await post(path, wanted(false));
      dialog.close();
      changed();
      say(plural("{count} label was stored.", "{count} labels were stored.", told.stored), {
        seconds: 0, action: { text: t("Undo"), run: () => takeBack(told.label_ids, changed) },
      });
    } catch (error) {
      state.disabled = false;
      fill(counted, h("p", { class: "problem" }, explain(error)));
    }
  }
}

async function takeBack(ids, changed) {
  try {
    const told = await post("/v1/labels/withdrawals", { ids, reason: "bulk decision undone" });
    say(plural("{count} label was taken back.", "{count} labels were taken back.", told.withdrawn));
    changed();
  } catch (error) {
    warn(explain(error), { seconds: 0, action: { text: t("Try again"), run: () => takeBack(ids, changed) } });
  }
}

function list(told) {
  if (!told.suspects) return h("p", {}, t("No suspect that is still to judge fits."));
  return [
    h("p", {}, plural("{count} suspect is meant:", "{count} suspects are meant:", told.suspects)),
    h("ul", {}, Object.entries(told.changes).map(([change, count]) => {
      const [given, stated] = change.split(" -> ");
      const text = given === stated
        ? plural("{count} stays {class}", "{count} stay {class}", count, { class: classWord(given) })
        : plural("{count} from {given} to {stated}", "{count} from {given} to {stated}", count, { given: classWord(given), stated: classWord(stated) });
      return h("li", {}, text);
    })),
  ];
}

const choices = (title, name, options) =>
  h("fieldset", { class: "bulk-choices" }, h("legend", {}, title), options.map(([value, text], index) =>
    h("label", { class: "choice" }, h("input", { type: "radio", name, value, checked: index === 0 }), h("span", { class: "row" }, text))));

function number(name, value, min, max, step) {
  const label = name === "first" ? t("Last rank") : t("Highest probability");
  return h("input", { type: "number", name, value: String(value), min: String(min), max: String(max), step: String(step), class: "bulk-number", "aria-label": label,
    onfocus: (event) => {
      event.target.closest("label").querySelector("input[type=radio]").checked = true;
      event.target.dispatchEvent(new Event("input", { bubbles: true }));
    } });
}
