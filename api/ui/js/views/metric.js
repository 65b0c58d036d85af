// One metric: what it is, how it went over every window, and what its value is made of.

import { PATHS, request, seriesCsv } from "../api.js";
import { Chart } from "../charts/chart.js";
import { Resource } from "../data.js";
import { empty, h, panel, save } from "../dom.js";
import { duration, label, metricValue, money, number } from "../format.js";
import { table } from "../parts/table.js";
import { alertCard } from "../parts/alerts.js";
import { ageOf, mark, stateOf, word } from "../quality.js";
import { WINDOWS } from "../store.js";

/** @param {import("../main.js").App} app */
export function metric(app) {
  const { store, live } = app;
  const name = () => store.state.metric;
  const query = (window) => ({ strategy_id: store.state.strategy, account: store.state.account, window });
  const explained = new Resource(() => ({ path: PATHS.explain, query: { metric: name(), ...query(store.state.window), as_of: store.state.as_of, limit: 50 } }), 60);
  const choice = h("select", { "aria-label": "Metric", onchange: () => store.set({ metric: choice.value }) });
  const about = panel("", { span: "span-8 wide", end: [h("label.field", {}, "Metric", choice)] });
  const title = about.element.querySelector("h2");
  const now = panel("Now", { span: "span-4 wide" });
  const windows = WINDOWS.map((window) => {
    const chart = new Chart({ name: `Window ${window}`, height: 120, zone: () => store.state.tz, link: "metric", format: (value) => format(value), axis: (value) => format(value, true), series: [{ key: "value", label: window, kind: "line", colour: "s1" }] });
    const value = h("b", {}, " ");
    const state = h("span.state");
    const button = h("button.button.small", { type: "button", onclick: () => store.set({ window }) }, window);
    const part = h("section.panel.window-chart.span-4", { "aria-label": `Window ${window}` }, h("div.panel-head", {}, button, h("h3", {}, value), h("div.end", {}, state)), h("div.panel-body", {}, chart.element));
    const series = new Resource(() => {
      const range = app.range(86_400_000);
      return range && { path: PATHS.series, query: { ...query(window), metrics: name(), ...range, max_points: 1440, downsample: "last" } };
    }, 60);
    return { window, chart, value, state, button, part, series };
  });
  const exports = h("button.button.small", { type: "button", onclick: async () => save(`${name()}-${store.state.window}.csv`, await seriesCsv({ ...query(store.state.window), metrics: name(), ...app.range(86_400_000), max_points: 5000 })) }, "CSV of the series");
  const made = panel("What the value is made of");
  made.element.classList.add("scrolls", "tall");
  made.body.style.padding = "0 0 4px";
  const related = panel("Alerts on this metric", { span: "span-8 wide" });
  const more = h("button.button", { type: "button" }, "Show more");
  const definition = () => app.definition(name());
  const format = (value, short = false) => metricValue(name(), definition()?.unit || "", value, { short });

  const tables = {
    executions: { columns: [["executed_at", "Filled", (row) => app.time(row.executed_at, "full")], ["symbol", "Symbol"], ["side", "Side"], ["quantity", "Quantity", (row) => number(row.quantity, 6)], ["price", "Price", (row) => money(row.price)], ["notional", "Traded", (row) => money(row.notional)], ["fee", "Fee", (row) => (row.fee === null ? "unknown" : money(row.fee))], ["position_after", "Position after", (row) => number(row.position_after, 6)], ["realized_pnl", "Realized", (row) => money(row.realized_pnl, { sign: true })]], key: "fill_id" },
    orders: { columns: [["submitted_at", "Submitted", (row) => app.time(row.submitted_at, "full")], ["symbol", "Symbol"], ["side", "Side"], ["status", "Status"], ["submitted_quantity", "Ordered", (row) => number(row.submitted_quantity, 6)], ["filled_quantity", "Filled", (row) => number(row.filled_quantity, 6)], ["decision_mid", "Mid decided", (row) => money(row.decision_mid)], ["arrival_mid", "Mid submitted", (row) => money(row.arrival_mid)], ["average_fill_price", "Price", (row) => money(row.average_fill_price)], ["actual_adapter", "Adapter"]], key: "order_id" },
    equity: { columns: [["at", "Snapshot", (row) => app.time(row.at, "full")], ["account", "Account"], ["equity", "Equity", (row) => money(row.equity)], ["cash", "Cash", (row) => money(row.cash)]], key: "at" },
  };
  const text = new Set(["executed_at", "submitted_at", "at", "symbol", "side", "status", "account", "actual_adapter"]);
  let board = null;
  let pages = [];
  let next = null;

  more.addEventListener("click", async () => {
    more.disabled = true;
    try {
      const found = await request(PATHS.explain, { metric: name(), ...query(store.state.window), as_of: store.state.as_of, limit: 50, after: next });
      pages.push(...(found.executions || found.orders || found.equity || []));
      next = found.next;
    } catch (error) {
      app.tell("explain", "error", error.message, error.remedy);
    }
    more.disabled = false;
    rows();
  });

  function rows() {
    board?.update(pages);
    more.hidden = !next;
    made.note.textContent = pages.length ? `${pages.length}${next ? "+" : ""} in the window, the newest first` : "";
  }
  function drawMade() {
    const found = explained.value;
    if (!found) {
      made.body.replaceChildren(explained.error ? empty(explained.error.message, explained.error.remedy, "✕") : empty("Loading …", "", "…"));
      return;
    }
    const kind = ["executions", "orders", "equity"].find((one) => found[one] !== null);
    pages = [...(found[kind] || [])];
    next = found.next;
    if (!kind) made.body.replaceChildren(empty("This metric is explained by its details alone", "They stand beside its value."));
    else if (!pages.length) made.body.replaceChildren(empty(`No ${kind === "equity" ? "snapshots" : kind} in the window`, app.why(found.metric)));
    else {
      board = table({ caption: "What the value is made of", key: (row) => String(row[tables[kind].key]), columns: tables[kind].columns.map(([key, title, cell]) => ({ key, title, class: text.has(key) ? "text" : undefined, sort: (row) => row[key], cell: cell || ((row) => String(row[key] ?? "–")) })) });
      made.body.replaceChildren(board.element, more);
      rows();
    }
    now.body.replaceChildren(...nowOf(found.metric));
  }
  function nowOf(found) {
    const details = Object.entries(found.meta).filter(([, value]) => value !== "" && value !== null && !(Array.isArray(value) && !value.length));
    const { state, text: why } = stateOf(found, null, Infinity);
    return [
      h("div.tile-value", {}, found.status === "ok" ? format(found.value) : "no value"), h("p.state", { "data-state": state }, h("i", { "aria-hidden": "true" }, mark(state)), why || word(state)),
      h("dl.kv", {}, ...[["Window", `${app.time(found.window_start, "minute")} to ${app.time(found.window_end, "full")}`], ["Samples", number(found.sample_count, 0)], ["Last event", app.time(found.last_event_at, "full")], ["Complete to", app.time(found.watermark, "full")], ["Formula version", found.formula_version],
        ...details.map(([key, value]) => [key.replaceAll("_", " "), typeof value === "object" ? JSON.stringify(value) : typeof value === "number" ? number(value, 6) : String(value)])].flatMap(([key, value]) => [h("dt", {}, key), h("dd", {}, value)])),
    ];
  }
  function drawAbout() {
    const all = app.data.metrics.value?.metrics || [];
    if (choice.options.length !== all.length) {
      const groups = [...new Set(all.map(({ metric_group }) => metric_group))];
      choice.replaceChildren(...groups.map((group) => h("optgroup", { label: label(group) }, ...all.filter((one) => one.metric_group === group).map((one) => h("option", { value: one.metric_name }, label(one.metric_name))))));
    }
    choice.value = name();
    title.textContent = label(name());
    const found = definition();
    about.body.replaceChildren(found
      ? h("div.sheet", {}, h("p.formula", {}, found.formula), h("dl.kv", {}, ...[["Name", h("code", {}, found.metric_name)], ["Group", label(found.metric_group)], ["Computed", `by the ${found.tier} tier from ${found.source}`], ["Unit", `${found.unit}, ${found.precision} decimals`], ["Better", found.direction], ["Samples needed", String(found.min_samples)], ["Version", found.formula_version]].flatMap(([key, value]) => [h("dt", {}, key), h("dd", {}, value)])), h("div.actions", {}, exports))
      : empty(app.data.metrics.value ? `There is no metric ${name()}` : "Loading …"));
    const alerts = app.alerts().filter((alert) => alert.metric_name === name()).slice(0, 8);
    const policies = (app.data.policies.value?.policies || []).filter((policy) => policy.signal === name());
    related.body.replaceChildren(h("div.sheet", {}, ...policies.map((policy) => h("p.muted", {}, `${policy.policy_id}: ${policy.description} Threshold ${metricValue(name(), definition()?.unit || "", policy.threshold, { sign: false })} over ${policy.window}.`)), ...(alerts.length ? alerts.map((alert) => alertCard(app, alert)) : [h("p", {}, policies.length ? "No episode in seven days." : "No policy watches this metric.")])));
  }
  function drawWindow(one) {
    const found = one.series.value?.series;
    const values = found?.metrics[name()]?.values || [];
    if (!found || !values.some((value) => value !== null)) {
      one.chart.say(found ? "Nothing in this time: the series begins with the first frame." : app.waiting(one.series));
      return;
    }
    const policy = app.policy(name(), one.window);
    const isNegative = policy?.comparison === "abs_above" && values.some((value) => value < 0);
    one.chart.set(found.times.map(Date.parse), { value: values }, { trim: true, annotations: app.episodes((alert) => alert.metric_name === name() && alert.window === one.window), thresholds: policy ? [{ value: isNegative ? -policy.threshold : policy.threshold, label: "policy", severity: policy.severity, isShown: false }] : [] });
  }
  function drawValues() {
    for (const one of windows) {
      const found = app.isPast && one.window !== store.state.window ? null : live.frames.get(`${store.state.strategy}|${store.state.account}|${one.window}`)?.metrics.get(name());
      const { state, text: why } = stateOf(found, app.isPast ? null : ageOf(found, live.now()), Infinity);
      if (!found && !app.isPast) {
        one.value.textContent = "…";
        one.state.textContent = "";
        continue;
      }
      one.value.textContent = found?.status === "ok" ? format(found.value) : "no value";
      one.state.dataset.state = state;
      one.state.replaceChildren(h("i", { "aria-hidden": "true" }, mark(state)), why || word(state));
      one.button.setAttribute("aria-pressed", String(one.window === store.state.window));
      one.button.classList.toggle("primary", one.window === store.state.window);
    }
  }
  const ends = [explained.use(drawMade), ...windows.map((one) => one.series.use(() => drawWindow(one)))];
  drawAbout();
  return {
    title: "Metric",
    element: h("div.grid", {}, about.element, now.element, ...windows.map(({ part }) => part), related.element, made.element),
    scopes: () => WINDOWS.map((window) => `${store.state.strategy}|${store.state.account}|${window}`),
    update(changed) {
      if (["scope", "metric", "snapshot"].some((key) => changed.has(key))) {
        explained.refresh();
        for (const { series } of windows) series.refresh();
      }
      if (["metric", "metrics", "alerts", "policies", "tz"].some((key) => changed.has(key))) {
        drawAbout();
        drawMade();
        for (const one of windows) drawWindow(one);
      }
      drawValues();
    },
    back() {
      for (const { series } of windows) series.refresh(true);
    },
    destroy() {
      for (const end of ends) end();
      for (const { chart } of windows) chart.destroy();
    },
  };
}
