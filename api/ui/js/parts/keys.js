// Keyboard shortcuts.

import { VIEWS } from "../store.js";

/** @param {import("../main.js").App} app */
export function keys(app) {
  const { store } = app;
  const actions = {
    "[": () => app.stepWindow(-1),
    "]": () => app.stepWindow(1),
    s: () => document.getElementById("strategy").focus(),
    c: () => document.getElementById("account").focus(),
    a: () => app.toggleAlerts(),
    p: () => app.togglePause(),
    r: () => app.tools.replay(),
    l: () => store.set({ as_of: "" }),
    u: () => app.toggleZone(),
    t: () => app.nextTheme(),
    "?": () => app.tools.help(),
    Escape: () => (store.state.strategy || store.state.account) && store.set({ strategy: "", account: "" }),
    ...Object.fromEntries(VIEWS.map((view, place) => [String(place + 1), () => store.set({ view })])),
  };
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest?.("input, select, textarea")) return;
    // In a dialog only the key that closes what it opened.
    if (document.querySelector("dialog[open]") && event.key !== "a") return;
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
}
