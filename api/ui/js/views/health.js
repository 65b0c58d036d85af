// Whether the numbers can be trusted: stage by stage, feed by feed.

import { PATHS } from "../api.js";
import { Chart, legend } from "../charts/chart.js";
import { Resource } from "../data.js";
import { empty, h, panel } from "../dom.js";
import { duration, money, number } from "../format.js";
import { mark, word } from "../quality.js";
import { table } from "../parts/table.js";
import { tiles } from "../parts/tiles.js";

const TOTALS = ["metrics_pipeline_lag_seconds", "ta_freshness_seconds", "context_freshness_seconds", "missing_price_rate", "missing_signal_rate", "route_provenance_coverage_ratio"];
const NAMES = { source: "Source", mirror: "Mirror", facts: "Facts", ledger: "Ledger", light_tier: "Light metrics", medium_tier: "Medium metrics", heavy_tier: "Heavy metrics", series: "Series", serving: "API" };
// What a word does not say by itself.
const REASONS = { idle: "nothing written for a minute", unknown: "the mirror does not report", stale: "stands still itself", upstream_late: "waits for what comes before it", silent: "does not report", never_ran: "never ran" };
const sizeOf = (value) => (value === null ? null : Math.abs(value));
const bytes = (value) => (value < 1024 ? `${value} B` : value < 1048576 ? `${number(value / 1024, 0)} KiB` : `${number(value / 1048576, 1)} MiB`);

