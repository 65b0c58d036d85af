// What is looked at: strategy, account, window, moment; and how old each group of metrics is.

import { h, setText } from "../dom.js";
import { duration, label } from "../format.js";
import { groupsOf, mark, word } from "../quality.js";
import { WINDOWS } from "../store.js";

/** @param {import("../main.js").App} app */
export function filters(app) {
  const { store } = app;
  const strategy = h("select", { id: "strategy", onchange: () => store.set({ strategy: strategy.value }) });
  const account = h("select", { id: "account", onchange: () => store.set({ account: account.value }) });
  const windows = h("div.segments", { role: "group", "aria-label": "Window" }, ...WINDOWS.map((window) => h("button", { type: "button", "data-window": window, onclick: () => store.set({ window }) }, window)));
  const groups = h("div.groups", { role: "list", "aria-label": "Age of the data by group" });
  const element = document.getElementById("filters");
  element.append(h("label.field", { for: "strategy" }, "Strategy", strategy), h("label.field", { for: "account" }, "Account", account), windows, h("div.push"), groups);
  const badges = new Map();

  function options(select, found, all, value) {
    const list = [["", all], ...found];
    if (value && !list.some(([id]) => id === value)) list.push([value, `${value} (unknown)`]);
    const text = JSON.stringify(list);
    if (select.dataset.list !== text) {
      select.dataset.list = text;
      select.replaceChildren(...list.map(([id, name]) => h("option", { value: id }, name)));
    }
    select.value = value;
  }

  return {
    update() {
      const rows = app.data.summary.value?.rows || [];
      const strategies = new Map(rows.filter((row) => row.strategy_id).map((row) => [row.strategy_id, row.strategy_name || row.strategy_id]));
      // A link may name a strategy as people do.
      const named = [...strategies].find(([id, name]) => name === store.state.strategy && id !== name);
      if (named) store.set({ strategy: named[0] }, true);
      options(strategy, [...strategies].sort((a, b) => a[1].localeCompare(b[1])), "All strategies", store.state.strategy);
      options(account, [...new Set(rows.map((row) => row.account).filter(Boolean))].sort().map((name) => [name, name]), "All accounts", store.state.account);
      for (const button of windows.children) button.setAttribute("aria-pressed", String(button.dataset.window === store.state.window));
    },
    /** The badges of age. */
    ages() {
      const frame = app.frame();
      const definitions = app.data.metrics.value?.metrics;
      if (!frame || !definitions) return;
      for (const group of groupsOf(frame, definitions, app.data.health.value, app.live.now(), app.isPast).values()) {
        let badge = badges.get(group.name);
        if (!badge) {
          badge = h("span.badge", { role: "listitem" }, h("i", { "aria-hidden": "true" }), h("span"), h("b"));
          badge.children[0].style.fontStyle = "normal";
          badges.set(group.name, badge);
          groups.append(badge);
        }
        badge.dataset.state = group.state;
        setText(badge.children[0], mark(group.state));
        setText(badge.children[1], label(group.name));
        setText(badge.children[2], app.isPast ? (group.state === "good" ? "good" : word(group.state)) : group.state === "good" ? duration(group.age) : `${word(group.state)} ${duration(group.age)}`);
        badge.title = `${label(group.name)}: ${word(group.state)}; complete up to ${duration(group.age)} ago, late from ${duration(group.allowed)} on`;
      }
    },
  };
}
