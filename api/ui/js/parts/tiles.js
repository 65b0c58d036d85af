// A strip of metrics: each a link to its page, with its state in words.

import { h, setAttribute, setText } from "../dom.js";
import { label, metricValue, reasonText, tone } from "../format.js";
import { ageOf, mark, stateOf } from "../quality.js";

/** @param {import("../main.js").App} app @param {string[]} names of metrics */
export function tiles(app, names, titles = {}) {
  const parts = names.map((name) => {
    const value = h("span.tile-value", {}, " ");
    const sub = h("span.tile-sub", {}, " ");
    const tile = h("a.tile", { href: "?", "data-metric": name }, h("span.tile-label", {}, titles[name] || label(name)), value, sub);
    for (const part of tile.children) part.style.display = "block";
    tile.addEventListener("click", (event) => app.follow(event, { view: "metric", metric: name }));
    return { name, tile, value, sub };
  });
  const element = h("div.strip", {}, ...parts.map(({ tile }) => tile));
  const update = () => {
    const frame = app.frame();
    for (const { name, tile, value, sub } of parts) {
      const metric = frame?.metrics.get(name);
      const definition = app.definition(name);
      setAttribute(tile, "href", app.store.link({ view: "metric", metric: name }));
      setAttribute(tile, "title", definition ? `${definition.formula}` : null);
      if (!frame) continue;
      const { state, text } = stateOf(metric, app.isPast ? null : ageOf(app.newest(definition?.tier), app.live.now()), app.allowed(definition?.tier));
      const isKnown = metric?.status === "ok";
      setAttribute(tile, "data-quality", state);
      setText(value, isKnown ? metricValue(name, metric.unit, metric.value, { short: true }) : "no value");
      value.className = `tile-value ${isKnown ? tone(name, metric.value) : "none"}`;
      setText(sub, state === "good" ? (text ? `○ ${text}` : metric.sample_count ? `${metric.sample_count.toLocaleString("en-US")} ${samples(definition)}` : " ") : `${mark(state)} ${text || reasonText(state)}`);
    }
  };
  return { element, update };
}

const KINDS = { performance: "fills", trades: "trades", risk: "returns", exposure: "positions", execution: "samples", pipeline: "sources" };
function samples(definition) {
  return definition?.metric_name.endsWith("return") ? "returns" : KINDS[definition?.metric_group] || "samples";
}
