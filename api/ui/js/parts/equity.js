// Equity curve with the drawdown beneath it and the alerts of the scope, on one cross-hair.

import { PATHS } from "../api.js";
import { Chart, legend } from "../charts/chart.js";
import { Resource } from "../data.js";
import { h, panel, save } from "../dom.js";
import { money, percent } from "../format.js";
import { colour } from "../charts/theme.js";

/** @param {import("../main.js").App} app */
export function equityPanel(app, { span = "span-12", height = 220 } = {}) {
  const { store } = app;
  const curve = new Resource(() => {
    const range = app.range();
    return range && { path: PATHS.equity, query: { strategy_id: store.state.strategy, account: store.state.account, ...range, max_points: 1500 } };
  }, 60);
  const zone = () => store.state.tz;
  const top = new Chart({
    name: "Gain over the window", height, zone, link: "equity", format: (value) => percent(value, { sign: true, places: 3 }), axis: (value) => percent(value, { sign: true }),
    series: [
      { key: "cumulative_return", label: "Return", kind: "area", colour: "s1" },
      { key: "benchmark_return", label: "Benchmark", colour: "s2", dashed: true, thin: true },
    ],
  });
  const bottom = new Chart({
    name: "Drawdown", height: Math.round(height * 0.46), zone, link: "equity", zero: true, most: 0, format: (value) => percent(value, { places: 3 }), axis: (value) => percent(value),
    series: [{ key: "drawdown", label: "Drawdown", kind: "area", colour: "neg", fill: "loss-area" }],
  });
  const key = h("span");
  const png = h("button.button.small", { type: "button", onclick: () => exportPng(app, top, bottom) }, "PNG");
  const part = panel("Equity and drawdown", { span, end: [key, png] }, top.element, h("h3", {}, "Drawdown from the highest point of the window"), bottom.element);

  const update = () => {
    const found = curve.value;
    if (curve.error || !found) {
      top.say(app.waiting(curve));
      bottom.say(" ");
      return;
    }
    if (found.times.length < 2) {
      top.say("No equity is known in this window yet.");
      bottom.say(" ");
      part.note.textContent = "";
      return;
    }
    const times = found.times.map(Date.parse);
    const range = [times[0], times.at(-1)];
    const annotations = app.episodes((alert) => alert.category === "strategy");
    const hasBenchmark = found.benchmark && found.benchmark_return.some((value) => value !== null);
    top.options.series[1].label = found.benchmark || "Benchmark";
    top.set(times, { cumulative_return: found.cumulative_return, benchmark_return: hasBenchmark ? found.benchmark_return : [] }, { annotations, range });
    const policy = app.policy("max_drawdown", store.state.window);
    // A line that is far away would make the curve flat.
    const isNear = policy && Math.min(...found.drawdown) < -policy.threshold / 3;
    bottom.set(times, { drawdown: found.drawdown }, { annotations, range, thresholds: isNear ? [{ value: -policy.threshold, label: `policy ${percent(-policy.threshold)}`, severity: policy.severity }] : [] });
    key.replaceChildren(legend(top.options.series.filter((_, place) => place === 0 || hasBenchmark)));
    part.note.textContent = `Equity ${money(found.equity.at(-1))}, gain ${money(found.pnl.at(-1), { sign: true })}${policy && !isNear ? `; policy ${percent(-policy.threshold)}` : ""}`;
  };
  const ends = [curve.use(update)];
  return {
    element: part.element,
    update(changed) {
      if (changed.has("scope") || changed.has("snapshot")) curve.refresh();
      if (changed.has("alerts") || changed.has("tz")) update();
    },
    back: () => curve.refresh(true),
    destroy() {
      for (const end of ends) end();
      top.destroy();
      bottom.destroy();
    },
  };
}

function exportPng(app, ...charts) {
  const scale = devicePixelRatio || 1;
  const width = Math.max(...charts.map(({ canvas }) => canvas.width)) + 32 * scale;
  const height = charts.reduce((sum, { canvas }) => sum + canvas.height, 0) + 64 * scale;
  const sheet = document.createElement("canvas");
  [sheet.width, sheet.height] = [width, height];
  const context = sheet.getContext("2d");
  context.fillStyle = colour("panel");
  context.fillRect(0, 0, width, height);
  context.fillStyle = colour("text");
  context.font = `600 ${14 * scale}px ${getComputedStyle(document.body).fontFamily}`;
  context.fillText(`${app.scopeName()} · ${app.store.state.window} · ${new Date(app.live.now()).toISOString().slice(0, 19)}Z`, 16 * scale, 26 * scale);
  let y = 44 * scale;
  for (const { canvas } of charts) {
    context.drawImage(canvas, 16 * scale, y);
    y += canvas.height;
  }
  sheet.toBlob((blob) => save(`equity-${app.store.state.account || "all"}-${app.store.state.window}.png`, blob));
}
