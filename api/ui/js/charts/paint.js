// The strokes of a chart.

import { colour } from "./theme.js";

export function paintAxes(context, box) {
  const { area, marks, texts, toX, toY, xMarks } = box;
  context.lineWidth = 1;
  context.textBaseline = "middle";
  context.textAlign = "right";
  marks.forEach((mark, place) => {
    const y = Math.round(toY(mark)) + 0.5;
    context.strokeStyle = colour(mark === 0 ? "muted" : "grid");
    context.globalAlpha = mark === 0 ? 0.5 : 1;
    context.beginPath();
    context.moveTo(area.left, y);
    context.lineTo(area.right, y);
    context.stroke();
    context.globalAlpha = 1;
    context.fillStyle = colour("muted");
    context.fillText(texts[place], area.left - 6, y);
  });
  context.textBaseline = "alphabetic";
  context.textAlign = "center";
  for (const { at, text } of xMarks) {
    const x = toX(at);
    const half = context.measureText(text).width / 2;
    if (x - half < area.left - 4 || x + half > area.right + 8) continue;
    context.fillText(text, x, area.bottom + 15);
  }
}

const STROKES = { critical: "crit", warning: "warn", info: "accent" };

/** Thresholds as dashed lines with their names; episodes as bands with a mark at their begin. */
export function paintMarks(context, chart) {
  const { area, toX, toY } = chart.box;
  for (const { from, to, severity } of chart.annotations) {
    const [left, right] = [Math.max(toX(from), area.left), Math.min(toX(to), area.right)];
    if (right < area.left || left > area.right) continue;
    context.fillStyle = colour(STROKES[severity] || "accent");
    context.globalAlpha = 0.1;
    context.fillRect(left, area.top, Math.max(1.5, right - left), area.bottom - area.top);
    context.globalAlpha = 0.9;
    context.beginPath();
    context.moveTo(left - 4, area.top - 6);
    context.lineTo(left + 4, area.top - 6);
    context.lineTo(left, area.top + 1);
    context.fill();
    context.fillRect(left - 0.5, area.top, 1, area.bottom - area.top);
    context.globalAlpha = 1;
  }
  context.textAlign = "right";
  for (const { value, label, severity } of chart.thresholds) {
    const y = Math.round(toY(value)) + 0.5;
    if (y < area.top || y > area.bottom) continue;
    context.strokeStyle = context.fillStyle = colour(STROKES[severity] || "warn");
    context.setLineDash([5, 4]);
    context.beginPath();
    context.moveTo(area.left, y);
    context.lineTo(area.right, y);
    context.stroke();
    context.setLineDash([]);
    context.fillText(label, area.right - 2, y > area.top + 14 ? y - 4 : y + 12);
  }
}

/** Pairs of pixels of the stretches without a gap. */
function* stretches(chart, values) {
  const { toX, toY } = chart.box;
  let stretch = [];
  for (let place = 0; place < values.length; place += 1) {
    const value = values[place];
    if (value !== value) {
      if (stretch.length) yield stretch;
      stretch = [];
    } else stretch.push([toX(chart.x[place]), toY(value)]);
  }
  if (stretch.length) yield stretch;
}

function trace(context, stretch, isStep) {
  stretch.forEach(([x, y], place) => {
    if (place === 0) context.moveTo(x, y);
    else {
      if (isStep) context.lineTo(x, stretch[place - 1][1]);
      context.lineTo(x, y);
    }
  });
}

export function paintSeries(context, chart, series) {
  const { area, toX, toY, low, high } = chart.box;
  const base = toY(Math.min(Math.max(0, low), high));
  const ink = colour(series.colour);
  context.save();
  context.beginPath();
  context.rect(area.left, area.top - 2, area.right - area.left + 1, area.bottom - area.top + 4);
  context.clip();
  if (series.kind === "band") {
    const lower = [...stretches(chart, chart.columns[series.low])];
    const upper = [...stretches(chart, chart.columns[series.high])];
    context.fillStyle = colour(series.fill || "band");
    upper.forEach((stretch, place) => {
      context.beginPath();
      trace(context, stretch, false);
      for (const [x, y] of [...(lower[place] || [])].reverse()) context.lineTo(x, y);
      context.fill();
    });
    context.restore();
    return;
  }
  const values = chart.columns[series.key];
  if (!values) {
    context.restore();
    return;
  }
  if (series.kind === "bars") {
    const step = chart.x.length > 1 ? toX(chart.x[1]) - toX(chart.x[0]) : 24;
    const width = Math.max(1, step * 0.82);
    context.fillStyle = ink;
    values.forEach((value, place) => {
      if (value !== value || value === 0) return;
      const y = toY(value);
      context.fillRect(toX(chart.x[place]) - width / 2, Math.min(y, base), width, Math.max(1, Math.abs(base - y)));
    });
    context.restore();
    return;
  }
  context.lineWidth = series.thin ? 1.1 : 1.6;
  context.lineJoin = "round";
  if (series.dashed) context.setLineDash([5, 4]);
  for (const stretch of stretches(chart, values)) {
    if (series.kind === "area") {
      context.fillStyle = colour(series.fill || "area");
      context.beginPath();
      trace(context, stretch, false);
      context.lineTo(stretch.at(-1)[0], base);
      context.lineTo(stretch[0][0], base);
      context.fill();
    }
    context.strokeStyle = ink;
    context.beginPath();
    trace(context, stretch, series.kind === "step");
    context.stroke();
    if (stretch.length === 1) {
      context.fillStyle = ink;
      context.fillRect(stretch[0][0] - 1.5, stretch[0][1] - 1.5, 3, 3);
    }
  }
  context.restore();
}
