// Colours of the style sheet, for the canvas.

let known = null;

/** @param {string} name  of a token without its dashes */
export function colour(name) {
  known ??= getComputedStyle(document.documentElement);
  return known.getPropertyValue(`--${name}`).trim() || "#888";
}

export const themes = new EventTarget();

/** The theme is another one: everything is painted anew. */
export function themeChanged() {
  known = null;
  themes.dispatchEvent(new Event("change"));
}
