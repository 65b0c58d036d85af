// Building and changing elements, without a framework.

/**
 * An element with attributes, handlers (`onclick`) and children.
 * @param {string} tag  tag, with classes behind dots: `div.panel.wide`
 * @param {Record<string, any>} [attributes]
 * @param {...(Node | string | number | null | undefined | false)} children
 * @returns {HTMLElement}
 */
export function h(tag, attributes = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "class") element.className = `${element.className} ${value}`.trim();
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  add(element, children);
  return element;
}

/** @param {Node} parent @param {any[]} children */
export function add(parent, children) {
  for (const child of children.flat(2)) {
    if (child === null || child === undefined || child === false) continue;
    parent.appendChild(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/** Put other children in place of those there are. @param {Element} parent @param {...any} children */
export function fill(parent, ...children) {
  parent.replaceChildren();
  add(parent, children);
}

/** Change a text only where it is another one: what stays is not laid out again. @param {Node} node @param {string} text */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** @param {Element} element @param {string} name @param {string | null} value */
export function setAttribute(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** A line drawing on a field of 24 by 24. @param {string} path */
export function icon(path) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const shape = document.createElementNS("http://www.w3.org/2000/svg", "path");
  shape.setAttribute("d", path);
  svg.appendChild(shape);
  return svg;
}

/** A panel with a head and a body. */
export function panel(title, { note = "", end = [], span = "span-12", id = "" } = {}, ...body) {
  const noteElement = h("span.note", {}, note);
  const bodyElement = h("div.panel-body", {}, ...body);
  const element = h(
    `section.panel.${span.split(" ").join(".")}`,
    { "aria-label": title, id: id || undefined },
    h("div.panel-head", {}, h("h2", {}, title), noteElement, h("div.end", {}, ...end)),
    bodyElement,
  );
  return { element, body: bodyElement, note: noteElement };
}

/** What stands where there is nothing to show: a mark, what is the case, and what to do about it. */
export function empty(title, text = "", mark = "∅") {
  return h("div.empty", {}, h("span.mark", { "aria-hidden": "true" }, mark), h("b", {}, title), text && h("span", {}, text));
}

/** Offer a file to save. @param {string} name @param {Blob} blob */
export function save(name, blob) {
  const link = h("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
