// From values to pixels, and marks at numbers that people read easily.

/** Numbers between `low` and `high`, about `count`, at 1, 2, 2.5 or 5 times a power of ten. */
export function ticks(low, high, count) {
  const span = high - low;
  if (!(span > 0)) return [low];
  const rough = span / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9) * step; at <= high + step * 1e-9; at += step) found.push(Math.abs(at) < step * 1e-9 ? 0 : at);
  return found;
}

const MINUTE = 60_000;
const STEPS = [1000, 5000, 15_000, 30_000, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE,
  60 * MINUTE, 120 * MINUTE, 180 * MINUTE, 360 * MINUTE, 720 * MINUTE, 1440 * MINUTE, 2880 * MINUTE, 7200 * MINUTE, 10080 * MINUTE];

/** Full minutes, hours or days in a zone between two moments, and how to write them. */
export function timeTicks(low, high, count, zone) {
  const step = STEPS.find((size) => (high - low) / size <= count) || STEPS.at(-1);
  const shift = zone === "utc" ? 0 : new Date(high).getTimezoneOffset() * MINUTE;
  const found = [];
  for (let at = Math.ceil((low - shift) / step) * step + shift; at <= high; at += step) found.push(at);
  return { at: found, how: step < MINUTE ? "second" : step < 1440 * MINUTE ? "time" : "day" };
}

/** The least and the largest of columns that are numbers, with some room; `zero` is always among them when asked for. */
export function extent(columns, { zero = false, always = [], most } = {}) {
  let low = zero ? 0 : Infinity;
  let high = zero ? 0 : -Infinity;
  for (const column of columns) {
    for (const value of column) {
      if (value !== value || value === null) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  for (const value of always) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (low > high) return [0, 1];
  if (low === high) return [low - (Math.abs(low) * 0.1 || 1), high + (Math.abs(high) * 0.1 || 1)];
  const room = (high - low) * 0.06;
  return [low === 0 ? 0 : low - room, most !== undefined && high <= most ? Math.min(high + room, most) : high === 0 ? 0 : high + room];
}
