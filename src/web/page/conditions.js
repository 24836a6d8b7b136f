// What a profile or a plan looks for, in words.

import { h } from "./parts.js";
import { decimal, t } from "./words.js";

const range = (it, shown) => it && `${it.min === undefined ? "" : shown(it.min)} … ${it.max === undefined ? "" : shown(it.max)}`;
const eur = (cents) => decimal(Number(cents) / 100);
const grams = (mg) => decimal(Number(mg) / 1_000);
const listed = (values) => (values?.length ? values.join(", ") : null);

/** The conditions that are stated, each with its name. */
function stated(it) {
  return [
    ["condition:declarants", listed(it.declarants)], ["condition:ioss", listed(it.iossNumbers)], ["condition:exporter", listed(it.exporterCountries)],
    ["condition:value", range(it.declarationValueEurCents, eur)], ["condition:hs", listed(it.hsPrefixes)], ["condition:origin", listed(it.originCountries)],
    ["condition:itemValue", range(it.itemValueEurCents, eur)], ["condition:itemMass", range(it.itemMassMg, grams)],
    ["condition:description", it.descriptionPatterns?.length ? it.descriptionPatterns.map((one, place) => [place > 0 && " | ", h("code", {}, one)]) : null],
  ].filter(([, value]) => value);
}

/** All that must hold, as a list; `otherwise` where nothing is stated. */
export function conditions(it, otherwise) {
  const found = stated(it ?? {});
  if (!found.length) return otherwise;
  return h("ul", { class: "conditions" }, found.map(([name, value]) => h("li", {}, h("span", { class: "named" }, t(name)), " ", value)));
}
