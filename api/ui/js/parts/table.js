// A table that is sorted by its heads, and changes its cells in place.

import { fill, h, setAttribute } from "../dom.js";

/**
 * @typedef {object} Column
 * @property {string} key
 * @property {string} title
 * @property {(row: any) => (number | string | null)} [sort]
 * @property {(row: any) => (Node | string)} cell
 * @property {string} [class]
 * @property {string} [hint]
 */

/** @param {{caption: string, columns: Column[], sort?: string, descending?: boolean, onsort?: Function, key: (row: any) => string, rowClass?: (row: any) => string, onrow?: (row: any) => void}} options */
export function table({ caption, columns, sort = "", descending = true, onsort, key, rowClass, onrow }) {
  const order = { key: sort, descending };
  const heads = new Map();
  const body = h("tbody");
  for (const column of columns) {
    const button = column.sort ? h("button", { type: "button", title: column.hint, onclick: () => by(column.key) }, column.title) : h("span", { title: column.hint }, column.title);
    heads.set(column.key, h("th", { scope: "col", class: column.class }, button));
  }
  const element = h("div.table-wrap", { tabindex: 0, role: "region", "aria-label": caption },
    h("table", {}, h("caption.hidden", {}, caption), h("thead", {}, h("tr", {}, ...heads.values())), body));
  let rows = [];
  const known = new Map();

  function by(name) {
    order.descending = order.key === name ? !order.descending : true;
    order.key = name;
    onsort?.(order.key, order.descending);
    update(rows);
  }

  function ordered() {
    const column = columns.find(({ key: name }) => name === order.key);
    if (!column?.sort) return rows;
    const sign = order.descending ? -1 : 1;
    return [...rows].sort((a, b) => {
      const [x, y] = [column.sort(a), column.sort(b)];
      // What has no value stands behind, whichever way round.
      if (x === null || x === undefined) return y === null || y === undefined ? 0 : 1;
      if (y === null || y === undefined) return -1;
      return sign * (typeof x === "string" ? x.localeCompare(y) : x - y);
    });
  }

  function update(next) {
    rows = next;
    for (const [name, head] of heads) setAttribute(head, "aria-sort", name === order.key ? (order.descending ? "descending" : "ascending") : null);
    const seen = new Set();
    let place = 0;
    for (const row of ordered()) {
      const id = key(row);
      seen.add(id);
      let line = known.get(id);
      if (!line) {
        line = h("tr", {}, ...columns.map((column) => h("td", { class: column.class })));
        if (onrow) {
          line.dataset.link = "";
          line.addEventListener("click", (event) => event.target.closest("button, a") || onrow(line.row));
        }
        known.set(id, line);
      }
      line.row = row;
      line.className = rowClass?.(row) || "";
      columns.forEach((column, number) => {
        const cell = line.children[number];
        const content = column.cell(row, cell);
        if (content === undefined) return;
        if (content instanceof Node) {
          if (cell.firstChild !== content) fill(cell, content);
        } else if (cell.textContent !== content) cell.textContent = content;
      });
      if (body.children[place] !== line) body.insertBefore(line, body.children[place] || null);
      place += 1;
    }
    for (const [id, line] of known) {
      if (seen.has(id)) continue;
      line.remove();
      known.delete(id);
    }
  }

  return { element, update, rows: ordered, by };
}

/** Text of a table as CSV. @param {string[]} heads @param {any[][]} rows */
export function csv(heads, rows) {
  const quote = (value) => {
    const text = value === null || value === undefined ? "" : String(value);
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return new Blob([[heads, ...rows].map((row) => row.map(quote).join(",")).join("\r\n")], { type: "text/csv" });
}
