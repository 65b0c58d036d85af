// The drawer of alerts: what is open, what was, and one of them with its evidence.

import { PATHS, PEOPLE, request, Problem } from "../api.js";
import { Chart } from "../charts/chart.js";
import { empty, fill, h } from "../dom.js";
import { duration, label, metricValue, reasonText } from "../format.js";

/** Value of an alert's signal, which may be no metric. */
function valueOf(app, alert, value) {
  const definition = app.definition(alert.metric_name);
  return metricValue(alert.metric_name, definition?.unit || (alert.metric_name.endsWith("seconds") ? "seconds" : ""), value, { sign: false });
}

function stateText(alert) {
  return { open: "open", recovering: "recovering", no_data: "open, no data", resolved: "resolved" }[alert.state];
}

function scopeText(alert) {
  return [alert.strategy_name || (alert.category === "data" ? "" : "all strategies"), alert.account || "all accounts", alert.window].filter(Boolean).join(" · ");
}

/** @param {import("../main.js").App} app */
export function alertCard(app, alert) {
  const until = alert.resolved_at ? Date.parse(alert.resolved_at) : app.live.now();
  return h("button.alert-card", { type: "button", "data-severity": alert.severity, "data-state": alert.state, onclick: () => app.openAlert(alert.alert_id) },
    h("div.line", {}, h("span.severity", { "data-severity": alert.severity, "data-state": alert.state }, alert.severity), h("b", {}, label(alert.metric_name)), h("time", {}, app.time(alert.opened_at, "minute"))),
    h("div.muted", {}, scopeText(alert)),
    h("div", {}, `${valueOf(app, alert, alert.observed ?? alert.peak)} against ${valueOf(app, alert, alert.threshold)} · ${stateText(alert)} for ${duration((until - Date.parse(alert.opened_at)) / 1000)}`, alert.acknowledged_by && ` · taken by ${alert.acknowledged_by}`, isSilent(app, alert) && ` · silent until ${app.time(alert.silenced_until, "minute")}`));
}

const isSilent = (app, alert) => alert.silenced_until && Date.parse(alert.silenced_until) > app.live.now();

