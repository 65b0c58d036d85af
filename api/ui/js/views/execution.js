// What execution costs, where, and why orders do not fill.

import { PATHS } from "../api.js";
import { Chart, legend } from "../charts/chart.js";
import { Resource } from "../data.js";
import { empty, h, panel } from "../dom.js";
import { duration, money, number, percent } from "../format.js";
import { table } from "../parts/table.js";
import { tiles } from "../parts/tiles.js";

const TOTALS = ["slippage_bps_vs_mid", "implementation_shortfall_bps", "cost_bps", "fill_ratio", "reject_rate", "cancel_rate", "decision_to_submit_latency_ms_p95", "submit_to_fill_latency_ms_p95"];
const PARTS = [["delay_cost", "Delay", "s4"], ["trading_cost", "Trading", "s1"], ["opportunity_cost", "Opportunity", "s3"], ["fees", "Fees", "s2"]];
const bps = (value) => (value === null || value === undefined ? "–" : `${number(value, 2)} bps`);
const ms = (value) => (value === null || value === undefined ? "–" : duration(value / 1000));

/** @param {import("../main.js").App} app */
export function execution(app) {
  const { store } = app;
  const strip = tiles(app, TOTALS);
  const costs = new Resource(() => {
    const range = app.range();
    return range && { path: PATHS.costs, query: { strategy_id: store.state.strategy, account: store.state.account, ...range, max_points: 96 } };
  }, 30);
  const zone = () => store.state.tz;
  const histogram = (name, colour) => new Chart({ name, height: 170, x: "number", zero: true, format: (value) => `${number(value, 0)} orders`, axis: (value) => number(value, 0), formatX: (value) => `${number(value, 1)} bps`, series: [{ key: "orders", label: "Orders", kind: "bars", colour }] });
  const slippage = histogram("Slippage of orders", "s1");
  const shortfall = histogram("Shortfall of decisions", "s4");
  const rates = new Chart({
    name: "Fill, reject and cancel rates", height: 190, zone, link: "execution", zero: true, most: 1, format: (value) => percent(value), series: [
      { key: "fill_ratio", label: "Filled", colour: "s1" }, { key: "cancel_rate", label: "Canceled", colour: "s2", dashed: true }, { key: "reject_rate", label: "Rejected", colour: "neg" },
    ],
  });
  const latencies = (name, prefix) => new Chart({
    name, height: 190, zone, link: "execution", zero: true, format: ms, axis: ms, series: [
      { key: "band", label: "p50 to p95", kind: "band", low: `${prefix}_p50`, high: `${prefix}_p95`, colour: "s4" },
      { key: `${prefix}_p95`, label: "p95", colour: "s4", dashed: true, thin: true }, { key: `${prefix}_p50`, label: "p50", colour: "s4" },
    ],
  });
  const submit = latencies("Decision to submission", "submit_ms");
  const fills = latencies("Submission to first fill", "fill_ms");
  const charts = [slippage, shortfall, rates, submit, fills];

  const slippagePart = panel("Slippage against the mid", { span: "span-4" }, slippage.element);
  const shortfallPart = panel("Implementation shortfall", { span: "span-4" }, shortfall.element);
  const split = panel("Shortfall, where it arises", { span: "span-4" });
  const ratePart = panel("How orders end", { span: "span-4", end: [legend(rates.options.series)] }, rates.element);
  const submitPart = panel("Decision to submission", { span: "span-4", note: "p50 to p95" }, submit.element);
  const fillPart = panel("Submission to first fill", { span: "span-4", note: "p50 to p95" }, fills.element);
  const rejects = panel("Why orders are rejected", { span: "span-5 wide" });
  const routes = panel("Adapters, expected and taken", { span: "span-7 wide" });
  const breakdown = panel("Costs by part", { span: "span-12", note: "an order counts once, by the last thing that happened to it" });

  const columns = (title) => [
    { key: "name", title, class: "text pin", sort: (row) => row.name, cell: (row) => row.name || "not named" },
    { key: "orders", title: "Orders", sort: (row) => row.orders, cell: (row) => number(row.orders, 0) },
    { key: "fills", title: "Fills", sort: (row) => row.fills, cell: (row) => number(row.fills, 0) },
    { key: "notional", title: "Traded", sort: (row) => row.notional, cell: (row) => money(row.notional, { short: true }) },
    { key: "slippage", title: "Slippage", sort: (row) => row.slippage_bps, cell: (row) => bps(row.slippage_bps) },
    { key: "slippage_cost", title: "Slippage cost", sort: (row) => row.slippage_cost, cell: (row) => (row.slippage_bps === null ? "–" : money(row.slippage_cost)) },
    { key: "shortfall", title: "Shortfall", sort: (row) => row.shortfall_bps, cell: (row) => bps(row.shortfall_bps) },
    { key: "fill", title: "Filled", sort: (row) => row.fill_ratio, cell: (row) => percent(row.fill_ratio) },
    { key: "reject", title: "Rejected", sort: (row) => row.reject_rate, cell: (row) => percent(row.reject_rate) },
    { key: "cancel", title: "Canceled", sort: (row) => row.cancel_rate, cell: (row) => percent(row.cancel_rate) },
    { key: "latency", title: "Fill p50 / p95", sort: (row) => row.fill_ms_p50, cell: (row) => `${ms(row.fill_ms_p50)} / ${ms(row.fill_ms_p95)}` },
  ];
  const dimensions = { symbol: "Symbol", side: "Side", hour: "Hour (UTC)" };
  const boards = Object.fromEntries(Object.entries(dimensions).map(([name, title]) => [name, table({ caption: `Costs by ${title}`, columns: columns(title), sort: name === "hour" ? "name" : "notional", descending: name !== "hour", key: (row) => row.name })]));
  const routeBoard = table({ caption: "Costs by adapter", columns: columns("Expected › taken").filter(({ key }) => !["slippage_cost", "cancel"].includes(key)), sort: "orders", key: (row) => row.name });
  const rejectBoard = table({
    caption: "Reasons of rejects", sort: "count", key: (row) => `${row.kind}|${row.reject_class}|${row.reason}`, columns: [
      { key: "reason", title: "Reason", class: "text", sort: (row) => row.reason, cell: (row, td) => {
        td.className = "text";
        td.style.cssText = "white-space: normal; max-width: 320px; overflow-wrap: anywhere";
        return row.reason || row.reject_class || "no reason was given";
      } },
      { key: "kind", title: "Stage", class: "text", sort: (row) => row.kind, cell: (row) => ({ decision: "before submission", submit: "at submission", order: "by the broker" })[row.kind] },
      { key: "count", title: "Count", sort: (row) => row.rejects, cell: (row) => number(row.rejects, 0) },
      { key: "last", title: "Last", sort: (row) => row.last_at, cell: (row) => app.time(row.last_at, "minute") },
    ],
  });
  let dimension = "symbol";
  const choices = h("div.segments.few", { role: "group", "aria-label": "Costs by" }, ...Object.entries(dimensions).map(([name, title]) => h("button", { type: "button", "data-name": name, "aria-pressed": String(name === dimension), onclick: () => {
    dimension = name;
    for (const button of choices.children) button.setAttribute("aria-pressed", String(button.dataset.name === dimension));
    draw();
  } }, title)));
  breakdown.element.querySelector(".end").appendChild(choices);
  rejects.element.classList.add("scrolls");
  routes.element.classList.add("scrolls");
  breakdown.body.style.padding = routes.body.style.padding = rejects.body.style.padding = "0 0 4px";

  function splitOf(total) {
    const size = PARTS.reduce((sum, [key]) => sum + Math.abs(total[key]), 0);
    const bar = h("div.stack-bar", { "aria-hidden": "true" }, ...PARTS.map(([key, , colour]) => {
      const piece = h("span");
      piece.style.cssText = `flex: ${Math.abs(total[key])} 0 0; background: var(--${colour}); opacity: ${total[key] < 0 ? 0.45 : 1}`;
      return piece;
    }));
    return h("div.sheet", {}, h("div", {}, h("span.tile-value", {}, bps(total.shortfall_bps)), h("span.muted", {}, ` = ${money(total.shortfall_cost)}`)), size > 0 && bar,
      h("table", {}, h("caption.hidden", {}, "Shortfall by its parts"), h("tbody", {}, ...PARTS.map(([key, name, colour]) => {
        const dot = h("i");
        dot.style.cssText = `display: inline-block; width: 9px; height: 9px; border-radius: 2px; margin-right: 7px; background: var(--${colour})`;
        return h("tr", {}, h("th.text", { scope: "row" }, dot, name), h("td", {}, money(total[key])), h("td", {}, total[key] < 0 ? "saved" : "paid"));
      }))));
  }

  function draw() {
    const found = costs.value;
    if (!found) {
      for (const chart of charts) chart.say(app.waiting(costs));
      for (const part of [split, breakdown, routes, rejects]) part.body.replaceChildren(empty(app.waiting(costs)));
      return;
    }
    for (const [kind, chart, part] of [["slippage", slippage, slippagePart], ["shortfall", shortfall, shortfallPart]]) {
      const one = found.distributions.find((distribution) => distribution.kind === kind);
      part.note.textContent = one ? `${number(one.orders, 0)} ${kind === "slippage" ? "orders" : "decisions"}, median ${number(one.p50, 1)}, 5 % to 95 %: ${number(one.p5, 1)} to ${number(one.p95, 1)} bps` : "";
      if (one) chart.set(one.counts.map((_, place) => one.low + (place + 0.5) * one.bin_width), { orders: one.counts });
      else chart.say(kind === "slippage" ? "No fill with a mid in this window." : "No decision that can be measured in this window.");
    }
    const over = found.by.time.map((row) => ({ ...row, at: Number(row.name) * 1000 })).sort((a, b) => a.at - b.at);
    const column = (key) => over.map((row) => row[key]);
    for (const chart of [rates, submit, fills]) {
      if (!over.length) chart.say("No order in this window.");
      else chart.set(column("at"), Object.fromEntries(["fill_ratio", "reject_rate", "cancel_rate", "submit_ms_p50", "submit_ms_p95", "fill_ms_p50", "fill_ms_p95"].map((key) => [key, column(key)])), { annotations: app.episodes((alert) => ["slippage_bps_vs_mid", "reject_rate"].includes(alert.metric_name)) });
    }
    ratePart.note.textContent = over.length ? `every ${duration(found.bucket_seconds)}` : "";
    split.body.replaceChildren(found.total && found.total.shortfall_bps !== null ? splitOf(found.total) : empty("No shortfall to measure", "It needs a mid at the decision and the end of the last order."));
    rejects.body.replaceChildren(found.rejects.length ? rejectBoard.element : empty("No rejects in this window", "", "✓"));
    if (found.rejects.length) rejectBoard.update(found.rejects);
    const named = found.by.route.filter((row) => row.name);
    routes.body.replaceChildren(named.length ? routeBoard.element : empty("No order names an adapter in this window"));
    if (named.length) routeBoard.update(found.by.route.filter((row) => row.orders));
    routes.note.textContent = named.length > 1 ? `${named.length} routes` : named.length ? "one adapter only" : "";
    const rows = found.by[dimension];
    breakdown.body.replaceChildren(rows.length ? boards[dimension].element : empty("No order in this window"));
    if (rows.length) boards[dimension].update(rows);
  }
  const end = costs.use(draw);
  return {
    title: "Execution quality",
    element: h("div", {}, strip.element, h("div.grid", {}, slippagePart.element, shortfallPart.element, split.element, ratePart.element, submitPart.element, fillPart.element, breakdown.element, routes.element, rejects.element)),
    scopes: () => [],
    update(changed) {
      strip.update();
      if (changed.has("scope") || changed.has("snapshot")) costs.refresh();
      if (changed.has("tz") || changed.has("alerts")) draw();
    },
    back: () => costs.refresh(true),
    destroy() {
      end();
      for (const chart of charts) chart.destroy();
    },
  };
}
