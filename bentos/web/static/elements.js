// Elements without markup: whatever a record, a question or a model says becomes a text node, never HTML.
const SVG = "http://www.w3.org/2000/svg";

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined).map((c) => (c instanceof Node ? c : String(c))));
  return element;
}

export const make = (name, attributes = {}, ...children) => filled(document.createElement(name), attributes, children);
export const draw = (name, attributes = {}, ...children) => filled(document.createElementNS(SVG, name), attributes, children);
export const byId = (id) => document.getElementById(id);

/** A table; a `stacked` one lays each row out on its own on a narrow screen, every number with its column's name. */
export function table(caption, columns, rows, stacked = false) {
  const numeric = (i) => (columns[i].number ? "number" : null);
  return make("div", { class: "scroll" },
    make("table", { class: stacked ? "stack" : null },
      caption ? make("caption", {}, caption) : null,
      make("thead", {}, make("tr", {}, ...columns.map((c, i) => make("th", { scope: "col", class: numeric(i) }, c.name)))),
      make("tbody", {}, ...rows.map((cells) => make("tr", {}, ...cells.map((cell, i) => make("td", { class: numeric(i), "data-label": columns[i].name }, cell)))))));
}