/** @param {import("../main.js").App} app */
export function health(app) {
  const { store } = app;
  const strip = tiles(app, TOTALS);
  const pipeline = new Resource(() => (app.isPast ? null : { path: PATHS.pipeline }), 15);
  const days = new Resource(() => ({ path: PATHS.reconciliation, query: { account: store.state.account, to: store.state.as_of } }), 120);
  const series = new Resource(() => {
    const range = app.range(21_600_000);
    return range && { path: PATHS.series, query: { strategy_id: store.state.strategy, account: store.state.account, window: store.state.window, metrics: "metrics_pipeline_lag_seconds,ta_freshness_seconds,context_freshness_seconds", ...range, max_points: 360 } };
  }, 30);
  const flow = h("div.flow", {}, ...Object.keys(NAMES).map(() => {
    const one = h("div.stage.skeleton");
    one.style.height = "104px";
    return one;
  }));
  const dagster = h("div.actions");
  const flowPart = panel("From the source to the screen", { end: [dagster] }, flow);
  const feeds = h("div.feeds");
  const feedPart = panel("Technical-analysis feed by instrument", { span: "span-8 wide" }, feeds);
  const mirrorPart = panel("Mirror", { span: "span-4" });
  const ticks = new Chart({ name: "Ticks per minute", height: 150, zone: () => store.state.tz, link: "health", zero: true, format: (value) => number(value, 0), series: [{ key: "ticks", label: "Ticks", kind: "bars", colour: "s1" }, { key: "due", label: "Due", colour: "s2", dashed: true }] });
  const tickPart = panel("Ticks of the light tier", { span: "span-6", end: [legend(ticks.options.series)] }, ticks.element);
  const ages = new Chart({ name: "Freshness of the feeds", height: 150, zone: () => store.state.tz, link: "health", zero: true, format: duration, axis: duration, series: [{ key: "metrics_pipeline_lag_seconds", label: "Pipeline lag", colour: "s1" }, { key: "ta_freshness_seconds", label: "TA", colour: "s3" }, { key: "context_freshness_seconds", label: "Context", colour: "s4", dashed: true }] });
  const agePart = panel("Freshness, the last hours", { span: "span-6", end: [legend(ages.options.series)] }, ages.element);
  const reconcilePart = panel("Reconciliation: equity against flows and strategies", { note: "per account and UTC day; the residual is what neither explains" });
  reconcilePart.body.style.padding = "0 0 4px";
  const board = table({
    caption: "Reconciliation", sort: "day", key: (row) => `${row.account}|${row.day}`, columns: [
      { key: "day", title: "Day", class: "text pin", sort: (row) => row.day, cell: (row) => row.day },
      { key: "account", title: "Account", class: "text", sort: (row) => row.account, cell: (row) => row.account },
      { key: "equity", title: "Equity at the end", sort: (row) => row.equity, cell: (row) => money(row.equity) },
      { key: "flow", title: "Flows", sort: (row) => row.flow, cell: (row) => money(row.flow, { sign: true }) },
      { key: "pnl", title: "Strategies", sort: (row) => row.strategies_pnl, cell: (row) => money(row.strategies_pnl, { sign: true }) },
      { key: "residual", title: "Residual", sort: (row) => sizeOf(row.residual), cell: (row) => money(row.residual !== null && sizeOf(row.residual) < 0.005 ? 0 : row.residual, { sign: true }) },
      { key: "bps", title: "of equity", sort: (row) => sizeOf(row.residual_bps), cell: (row) => (row.residual_bps === null ? "–" : `${number(row.residual_bps, 3)} bps`) },
      { key: "points", title: "Points", sort: (row) => row.points, cell: (row) => number(row.points, 0) },
      { key: "unknown", title: "not known", sort: (row) => row.unknown_points, cell: (row) => number(row.unknown_points, 0) },
    ],
  });

  function stages() {
    const found = app.data.health.value;
    if (!found) {
      if (app.data.health.error) flow.replaceChildren(empty(app.data.health.error.message, app.data.health.error.remedy, "✕"));
      return;
    }
    const text = { ok: "every stage is on time", degraded: "not every stage is on time", down: app.isPast ? "nothing was noted then" : "the warehouse does not answer", disabled: "switched off" }[found.status];
    flowPart.note.textContent = text;
    if (!found.stages.length) {
      flow.replaceChildren(app.isPast ? empty(text, "The state of stages is kept for 90 days, while the warehouse runs.") : empty(text, "See the log of the API.", "✕"));
      return;
    }
    flow.replaceChildren(...found.stages.map((stage) => h("div.stage", { "data-state": stage.status },
      h("h3", {}, NAMES[stage.stage] || stage.stage), h("span.state", { "data-state": stage.status }, h("i", { "aria-hidden": "true" }, mark(stage.status)), word(stage.status)), h("br"),
      h("span.lag", {}, duration(stage.lag_seconds)), h("span.muted", {}, ` of ${duration(stage.allowed_lag_seconds)}`),
      h("small", { title: "Processed: all that the source committed until then." }, `complete to ${app.time(stage.watermark, "second")}`),
      REASONS[stage.reason] && h("small", {}, REASONS[stage.reason]),
      stage.failing_seconds_1h + stage.late_seconds_1h > 0 && h("small", {}, `late or failing for ${duration(stage.failing_seconds_1h + stage.late_seconds_1h)} of the last hour`),
      h("small", {}, stage.error ? stage.error : `succeeded ${app.time(stage.last_success_at, "second")}`),
      stage.quarantined_rows > 0 && h("small", {}, `▲ ${number(stage.quarantined_rows, 0)} rows in quarantine`))),
    ...(app.isPast ? [] : [screenStage()]));
  }
  function screenStage() {
    const frame = app.frame();
    const age = frame?.as_of ? Math.max(0, (app.live.now() - Date.parse(frame.as_of)) / 1000) : null;
    const isLate = age !== null && age > (app.allowed("light") || 60);
    const state = app.live.state.state === "live" && !isLate ? "ok" : "late";
    return h("div.stage", { "data-state": state }, h("h3", {}, "This screen"), h("span.state", { "data-state": state }, h("i", { "aria-hidden": "true" }, mark(state)), app.live.state.state), h("br"),
      h("span.lag", {}, duration(age)), h("small", {}, `frame of ${app.time(frame?.as_of, "second")}`), h("small", {}, "from source to screen"));
  }
  function draw() {
    stages();
    const found = pipeline.value;
    if (app.isPast) {
      for (const part of [feedPart, mirrorPart]) part.body.replaceChildren(empty("Not kept for past moments"));
      ticks.say("Not kept for past moments.");
    } else if (found) {
      const open = app.frame()?.metrics.get("ta_freshness_seconds");
      const limit = app.data.policies.value?.policies.find(({ policy_id }) => policy_id === "ta_freshness")?.threshold ?? 120;
      if (feedPart.body.firstChild !== feeds) feedPart.body.replaceChildren(feeds);
      feeds.replaceChildren(...(found.feeds.length ? found.feeds.map((feed) => {
        // Hours without a row is a closed market, minutes without one is a feed that stopped.
        const state = feed.age_seconds <= limit ? "good" : feed.age_seconds > 3600 * 3 ? "closed" : "stale";
        return h("div.feed", { "data-state": state, title: app.time(feed.last_signal_at, "full") }, h("b", {}, feed.symbol), h("span.state", { "data-state": state }, h("i", { "aria-hidden": "true" }, mark(state)), duration(feed.age_seconds)));
      }) : [empty("No signal in seven days", "Does the technical-analysis pipeline write?")]));
      feedPart.note.textContent = open?.status === "ok" ? `oldest of the active ones ${duration(open.value)}` : "";
      mirrorPart.body.replaceChildren(...(found.mirrors.length ? found.mirrors.map((one) => h("dl.kv", {}, ...[["Slot", one.slot], ["State", one.state + (one.detail ? `: ${one.detail}` : "")], ["Behind the source", bytes(one.lag_bytes)], ["Complete to", app.time(one.watermark, "second")], ["Reported", app.time(one.reported_at, "second")], ["Lossy values", number(one.lossy_values, 0)]].flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]))) : [empty("No mirror reports")]),
        h("h3", {}, "Accounts"), h("dl.kv", {}, ...found.accounts.flatMap((one) => [h("dt", {}, one.account), h("dd", {}, `${one.calendar}, last event ${app.time(one.last_event_at, "minute")}`)])));
      const minutes = found.ticks;
      if (minutes.length > 1) {
        ticks.set(minutes.map(({ minute_at }) => Date.parse(minute_at)), { ticks: minutes.map((one) => one.ticks), due: minutes.map((one) => one.due_ticks) });
        const dropped = minutes.reduce((sum, one) => sum + one.dropped_ticks, 0);
        tickPart.note.textContent = `${number(dropped, 0)} dropped in ${minutes.length} min, longest pause ${duration(Math.max(...minutes.map((one) => one.longest_pause_seconds)))}`;
      } else ticks.say("No full minute yet.");
      const at = new URL(found.dagster_url);
      at.hostname = location.hostname;
      if (!dagster.children.length) dagster.append(...[["Dagster: assets", "/assets"], ["runs", "/runs"], ["automation", "/automation"]].map(([name, path]) => h("a.button.small", { href: new URL(path, at).href, target: "_blank", rel: "noopener" }, name)));
    } else if (pipeline.error) for (const part of [feedPart, mirrorPart]) part.body.replaceChildren(empty(pipeline.error.message, pipeline.error.remedy, "✕"));
    for (const link of dagster.children) link.style.cssText = "display: inline-flex; align-items: center; text-decoration: none";
    const told = series.value?.series;
    if (told && told.times.length > 1 && Object.values(told.metrics).some(({ values }) => values.some((value) => value !== null))) ages.set(told.times.map(Date.parse), Object.fromEntries(Object.entries(told.metrics).map(([name, { values }]) => [name, values])), { trim: true });
    else ages.say(told ? "The series has nothing of this time yet." : app.waiting(series));
    const rows = days.value?.days;
    reconcilePart.body.replaceChildren(rows?.length ? board.element : days.error ? empty(days.error.message, days.error.remedy, "✕") : empty(rows ? "No snapshot in these days" : "Loading …", "", rows ? "∅" : "…"));
    if (rows?.length) board.update(rows);
  }
  const ends = [pipeline.use(draw), days.use(draw), series.use(draw)];
  return {
    title: "Data and pipeline health",
    element: h("div", {}, strip.element, h("div.grid", {}, flowPart.element, feedPart.element, mirrorPart.element, tickPart.element, agePart.element, reconcilePart.element)),
    scopes: () => [],
    update(changed) {
      strip.update();
      if (changed.has("scope") || changed.has("snapshot")) {
        series.refresh();
        days.refresh();
        pipeline.refresh();
      }
      if (changed.has("health") || changed.has("second")) stages();
      if (changed.has("tz") || changed.has("policies")) draw();
    },
    back() {
      pipeline.refresh(true);
      series.refresh(true);
    },
    destroy() {
      for (const end of ends) end();
      for (const chart of [ticks, ages]) chart.destroy();
    },
  };
}
