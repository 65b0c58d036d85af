// What is held, how concentrated it is, and how far it may fall.

import { PATHS } from "../api.js";
import { Chart, legend } from "../charts/chart.js";
import { Resource } from "../data.js";
import { empty, h, panel } from "../dom.js";
import { label, metricValue, money, number, percent } from "../format.js";
import { equityPanel } from "../parts/equity.js";
import { table } from "../parts/table.js";
import { tiles } from "../parts/tiles.js";
import { timeline } from "../parts/timeline.js";

const TOTALS = ["gross_exposure", "net_exposure", "leverage_gross_over_equity", "position_concentration_top1_pct", "position_concentration_top5_pct", "position_hhi", "beta_vs_benchmark"];
const RISK = ["max_drawdown", "drawdown_duration_minutes", "var_95_historical", "cvar_95_historical", "volatility_annualized", "downside_volatility_annualized", "calmar"];
const LIMITS = ["max_drawdown", "sharpe_annualized", "leverage_gross_over_equity", "gross_exposure", "position_concentration_top1_pct", "slippage_bps_vs_mid", "reject_rate"];

/** @param {import("../main.js").App} app */
export function exposure(app) {
  const { store } = app;
  const held = tiles(app, TOTALS);
  const risk = tiles(app, RISK);
  const positions = new Resource(() => ({ path: PATHS.positions, query: { strategy_id: store.state.strategy, account: store.state.account, as_of: store.state.as_of } }), 30);
  const series = new Resource(() => {
    const range = app.range(86_400_000);
    return range && { path: PATHS.series, query: { strategy_id: store.state.strategy, account: store.state.account, window: store.state.window, metrics: "gross_exposure,net_exposure,leverage_gross_over_equity", ...range, max_points: 600 } };
  }, 30);
  const zone = () => store.state.tz;
  const money2 = (value) => money(value, { short: true });
  const amounts = new Chart({ name: "Gross and net exposure", height: 190, zone, link: "exposure", zero: true, format: (value) => money(value), axis: money2, series: [{ key: "gross_exposure", label: "Gross", kind: "area", colour: "s1" }, { key: "net_exposure", label: "Net", colour: "s2", dashed: true }] });
  const leverage = new Chart({ name: "Leverage", height: 190, zone, link: "exposure", zero: true, format: (value) => `${number(value, 3)}×`, axis: (value) => `${number(value, 2)}×`, series: [{ key: "leverage_gross_over_equity", label: "Leverage", colour: "s3" }] });
  const equity = equityPanel(app, { height: 170 });
  const lanes = timeline(app);

  const amountPart = panel("Exposure over the day", { span: "span-8 wide", end: [legend(amounts.options.series)] }, amounts.element);
  const leveragePart = panel("Leverage over the day", { span: "span-4" }, leverage.element);
  const lanePart = panel("Breaches of risk limits", { span: "span-12", note: "seven days, one lane per policy" }, lanes.element);
  const tail = h("p.muted");
  const positionPart = panel("Open positions", { span: "span-12" });
  positionPart.body.style.padding = "0 0 4px";
  const board = table({
    caption: "Open positions", sort: "value", key: (row) => `${row.strategy_id}|${row.account}|${row.symbol}`, columns: [
      { key: "symbol", title: "Symbol", class: "text pin", sort: (row) => row.symbol, cell: (row) => row.symbol },
      { key: "strategy", title: "Strategy", class: "text", sort: (row) => row.strategy_name, cell: (row) => row.strategy_name || row.strategy_id },
      { key: "account", title: "Account", class: "text", sort: (row) => row.account, cell: (row) => row.account },
      { key: "side", title: "Side", class: "text", sort: (row) => row.quantity, cell: (row) => (row.quantity < 0 ? "▼ short" : "▲ long") },
      { key: "quantity", title: "Quantity", sort: (row) => row.quantity, cell: (row) => number(row.quantity, 6).replace("-", "−") },
      { key: "cost", title: "Average cost", sort: (row) => row.average_cost, cell: (row) => money(row.average_cost) },
      { key: "mark", title: "Mark", sort: (row) => row.mark_price, cell: (row) => money(row.mark_price) },
      { key: "source", title: "Mark by", class: "text", sort: (row) => row.mark_source, cell: (row) => row.mark_source || "no price" },
      { key: "value", title: "Value", sort: (row) => (row.market_value === null ? null : Math.abs(row.market_value)), cell: (row, td) => {
        const bar = td.firstChild ? td.lastChild : h("span.bar");
        bar.className = `bar${row.quantity < 0 ? " neg-bar" : ""}`;
        bar.style.width = `${Math.round(row.share * 100)}%`;
        if (!td.firstChild) td.append(document.createTextNode(""), bar);
        td.firstChild.data = money(row.market_value);
        return undefined;
      } },
      { key: "gain", title: "Unrealized", sort: (row) => row.unrealized_pnl, cell: (row, td) => {
        td.className = row.unrealized_pnl > 0 ? "pos" : row.unrealized_pnl < 0 ? "neg" : "";
        return money(row.unrealized_pnl, { sign: true });
      } },
    ],
  });

  function draw() {
    const found = series.value?.series;
    const isEmpty = !found || !Object.values(found.metrics).some(({ values }) => values.some((value) => value !== null));
    if (isEmpty) for (const chart of [amounts, leverage]) chart.say(found ? "The series has nothing of this time yet: it begins when the first frame is computed." : app.waiting(series));
    else {
      const times = found.times.map(Date.parse);
      const columns = Object.fromEntries(Object.entries(found.metrics).map(([name, { values }]) => [name, values]));
      const limit = app.policy("leverage_gross_over_equity", store.state.window);
      amounts.set(times, columns, { trim: true });
      leverage.set(times, columns, { trim: true, thresholds: limit ? [{ value: limit.threshold, label: `policy ${number(limit.threshold)}×`, severity: limit.severity }] : [] });
    }
    const rows = positions.value?.positions;
    if (rows) {
      const largest = Math.max(...rows.map((row) => Math.abs(row.market_value || 0)), 1e-9);
      const long = rows.filter((row) => row.quantity > 0).length;
      positionPart.note.textContent = `${rows.length} open: ${long} long, ${rows.length - long} short; by the ledger${app.isPast ? ` at ${app.time(positions.value.as_of, "full")}` : ""}`;
      positionPart.body.replaceChildren(rows.length ? board.element : empty("Nothing is open", "", "✓"));
      if (rows.length) board.update(rows.map((row) => ({ ...row, share: Math.abs(row.market_value || 0) / largest })));
    } else positionPart.body.replaceChildren(positions.error ? empty(positions.error.message, positions.error.remedy, "✕") : empty("Loading …", "", "…"));
    const frame = app.frame();
    const value = frame?.metrics.get("var_95_historical");
    if (value) {
      tail.textContent = value.status === "ok"
        ? `VaR and CVaR rest on ${value.sample_count} returns of ${value.meta.sampling_seconds ?? "?"} s each in this window: one return in twenty was at or below ${percent(value.value)}.`
        : `No VaR: ${app.why(value)} (${value.sample_count} returns; at least ${app.definition("var_95_historical")?.min_samples} are needed).`;
    }
    lanes.update((alert) => LIMITS.includes(alert.metric_name), (policy) => LIMITS.includes(policy.signal), (policy) => `${label(policy.signal)} ${policy.window}`, (policy) => metricValue(policy.signal, app.definition(policy.signal)?.unit, policy.threshold, { sign: false }));
  }
  const ends = [positions.use(draw), series.use(draw)];
  return {
    title: "Exposure and risk",
    element: h("div", {}, held.element, h("div.grid", {}, amountPart.element, leveragePart.element), h("div.grid", {}, h("div.span-12", {}, risk.element, h("div.legend", {}, tail)), equity.element, lanePart.element, positionPart.element)),
    scopes: () => [],
    update(changed) {
      held.update();
      risk.update();
      equity.update(changed);
      if (changed.has("scope") || changed.has("snapshot")) {
        positions.refresh();
        series.refresh();
      }
      if (["scope", "snapshot", "alerts", "policies", "tz"].some((name) => changed.has(name))) draw();
    },
    back() {
      positions.refresh(true);
      series.refresh(true);
      equity.back();
    },
    destroy() {
      equity.destroy();
      for (const end of ends) end();
      for (const chart of [amounts, leverage]) chart.destroy();
    },
  };
}
