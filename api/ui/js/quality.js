// How good what is shown is, in shapes and words.

import { duration, reasonText } from "./format.js";

const MARKS = { good: "●", stale: "▲", closed: "◐", insufficient_data: "○", error: "✕", unknown: "○", ok: "●", late: "▲", failing: "✕" };
const WORDS = { good: "live", stale: "stale", closed: "idle", insufficient_data: "no data", error: "error", unknown: "unknown", ok: "on time", late: "late", failing: "failing" };

export const mark = (state) => MARKS[state] || "○";
export const word = (state) => WORDS[state] || state;

/** Age of what a metric rests on, in seconds by the server's clock. */
export function ageOf(metric, now) {
  return metric?.watermark ? Math.max(0, (now - Date.parse(metric.watermark)) / 1000) : null;
}

/**
 * The state of a metric at this moment: what the API said, and stale when it has grown older than its tier may be.
 * @param {any} metric @param {number} age  of its group @param {number} allowed  seconds
 */
export function stateOf(metric, age, allowed) {
  if (!metric) return { state: "insufficient_data", text: "no data" };
  if (metric.status === "error" || metric.quality === "error") return { state: "error", text: reasonText(metric.reason || "error") };
  if (metric.status !== "ok") return { state: "insufficient_data", text: reasonText(metric.reason || "no data") };
  if (metric.quality === "stale" || (age !== null && age > allowed)) return { state: "stale", text: age === null ? "stale" : `stale, ${duration(age)}` };
  if (metric.quality === "closed") return { state: "closed", text: "idle, session closed" };
  return { state: "good", text: metric.reason ? reasonText(metric.reason) : "" };
}

/** Groups of metrics of a frame: the age of the newest, how old they may be, and the worst state. */
export function groupsOf(frame, definitions, health, now, isPast) {
  const groups = new Map();
  for (const definition of definitions) {
    const metric = frame.metrics.get(definition.metric_name);
    if (!metric) continue;
    let group = groups.get(definition.metric_group);
    if (!group) groups.set(definition.metric_group, (group = { name: definition.metric_group, age: null, allowed: Infinity, state: "insufficient_data" }));
    const age = isPast ? metric.freshness_seconds : ageOf(metric, now);
    if (age !== null && (group.age === null || age < group.age)) group.age = age;
    const stage = health?.stages.find(({ stage }) => stage === `${definition.tier}_tier`);
    // A group is as old as its slowest tier may be.
    const allowed = stage?.allowed_lag_seconds ?? 60;
    group.allowed = group.allowed === Infinity ? allowed : Math.max(group.allowed, allowed);
    if (metric.quality === "error") group.state = "error";
    else if (group.state !== "error" && metric.status === "ok" && metric.quality !== "insufficient_data") {
      const rank = { insufficient_data: 0, closed: 1, good: 2, stale: 3 };
      if (rank[metric.quality] > rank[group.state]) group.state = metric.quality;
    }
  }
  for (const group of groups.values()) if (!isPast && group.age !== null && group.age > group.allowed && group.state !== "error") group.state = "stale";
  return groups;
}
