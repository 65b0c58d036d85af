// Strategies and accounts side by side, and the curve of what is selected.

import { PATHS } from "../api.js";
import { spark } from "../charts/spark.js";
import { themes } from "../charts/theme.js";
import { Resource } from "../data.js";
import { empty, h, panel, save } from "../dom.js";
import { label, metricValue, tone } from "../format.js";
import { equityPanel } from "../parts/equity.js";
import { csv, table } from "../parts/table.js";
import { tiles } from "../parts/tiles.js";
import { mark, word } from "../quality.js";

const TOTALS = ["net_pnl", "cumulative_return", "sharpe_annualized", "max_drawdown", "gross_exposure", "leverage_gross_over_equity", "trade_count", "win_rate", "cost_bps"];
const COLUMNS = ["net_pnl", "cumulative_return", "sharpe_annualized", "sortino_annualized", "max_drawdown", "profit_factor", "win_rate", "trade_count"];

/** @param {import("../main.js").App} app */
export function scoreboard(app) {
  const { store, live } = app;
  const totals = tiles(app, TOTALS);
  const trends = new Resource(() => {
    const range = app.range();
    return range && { path: PATHS.trends, query: { ...range, max_points: 60 } };
  }, 60);
  const equity = equityPanel(app);

  /** Value of a metric of a row: from the stream, else from the summary. */
  const valueOf = (row, name) => {
    const metric = app.isPast ? null : live.frames.get(row.scope)?.metrics.get(name);
    return metric ? metric.value : row.metrics[name] ?? null;
  };
  const cell = (name) => (row, td) => {
    const value = valueOf(row, name);
    const metric = app.isPast ? null : live.frames.get(row.scope)?.metrics.get(name);
    const text = metricValue(name, app.definition(name)?.unit || "", value, { short: true });
    td.className = value === null ? "none-cell" : tone(name, value);
    const why = value === null ? app.why(metric) : "";
    if (td.title !== why) td.title = why;
    return text;
  };
  const sparks = new Map();
  const board = table({
    caption: "Strategies and accounts",
    sort: store.state.sort, descending: store.state.dir === "desc",
    onsort: (sort, isDown) => store.set({ sort, dir: isDown ? "desc" : "asc" }, true),
    key: (row) => row.scope,
    rowClass: (row) => (row.strategy_id === "" ? "total" : ""),
    onrow: (row) => store.set({ strategy: row.strategy_id, account: row.account }),
    columns: [
      { key: "name", title: "Strategy", class: "text pin", sort: (row) => row.name, cell: (row, td) => {
        const link = td.firstChild || h("a", { onclick: (event) => app.follow(event, { strategy: td.parentNode.row.strategy_id, account: td.parentNode.row.account }) }, h("b"), h("small"));
        link.href = store.link({ strategy: row.strategy_id, account: row.account });
        link.style.cssText = "color: inherit; text-decoration: none";
        link.children[0].textContent = row.name;
        link.children[1].textContent = row.account || "all accounts";
        td.parentNode.setAttribute("aria-selected", String(row.strategy_id === store.state.strategy && row.account === store.state.account));
        return link;
      } },
      { key: "status", title: "State", class: "text", sort: (row) => row.state, cell: (row, td) => {
        td.className = "text";
        const state = td.firstChild || h("span.state", {}, h("i", { "aria-hidden": "true" }), h("span"));
        state.dataset.state = row.state;
        state.children[0].textContent = mark(row.state);
        state.children[1].textContent = app.isPast && row.state === "good" ? "good" : word(row.state);
        return state;
      } },
      ...COLUMNS.map((name) => ({ key: name, title: label(name), hint: name, sort: (row) => valueOf(row, name), cell: cell(name) })),
      { key: "trend", title: "Trend of PnL", class: "text", cell: (row, td) => {
        const canvas = td.firstChild || h("canvas.spark", { role: "img", "aria-label": "no trend" });
        const values = row.trend;
        if (sparks.get(row.scope) !== values) {
          sparks.set(row.scope, values);
          spark(canvas, values || []);
          canvas.setAttribute("aria-label", values?.length ? `PnL over the window, ${values.at(-1) >= values.find((value) => value !== null) ? "up" : "down"}` : "no trend");
        }
        return canvas;
      } },
      { key: "alerts", title: "Alerts", sort: (row) => row.active_alerts, cell: (row, td) => {
        const button = td.firstChild || h("button.alerts-cell", { type: "button", onclick: () => app.openAlerts(td.parentNode.row) });
        button.className = `alerts-cell ${row.active_alerts ? "some" : "zero"}`;
        button.textContent = row.active_alerts ? `▲ ${row.active_alerts}` : "0";
        button.disabled = !row.active_alerts;
        button.setAttribute("aria-label", row.active_alerts ? `${row.active_alerts} open alerts of ${row.name} on ${row.account || "all accounts"}` : "no open alerts");
        return button;
      } },
    ],
  });
  const holder = h("div", {}, h("div.skeleton", { style: null }));
  holder.firstChild.style.height = "220px";
  const exportButton = h("button.button.small", { type: "button", onclick: () => {
    const names = Object.keys(app.data.summary.value?.rows[0]?.metrics || {});
    save(`scoreboard-${store.state.window}.csv`, csv(["strategy_id", "strategy", "account", "state", "open_alerts", ...names],
      board.rows().map((row) => [row.strategy_id, row.name, row.account, row.state, row.active_alerts, ...names.map((name) => valueOf(row, name))])));
  } }, "CSV");
  const part = panel("Strategies and accounts", { end: [exportButton] }, holder);
  part.body.style.padding = "0 0 4px";
  part.element.classList.add("board");

  const rows = () => {
    const found = app.data.summary.value;
    if (!found) return null;
    const trend = new Map((trends.value?.trends || []).map((one) => [`${one.strategy_id}|${one.account}`, one.values]));
    const onAccounts = new Map();
    for (const { strategy_id, account } of found.rows) if (account) onAccounts.set(strategy_id, (onAccounts.get(strategy_id) || 0) + 1);
    const counts = app.isPast ? null : app.alertCounts();
    return found.rows
      .filter((row) => (!store.state.strategy || row.strategy_id === store.state.strategy) && (!store.state.account || row.account === store.state.account))
      // A strategy on its only account is there once.
      .filter((row) => row.account || !row.strategy_id || onAccounts.get(row.strategy_id) > 1)
      .map((row) => {
        const scope = `${row.strategy_id}|${row.account}|${found.window}`;
        return {
          ...row, scope, name: row.strategy_id ? row.strategy_name || row.strategy_id : row.account ? "Whole account" : "Everything",
          state: app.rowState(row, scope), trend: trend.get(`${row.strategy_id}|${row.account}`),
          active_alerts: counts ? counts.get(`${row.strategy_id}|${row.account}`) || 0 : row.active_alerts,
        };
      });
  };
  const draw = () => {
    const found = rows();
    if (app.data.summary.error && !found) {
      holder.replaceChildren(empty(app.data.summary.error.message, app.data.summary.error.remedy, "✕"));
      return;
    }
    if (!found) return;
    if (!found.length) {
      const isFiltered = Boolean(store.state.strategy || store.state.account);
      holder.replaceChildren(isFiltered
        ? empty("Nothing matches this filter", "The strategy has not traded on this account. Press Esc to show everything.")
        : empty("No frame yet", "Frames follow the first mirrored orders or snapshots. Data and pipeline health says how far they are."));
      return;
    }
    if (holder.firstChild !== board.element) holder.replaceChildren(board.element);
    board.update(found);
    part.note.textContent = `${found.length} ${found.length === 1 ? "row" : "rows"}, window ${store.state.window}`;
  };
  const repaint = () => {
    sparks.clear();
    draw();
  };
  themes.addEventListener("change", repaint);
  const ends = [trends.use(draw), () => themes.removeEventListener("change", repaint)];
  return {
    title: "Scoreboard",
    element: h("div", {}, totals.element, h("div.grid", {}, part.element, equity.element)),
    scopes: () => (app.data.summary.value?.rows || []).map((row) => `${row.strategy_id}|${row.account}|${store.state.window}`),
    update(changed) {
      if (changed.has("scope") || changed.has("snapshot")) trends.refresh();
      totals.update();
      draw();
      equity.update(changed);
    },
    back() {
      trends.refresh(true);
      equity.back();
    },
    destroy() {
      equity.destroy();
      for (const end of ends) end();
    },
  };
}
