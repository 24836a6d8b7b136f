// Elements, without markup in strings: whatever text comes from declarations stays text.

import { t } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** An element of HTML. */
export const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);

/** An element of SVG. */
export const s = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

/** A name in capitals, which may be broken at its underscores. */
export const code = (name) => h("code", {}, name.split("_").flatMap((word, place) => (place ? [h("wbr"), `_${word}`] : [word])));

/** Tells those who listen to the page. */
export function tell(text) {
  document.getElementById("told").textContent = text;
}

/**
 * A table: `columns` of {title, cell(row), number, note}, the first of them the heading of its row.
 * It stands in a box that scrolls by itself where it is wider than the window.
 */
export function table(caption, columns, rows, attributes) {
  const head = columns.map((column) =>
    h("th", { role: "columnheader", scope: "col", class: column.number && "number", "aria-sort": column.sort, title: column.note }, column.title));
  const body = rows.map((row) => h("tr", { role: "row" }, columns.map((column, place) => {
    const cell = column.cell(row);
    const at = { class: column.number && "number", "data-name": place > 0 && (column.name ?? column.title) };
    return place === 0 ? h("th", { role: "rowheader", scope: "row", ...at }, cell) : h("td", { role: "cell", ...at }, h("div", {}, cell));
  })));
  // In a narrow window some tables are shown as lists (page.css); the roles say that they are tables all the same.
  const made = h("table", { role: "table", ...attributes }, h("caption", {}, caption),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, head)), h("tbody", { role: "rowgroup" }, body));
  return h("div", { class: "wide", tabindex: 0, role: "group", "aria-label": caption }, made);
}

/** Terms with their figures. */
export const figures = (pairs) => h("dl", { class: "figures" }, pairs.map(([name, value, more]) =>
  h("div", {}, h("dt", {}, name), h("dd", {}, value, more && h("small", {}, " ", more)))));

/** A message in the page. */
export const message = (kind, title, text, ...more) =>
  h("div", { class: `message ${kind}`, role: kind === "wrong" ? "alert" : null }, h("h2", {}, title), h("p", {}, text), more);

/** Why there is nothing, and the command that makes it otherwise. */
export const empty = (text, command) => h("div", { class: "message" }, h("p", {}, text), h("p", {}, h("code", {}, command)));

export const printButton = () => h("button", { type: "button", class: "print", onclick: () => window.print() }, t("print"));

/** A button that reads on from `token`. */
export function onward(token, more) {
  const where = h("p", { class: "partly" });
  where.append(h("button", { type: "button", onclick: async () => {
    try {
      await more(token);
    } catch (error) {
      if (error.name !== "AbortError") where.append(message("wrong", t("otherError"), error.message));
    }
  } }, t("readOn")));
  return where;
}
