/** The filters of the archive and of a search: shown when they change, days in the visitor's zone. */

const two = (number) => String(number).padStart(2, "0");
const dayOf = (at) => `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;

/** The day that `until` ends before is the last one that counts. */
const ends = (input) => input.name.endsWith("_until");

for (const form of document.querySelectorAll("form.filters")) {
  const days = [...form.querySelectorAll("[data-moment]")];
  for (const input of days) {
    if (input.dataset.moment) input.value = dayOf(new Date(Date.parse(input.dataset.moment) - (ends(input) ? 1 : 0)));
  }
  form.addEventListener("formdata", ({ formData }) => {
    for (const input of days) {
      if (!input.value) continue;
      const [year, month, day] = input.value.split("-").map(Number);
      formData.set(input.name, new Date(year, month - 1, day + (ends(input) ? 1 : 0)).toISOString());
    }
    for (const [name, value] of [...formData]) if (value === "") formData.delete(name); // addresses that can be read
  });
  form.addEventListener("change", (event) => {
    if (event.target.matches("select")) form.requestSubmit();
  });
}
