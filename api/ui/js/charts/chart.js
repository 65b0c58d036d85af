// Lines, areas, steps, bands and bars over time or numbers, on a canvas; one repaint per frame of the screen.

import { h } from "../dom.js";
import { moment, number } from "../format.js";
import { crosshair } from "./cross.js";
import { paintAxes, paintMarks, paintSeries } from "./paint.js";
import { extent, ticks, timeTicks } from "./scale.js";
import { themes } from "./theme.js";

const dirty = new Set();
let frame = 0;

function soon(chart) {
  dirty.add(chart);
  frame ||= requestAnimationFrame(() => {
    frame = 0;
    const charts = [...dirty];
    dirty.clear();
    for (const one of charts) one.paint();
  });
}

const sizes = new ResizeObserver((entries) => {
  for (const entry of entries) entry.target.chart?.resize(entry.contentRect.width, entry.contentRect.height);
});

/**
 * @typedef {object} Series
 * @property {string} key
 * @property {string} label
 * @property {"line" | "area" | "step" | "band" | "bars"} [kind]  a band takes `low` and `high`, keys of columns
 * @property {string} colour  token of the style sheet
 * @property {string} [fill]
 * @property {boolean} [dashed]
 * @property {string} [low]
 * @property {string} [high]
 */

export class Chart {
  /**
   * @param {{name: string, height: number, series: Series[], x?: "time" | "number", zero?: boolean, most?: number,
   *   format: (value: number) => string, axis?: (value: number) => string, formatX?: (value: number) => string,
   *   link?: string, zone?: () => "utc" | "local"}} options
   */
  constructor(options) {
    this.options = { x: "time", zero: false, zone: () => "utc", ...options };
    this.canvas = h("canvas", { role: "img", "aria-label": options.name });
    this.tip = h("div.tip", { "aria-hidden": "true" });
    this.message = h("div.message", { hidden: true });
    this.element = h("div.chart", { tabindex: 0, role: "group", "aria-label": `${options.name}: arrow keys move the cross-hair` }, this.canvas, this.message, this.tip);
    this.element.style.height = `${options.height}px`;
    this.element.chart = this;
    /** Columns of the same length. */
    this.x = new Float64Array(0);
    this.columns = {};
    this.thresholds = [];
    this.annotations = [];
    this.cross = null;
    this.width = 0;
    this.height = options.height;
    sizes.observe(this.element);
    this.#repaint = () => soon(this);
    themes.addEventListener("change", this.#repaint);
    crosshair(this);
  }

  #repaint;

  destroy() {
    sizes.unobserve(this.element);
    themes.removeEventListener("change", this.#repaint);
    crosshair(this, true);
    dirty.delete(this);
  }

  /**
   * @param {ArrayLike<number>} x @param {Record<string, ArrayLike<number | null>>} columns
   * @param {{thresholds?: {value: number, label: string, severity: string}[], range?: [number, number],
   *   annotations?: {from: number, to: number, label: string, severity: string}[], trim?: boolean}} [marks]  `trim`: begin
   *   where anything is known
   */
  set(x, columns, { thresholds = [], annotations = [], range, trim = false } = {}) {
    if (trim) [x, columns] = known(x, columns);
    this.x = Float64Array.from(x);
    this.columns = Object.fromEntries(Object.entries(columns).map(([key, values]) => [key, Float64Array.from(values, (value) => (value === null || value === undefined ? NaN : value))]));
    this.thresholds = thresholds;
    this.annotations = annotations;
    this.range = range;
    this.say("");
    this.#describe();
    soon(this);
  }

  /** A message in place of the curves. @param {string} text */
  say(text) {
    this.message.hidden = !text;
    this.message.textContent = text;
    this.canvas.style.visibility = text ? "hidden" : "";
  }

  resize(width, height) {
    this.width = Math.round(width);
    this.height = Math.round(height);
    soon(this);
  }

  redraw() {
    soon(this);
  }

  #describe() {
    const { series, format, name } = this.options;
    const parts = series.map(({ key, low, high, label }) => {
      const values = (this.columns[key] || this.columns[high || low] || []).filter((value) => value === value);
      if (!values.length) return `${label}: no values`;
      let least = Infinity;
      let most = -Infinity;
      for (const value of values) {
        if (value < least) least = value;
        if (value > most) most = value;
      }
      return `${label}: last ${format(values.at(-1))}, from ${format(least)} to ${format(most)}`;
    });
    this.canvas.setAttribute("aria-label", `${name}. ${parts.join(". ")}`);
  }

  /** The scales for the present size. */
  layout(context) {
    const { options, x } = this;
    const columns = options.series.flatMap(({ key, low, high }) => [key, low, high]).map((key) => this.columns[key]).filter(Boolean);
    const [low, high] = extent(columns, { zero: options.zero, most: options.most, always: this.thresholds.filter((one) => one.isShown !== false).map((one) => one.value) });
    const [first, last] = this.range || [x[0], x.at(-1)];
    const half = options.series.some(({ kind }) => kind === "bars") && x.length > 1 ? (x[1] - x[0]) / 2 : 0;
    const bottom = this.height - 20;
    const marks = ticks(low, high, Math.max(2, Math.floor(bottom / 34)));
    const write = options.axis || options.format;
    const texts = marks.map(write);
    // The same for charts that are linked: their moments stand one above the other.
    const left = Math.max(this.width < 420 ? 52 : 62, 10 + Math.max(...texts.map((text) => context.measureText(text).width)));
    const area = { left, right: this.width - 8, top: 8, bottom };
    const span = last + half - (first - half) || 1;
    const box = {
      area, marks, texts, low, high, first: first - half, last: last + half,
      toX: (value) => area.left + ((value - (first - half)) / span) * (area.right - area.left),
      toY: (value) => area.bottom - ((value - low) / (high - low)) * (area.bottom - area.top),
      fromX: (pixel) => first - half + ((pixel - area.left) / (area.right - area.left)) * span,
    };
    const room = Math.max(2, Math.floor((area.right - area.left) / 84));
    if (options.x === "time") {
      const zone = options.zone();
      const found = timeTicks(box.first, box.last, room, zone);
      box.xMarks = found.at.map((at) => ({ at, text: moment(at, zone, found.how) }));
    } else {
      const write = options.formatX || number;
      box.xMarks = ticks(box.first, box.last, room).map((at) => ({ at, text: write(at) }));
    }
    return box;
  }

  paint() {
    if (!this.width || !this.x.length || !this.element.isConnected) return;
    const scale = devicePixelRatio || 1;
    const [width, height] = [Math.round(this.width * scale), Math.round(this.height * scale)];
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    const context = this.canvas.getContext("2d");
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    context.font = `11px ${getComputedStyle(document.body).fontFamily}`;
    this.box = this.layout(context);
    paintAxes(context, this.box);
    paintMarks(context, this);
    for (const series of this.options.series) paintSeries(context, this, series);
    this.showCross?.(context);
  }
}

/** Columns from their first value on. */
function known(x, columns) {
  const all = Object.values(columns);
  const first = Math.max(0, Array.from(x).findIndex((_, place) => all.some((values) => values[place] !== null && values[place] !== undefined)) - 1);
  return [x.slice(first), Object.fromEntries(Object.entries(columns).map(([key, values]) => [key, values.slice(first)]))];
}

/** What the lines are, in words beside their strokes. @param {Series[]} series */
export function legend(series) {
  return h("div.legend", {}, ...series.map(({ label, colour, dashed }) => {
    const mark = h(dashed ? "i.dash" : "i");
    mark.style.color = `var(--${colour})`;
    return h("span", {}, mark, label);
  }));
}
