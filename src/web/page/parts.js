// Elements, without markup in strings: whatever text comes from declarations stays text.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** An element of HTML. */
export const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);

/** An element of SVG. */
export const s = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

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
    h("th", { scope: "col", class: column.number && "number", "aria-sort": column.sort, title: column.note }, column.title));
  const body = rows.map((row) => h("tr", row.attributes, columns.map((column, place) => {
    const cell = column.cell(row);
    const at = { class: column.number && "number" };
    return place === 0 ? h("th", { scope: "row", ...at }, cell) : h("td", at, cell);
  })));
  const made = h("table", attributes, h("caption", {}, caption), h("thead", {}, h("tr", {}, head)), h("tbody", {}, body));
  return h("div", { class: "wide", tabindex: 0, role: "region", "aria-label": caption }, made);
}

/** Terms with their figures. */
export const figures = (pairs) => h("dl", { class: "figures" }, pairs.map(([name, value, more]) =>
  h("div", {}, h("dt", {}, name), h("dd", {}, value, more && h("small", {}, " ", more)))));

/** A message in the page. */
export const message = (kind, title, text, ...more) =>
  h("div", { class: `message ${kind}`, role: kind === "wrong" ? "alert" : null }, h("h2", {}, title), h("p", {}, text), more);