/** @param {import("../main.js").App} app */
export function alertDrawer(app) {
  const { store } = app;
  const head = h("h2", { id: "drawer-title", tabindex: -1, autofocus: true }, "Alerts");
  const backButton = h("button.tool", { type: "button", "aria-label": "All alerts", onclick: () => store.set({ alert: "", alerts: store.state.alerts || "open" }) }, "‹ All");
  const body = h("div.drawer-body");
  const dialog = h("dialog.drawer", { "aria-labelledby": "drawer-title" }, h("div.drawer-head", {}, backButton, head, h("button.tool", { type: "button", "aria-label": "Close alerts", onclick: () => app.closeAlerts() }, "✕")), body);
  dialog.addEventListener("cancel", (event) => {
    event.preventDefault();
    app.closeAlerts();
  });
  dialog.addEventListener("click", (event) => event.target === dialog && app.closeAlerts());
  document.body.append(dialog);
  let shown = "";
  let chart = null;

  function list() {
    shown = "";
    fill(head, app.isPast ? "Alerts as of the moment" : "Alerts");
    const filter = store.state.alerts || "open";
    const all = app.alerts().filter((alert) => filter !== "scope" || app.concerns(alert));
    const rows = filter === "all" ? all : all.filter((alert) => alert.state !== "resolved");
    const names = { open: "Open", scope: "Open in this scope", all: "Seven days", silences: "Silences" };
    const severities = { critical: 0, warning: 1, info: 2 };
    rows.sort((a, b) => (a.state === "resolved") - (b.state === "resolved") || (filter === "all" ? 0 : severities[a.severity] - severities[b.severity]) || Date.parse(b.opened_at) - Date.parse(a.opened_at));
    fill(body, h("div.segments", { role: "group", "aria-label": "Which alerts" }, ...Object.entries(names).map(([key, name]) => h("button", { type: "button", "aria-pressed": String(key === filter), onclick: () => store.set({ alerts: key }, true) }, name))),
      ...(filter === "silences" ? [silences(app)] : [app.data.alerts.error && empty(app.data.alerts.error.message, app.data.alerts.error.remedy, "✕"),
      ...(rows.length ? rows.map((alert) => alertCard(app, alert)) : app.data.alerts.value ? [empty(filter === "all" ? "No episode in seven days" : "Nothing is open", "A policy opens an alert here the moment its metric is beyond the threshold.", "✓")] : [h("div.skeleton.tile")])]));
  }

  async function one(id) {
    if (shown !== id) {
      shown = id;
      fill(body, h("div.skeleton.panel-tall"));
    }
    let found;
    try {
      found = await request(`${PATHS.alerts}/${encodeURIComponent(id)}`);
    } catch (error) {
      fill(body, empty(error.message, error.remedy, "✕"));
      return;
    }
    if (store.state.alert !== id) return;
    const { alert, history } = found;
    fill(head, label(alert.metric_name));
    chart?.destroy();
    chart = null;
    const evidence = h("div");
    const policy = app.data.policies.value?.policies.find(({ policy_id }) => policy_id === alert.policy_id);
    fill(body,
      h("div.actions", {}, h("span.severity", { "data-severity": alert.severity, "data-state": alert.state }, alert.severity), h("b", {}, stateText(alert)), h("span.muted", {}, scopeText(alert))),
      policy && h("p", {}, policy.description),
      h("dl.kv", {}, ...[["Observed", valueOf(app, alert, alert.observed)], ["Worst", valueOf(app, alert, alert.peak)], ["Threshold", valueOf(app, alert, alert.threshold)], ["Opened", app.time(alert.opened_at, "full")], ["Ended", alert.resolved_at ? `${app.time(alert.resolved_at, "full")}, after ${duration((Date.parse(alert.resolved_at) - Date.parse(alert.opened_at)) / 1000)}` : "not yet"], alert.reason && ["Why", reasonText(alert.reason)], ["Policy", h("code", {}, `${alert.policy_id} ${alert.policy_version.slice(0, 8)}`)], ["What to do", h("code", {}, alert.runbook)], alert.acknowledged_by && ["Taken", `by ${alert.acknowledged_by} at ${app.time(alert.acknowledged_at, "minute")}: ${alert.acknowledgement}`], isSilent(app, alert) && ["Silent", `until ${app.time(alert.silenced_until, "full")}`]].filter(Boolean).flatMap(([key, value]) => [h("dt", {}, key), h("dd", {}, value)])),
      h("div.actions", {}, app.definition(alert.metric_name) && h("a.button", { href: store.link({ view: "metric", metric: alert.metric_name, strategy: alert.strategy_id, account: alert.account, window: alert.window || store.state.window, alert: "", alerts: "" }), onclick: (event) => app.follow(event, { view: "metric", metric: alert.metric_name, strategy: alert.strategy_id, account: alert.account, window: alert.window || store.state.window, alert: "", alerts: "" }) }, "Metric"),
        h("button.button", { type: "button", onclick: () => store.set({ as_of: new Date(Date.parse(alert.opened_at)).toISOString(), strategy: alert.strategy_id, account: alert.account, window: alert.window || store.state.window, alert: "", alerts: "" }) }, "Replay its beginning")),
      h("section", { "aria-label": "Evidence" }, h("h3", {}, "Evidence"), evidence),
      app.isPast ? null : actions(app, alert, () => one(id)),
      h("section", { "aria-label": "History" }, h("h3", {}, "History"), h("ul.history", {}, ...[...history].reverse().map((change) => h("li", {}, h("time", {}, app.time(change.at, "full")), h("div", {}, h("b", {}, change.state.replaceAll("_", " ")), change.observed !== null && ` at ${valueOf(app, alert, change.observed)}`, change.actor && ` by ${change.actor}`, change.reason && h("div.muted", {}, reasonText(change.reason))))))),
    );
    for (const link of body.querySelectorAll("a.button")) link.style.cssText = "display: inline-flex; align-items: center; text-decoration: none";
    await draw(alert, evidence);
  }

  /** The frames that opened it, on the series around it where there is one. */
  async function draw(alert, place) {
    const opened = Date.parse(alert.opened_at);
    const ended = alert.resolved_at ? Date.parse(alert.resolved_at) : app.live.now();
    const room = Math.max(900_000, (ended - opened) * 0.5);
    let times = alert.evidence.map(({ as_of }) => Date.parse(as_of));
    let values = alert.evidence.map(({ value }) => value);
    if (app.definition(alert.metric_name) && alert.window) {
      try {
        const query = { strategy_id: alert.strategy_id, account: alert.account, window: alert.window, metrics: alert.metric_name, from: new Date(opened - room).toISOString(), to: new Date(Math.min(ended + room, app.live.now())).toISOString(), max_points: 300, downsample: "last" };
        const { series } = await request(PATHS.series, query);
        if (series.metrics[alert.metric_name].values.some((value) => value !== null)) [times, values] = [series.times.map(Date.parse), series.metrics[alert.metric_name].values];
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
      }
    }
    if (store.state.alert !== alert.alert_id) return;
    chart = new Chart({ name: "Evidence", height: 190, zone: () => store.state.tz, format: (value) => valueOf(app, alert, value), series: [{ key: "value", label: label(alert.metric_name), kind: times.length > 3 ? "line" : "bars", colour: "s1" }] });
    place.replaceChildren(chart.element);
    const isBelowZero = values.some((value) => value < 0) && alert.metric_name === "max_drawdown";
    chart.set(times, { value: values }, { annotations: [{ from: opened, to: ended, label: stateText(alert), severity: alert.severity }], thresholds: [{ value: isBelowZero ? -alert.threshold : alert.threshold, label: "threshold", severity: alert.severity }] });
  }

  return {
    dialog,
    update(isForced = false) {
      const { alert, alerts } = store.state;
      const isOpen = Boolean(alert || alerts);
      if (isOpen && !dialog.open) dialog.showModal();
      if (!isOpen && dialog.open) dialog.close();
      if (!isOpen) {
        shown = "";
        return;
      }
      backButton.hidden = !alert;
      if (!alert) list();
      else if (shown !== alert || isForced) one(alert);
    },
  };
}

