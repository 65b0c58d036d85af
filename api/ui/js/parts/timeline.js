// Episodes of alerts on lanes of time, one per policy.

import { h } from "../dom.js";
import { duration } from "../format.js";

const DAYS = 7;

/** @param {import("../main.js").App} app */
export function timeline(app) {
  const element = h("div.timeline");
  function update(isOfAlert, isOfPolicy, nameOf, limitOf) {
    const policies = (app.data.policies.value?.policies || []).filter(isOfPolicy);
    const until = app.isPast ? Date.parse(app.store.state.as_of) : app.live.now();
    const since = until - DAYS * 86_400_000;
    const alerts = app.alerts().filter(isOfAlert);
    const lanes = policies.map((policy) => {
      const episodes = alerts.filter((alert) => alert.policy_id === policy.policy_id);
      const track = h("div.lane-track", {}, ...episodes.map((alert) => {
        const from = Math.max(Date.parse(alert.opened_at), since);
        const to = alert.resolved_at ? Date.parse(alert.resolved_at) : until;
        const name = `${policy.policy_id}, ${alert.strategy_name || "all strategies"} on ${alert.account || "all accounts"}: ${app.time(alert.opened_at, "minute")}, ${alert.resolved_at ? `for ${duration((to - from) / 1000)}` : "still open"}`;
        const bar = h("button", { type: "button", "data-severity": alert.severity, title: name, "aria-label": name, onclick: () => app.openAlert(alert.alert_id) });
        bar.style.left = `${((from - since) / (until - since)) * 100}%`;
        bar.style.width = `${Math.max(0.3, ((to - from) / (until - since)) * 100)}%`;
        return bar;
      }));
      return h("div.lane", {}, h("div", { title: policy.description }, h("b", {}, nameOf(policy)), h("br"), h("span.muted", {}, `${policy.comparison.includes("above") ? "at most" : "at least"} ${limitOf(policy)}`)), track, h("span", {}, episodes.length ? `${episodes.length} ×` : "none"));
    });
    const days = Array.from({ length: DAYS + 1 }, (_, day) => h("span", {}, app.time(since + day * 86_400_000, "day")));
    element.replaceChildren(...(lanes.length ? [...lanes, h("div.axis", {}, ...days)] : [h("p.muted", {}, "No policy watches these metrics.")]));
  }
  return { element, update };
}
