/** Texts in the visitor's language; English is the message itself. */

export const language = document.documentElement.lang || "en";
/** How times are written: as in the visitor's own country where it speaks the page's language. */
export const locale = navigator.languages.find((tag) => tag.split("-")[0] === language) ?? language;
const catalogue = language === "en" ? {} : await load();
const plurals = new Intl.PluralRules(language);

async function load() {
  try {
    const answer = await fetch(new URL(`./messages/${language}.json`, import.meta.url));
    return answer.ok ? await answer.json() : {};
  } catch {
    return {}; // English is better than no page
  }
}

/** A text; `{name}` in it is replaced by `values.name`. */
export function t(message, values = {}) {
  const found = catalogue[message];
  return put(Array.isArray(found) ? found[0] : found || message, values);
}

/** A text by number: `plural("{count} scan", "{count} scans", count)`. */
export function plural(one, many, count, values = {}) {
  const found = catalogue[one];
  const index = plurals.select(count) === "one" ? 0 : 1;
  const chosen = Array.isArray(found) ? found[index] : [one, many][count === 1 ? 0 : 1];
  return put(chosen, { count: number(count), ...values });
}

const numbers = new Intl.NumberFormat(language);
export const number = (value) => numbers.format(value);
export const percent = (share, digits = 1) =>
  share === null || share === undefined
    ? "–"
    : new Intl.NumberFormat(language, { style: "percent", minimumFractionDigits: digits, maximumFractionDigits: digits }).format(share);

const words = () => ({
  empty: t("empty"), loaded: t("loaded"), normal: t("normal"), pneumonia: t("pneumonia"),
  review: t("review"), cannot_judge: t("cannot judge"),
});

/** How a person says a class or a decision; words of sites' own tasks stay as they are. */
export const classWord = (word) => words()[word] ?? word ?? "–";

function put(text, values) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}