/** What is silent now, and an end for each. */
function silences(app) {
  const element = h("div.sheet");
  const read = async () => {
    try {
      const found = await request(PEOPLE.silences);
      fill(element, ...(found.silences.length ? found.silences.map(card) : [empty("Nothing is silent", "An alert offers a silence.", "✓")]));
    } catch (error) {
      fill(element, empty(error.message, error.remedy, "✕"));
    }
  };
  const card = (one) => {
    const told = h("p", { role: "status" });
    const reason = h("input", { required: true, maxlength: 500, name: "reason" });
    const what = [one.alert_id && `alert ${one.alert_id.slice(0, 8)}`, one.policy_id, app.strategyName(one.strategy_id), one.account].filter(Boolean).join(" · ");
    return h("form.alert-card", { onsubmit: async (event) => {
      event.preventDefault();
      try {
        await request(`${PEOPLE.silences}/${one.silence_id}/end`, {}, { method: "POST", body: { reason: reason.value.trim() } });
        app.data.alerts.refresh(true);
        read();
      } catch (error) {
        told.textContent = `${error.message} ${error.remedy || ""}`;
      }
    } }, h("div.line", {}, h("b", {}, what), h("time", {}, `until ${app.time(one.silenced_until, "minute")}`)), h("div.muted", {}, `${one.silenced_by}, ${app.time(one.silenced_at, "minute")}: ${one.reason}`),
    h("div.actions.bottom", {}, h("label", {}, "Reason", reason), h("button.button.small", { type: "submit" }, "End it")), told);
  };
  read();
  return element;
}

/** Acknowledge and silence; what was typed stays when the server refuses it. */
function actions(app, alert, again) {
  const told = h("p", { role: "status" });
  const reason = h("textarea", { rows: 2, required: true, maxlength: 500, name: "reason" });
  const length = h("select", { name: "for" }, ...["30m", "2h", "8h", "24h", "72h"].map((value) => h("option", { value, selected: value === "2h" }, value)));
  const what = h("select", { name: "what" }, h("option", { value: "alert_id" }, "this alert"), h("option", { value: "policy_id" }, `every alert of ${alert.policy_id}`), alert.strategy_id && h("option", { value: "strategy_id" }, `every alert of ${alert.strategy_name}`), alert.account && h("option", { value: "account" }, `every alert of ${alert.account}`));
  const send = async (path, body, done) => {
    told.textContent = "";
    if (!reason.value.trim()) {
      told.textContent = "Say why: others will read it.";
      reason.focus();
      return;
    }
    try {
      await request(path, {}, { method: "POST", body: { ...body, reason: reason.value.trim() } });
      told.textContent = done;
      app.data.alerts.refresh(true);
      again();
    } catch (error) {
      told.className = "neg";
      told.textContent = `${error.message} ${error.remedy || ""}`;
    }
  };
  return h("section", { "aria-label": "Actions" }, h("h3", {}, "Act"), h("div.sheet", {},
    h("label", {}, "Reason", reason),
    h("div.actions", {},
      h("button.button.primary", { type: "button", disabled: Boolean(alert.acknowledged_by) || alert.state === "resolved", onclick: () => send(`${PATHS.alerts}/${alert.alert_id}/acknowledge`, {}, "Acknowledged.") }, alert.acknowledged_by ? "Acknowledged" : "Acknowledge")),
    h("div.actions.bottom", {}, h("label.field", {}, "Silence", what), h("label.field", {}, "for", length), h("button.button", { type: "button", onclick: () => send(PEOPLE.silences, { for: length.value, [what.value]: alert[what.value] }, "Silenced. It stays listed, and nobody is told.") }, "Silence")),
    told));
}
