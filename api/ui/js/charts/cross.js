// The cross-hair: one moment, in all charts that are linked.

import { fill, h } from "../dom.js";
import { moment } from "../format.js";
import { colour } from "./theme.js";

/** @type {Map<string, Set<any>>} */
const groups = new Map();

/** Give a chart its cross-hair, or take it away. */
export function crosshair(chart, isGone = false) {
  const group = chart.options.link || chart;
  if (isGone) {
    groups.get(group)?.delete(chart);
    return;
  }
  if (!groups.has(group)) groups.set(group, new Set());
  groups.get(group).add(chart);
  const point = (at) => {
    for (const one of groups.get(group)) {
      one.cross = at;
      one.redraw();
    }
  };
  chart.element.addEventListener("pointermove", (event) => {
    if (chart.box && chart.x.length) point(chart.box.fromX(event.offsetX));
  });
  chart.element.addEventListener("pointerleave", () => point(null));
  chart.element.addEventListener("blur", () => point(null));
  chart.element.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (!steps || !chart.x.length) return;
    event.preventDefault();
    event.stopPropagation();
    const now = chart.cross === null ? chart.x.length - 1 : nearest(chart.x, chart.cross);
    point(chart.x[Math.max(0, Math.min(chart.x.length - 1, now + steps))]);
  });
  chart.showCross = (context) => show(chart, context);
}

/** @param {Float64Array} x sorted @param {number} at */
function nearest(x, at) {
  let low = 0;
  let high = x.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (x[middle] < at) low = middle + 1;
    else high = middle;
  }
  return low > 0 && at - x[low - 1] < x[low] - at ? low - 1 : low;
}

function show(chart, context) {
  const { tip, box, cross, options } = chart;
  if (cross === null || !chart.x.length || cross < box.first || cross > box.last) {
    tip.style.display = "none";
    return;
  }
  const place = nearest(chart.x, cross);
  const x = Math.round(box.toX(chart.x[place])) + 0.5;
  context.strokeStyle = colour("muted");
  context.globalAlpha = 0.7;
  context.setLineDash([3, 3]);
  context.beginPath();
  context.moveTo(x, box.area.top);
  context.lineTo(x, box.area.bottom);
  context.stroke();
  context.setLineDash([]);
  context.globalAlpha = 1;
  const rows = options.series.map((series) => {
    const value = chart.columns[series.key]?.[place];
    if (series.kind === "band" || value === undefined) return null;
    if (value === value && series.kind !== "bars") {
      context.fillStyle = colour(series.colour);
      context.beginPath();
      context.arc(x, box.toY(value), 3, 0, 7);
      context.fill();
    }
    return h("div.row", {}, h("span", {}, series.label), h("span", {}, value === value ? options.format(value) : "–"));
  });
  const told = chart.annotations.filter(({ from, to }) => cross >= from && cross <= to).slice(0, 4);
  const at = options.x === "time" ? moment(chart.x[place], options.zone(), chart.x.length > 1 && chart.x[1] - chart.x[0] < 60_000 ? "full" : "minute") : (options.formatX || String)(chart.x[place]);
  fill(tip, h("time", {}, at), ...rows, ...told.map(({ label }) => h("div", {}, `▼ ${label}`)));
  tip.style.display = "block";
  const isRight = x > chart.width / 2;
  tip.style.left = isRight ? "" : `${x + 12}px`;
  tip.style.right = isRight ? `${chart.width - x + 12}px` : "";
}
