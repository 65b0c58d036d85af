// The application: what is looked at, what is known of it, and which view shows it.

import { themeChanged } from "./charts/theme.js";
import { Resource, resources } from "./data.js";
import { fill, h, setAttribute } from "./dom.js";
import { moment, reasonText } from "./format.js";
import { Live } from "./live.js";
import { alertDrawer } from "./parts/alerts.js";
import { filters } from "./parts/filters.js";
import { keys } from "./parts/keys.js";
import { tools } from "./parts/tools.js";
import { Store, VIEWS, WINDOWS } from "./store.js";
import { execution } from "./views/execution.js";
import { exposure } from "./views/exposure.js";
import { health } from "./views/health.js";
import { metric } from "./views/metric.js";
import { scoreboard } from "./views/scoreboard.js";

const MOUNTS = { scoreboard, execution, exposure, health, metric };
const NAMES = { scoreboard: "Scoreboard", execution: "Execution", exposure: "Exposure & risk", health: "Health", metric: "Metrics" };
// How often numbers are painted, at most: eyes do not follow more.
const PAINT_MS = 500;
// What was asked for is waited for; what comes together is painted together.
const ANSWER_MS = 30;
// What the first numbers need is asked for before the rest, which would keep the warehouse from answering: with all seven
// questions at once they came after 1.25 to 1.6 s. The rest waits for them no longer than this.
const FIRST = ["snapshot", "summary", "metrics"];
const FIRST_MS = 1000;
const MINUTE = 60_000;
// More at once would push the numbers out of sight.
const MOST_TOLD = 3;

export class App {
  constructor() {
    this.store = new Store();
    this.live = new Live();
    this.data = resources(this.store);
    this.title = "Scoreboard";
    /** Alerts that the stream told since they were last fetched, by id. */
    this.news = new Map();
    /** What was told and not dismissed, by what it is about: [kind, title, words]. */
    this.told = new Map();
    this.changed = new Set();
    this.paintedAt = 0;
    this.isFirstPainted = false;
    Resource.isStill = () => this.live.isPaused || this.isPast;
    this.theme();
    this.nav = VIEWS.map((view) => [view, h("a", { onclick: (event) => this.follow(event, { view }) }, NAMES[view])]);
    document.getElementById("nav").append(...this.nav.map(([, link]) => link));
    this.filters = filters(this);
    this.tools = tools(this);
    this.drawer = alertDrawer(this);
    keys(this);
    this.listen();
    this.mount();
    this.navigation();
    this.drawer.update();
    // Ages grow also while nothing comes.
    setInterval(() => performance.now() - this.paintedAt > 900 && this.touch("second"), 1000);
  }

  get isPast() {
    return Boolean(this.store.state.as_of);
  }

  listen() {
    const { store, live, data } = this;
    const use = (names) => names.forEach((name) => data[name].use(() => this.took(name, data[name])));
    const rest = () => use(Object.keys(data).filter((name) => !FIRST.includes(name)));
    this.firstNumbers = new Promise((resolve) => (this.tellFirst = resolve));
    Promise.race([this.firstNumbers, new Promise((resolve) => setTimeout(resolve, FIRST_MS))]).then(rest);
    use(FIRST);
    live.addEventListener("frames", () => this.touch("frames"));
    live.addEventListener("state", () => this.touch("state"));
    live.addEventListener("alert", ({ detail }) => {
      this.news.set(detail.alert.alert_id, detail.alert);
      this.touch("alerts");
      if (detail.event === "quant.alert.opened" && detail.alert.severity === "critical" && detail.alert.state !== "resolved" && !this.isPast) this.tell(detail.alert.alert_id, "warn", `${detail.alert.metric_name} ${detail.alert.strategy_name} ${detail.alert.account}`, "A critical alert opened; press a for all of them.");
    });
    // What was missed between is fetched: the stream tells only what is newest.
    live.addEventListener("back", () => {
      for (const resource of Object.values(data)) resource.refresh(true);
      this.view?.back?.();
    });
    store.addEventListener("change", ({ detail }) => this.moved(detail));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.theme());
  }

  took(name, resource) {
    // A moment that the series does not have is computed.
    const { as_of: past } = this.store.state;
    if (name === "snapshot" && past && resource.error?.status === 404 && this.store.computed !== past) {
      this.store.computed = past;
      resource.refresh();
      return;
    }
    if (name === "snapshot" && resource.value) {
      const { frame } = resource.value;
      const { state } = this.store;
      // A name in the address is an id in the answer.
      this.live.put(`${frame.strategy_id}|${frame.account}|${frame.window}`, frame.as_of, frame.metrics);
      if (state.strategy && frame.strategy_id !== state.strategy && frame.strategy_name === state.strategy) this.store.set({ strategy: frame.strategy_id }, true);
    }
    if (name === "alerts" && resource.value) {
      for (const alert of resource.value.alerts) {
        const newer = this.news.get(alert.alert_id);
        if (newer && Date.parse(newer.updated_at) <= Date.parse(alert.updated_at)) this.news.delete(alert.alert_id);
      }
      this.drawer.update();
    }
    if (name === "summary") this.want();
    this.touch(name, ANSWER_MS);
  }

  moved(changed) {
    const { store, data } = this;
    if (changed.has("theme")) this.theme();
    if (["strategy", "account", "window", "as_of"].some((name) => changed.has(name))) {
      changed.add("scope");
      if (changed.has("as_of")) {
        this.live.frames.clear();
        this.news.clear();
      }
      for (const resource of Object.values(data)) resource.refresh();
    }
    if (changed.has("view")) this.mount();
    for (const name of changed) this.changed.add(name);
    this.navigation();
    this.drawer.update();
    this.want();
    this.paint();
    if (changed.has("view")) {
      scrollTo(0, 0);
      document.getElementById("main").focus({ preventScroll: true });
    }
  }

  mount() {
    this.view?.destroy();
    this.view = MOUNTS[this.store.state.view](this);
    this.title = this.view.title;
    fill(document.getElementById("view"), this.view.element);
    fill(document.getElementById("title"), this.title);
    for (const name of ["scope", "metric", "alerts", "policies", "metrics", "health", "snapshot"]) this.changed.add(name);
    this.want();
    this.paint();
  }

  navigation() {
    for (const [view, link] of this.nav) {
      setAttribute(link, "href", this.store.link({ view, alert: "", alerts: "" }));
      setAttribute(link, "aria-current", view === this.store.state.view ? "page" : null);
    }
    this.filters.update();
    this.notices();
  }

  /** The frames that the stream shall tell. */
  want() {
    this.live.want(this.isPast ? [] : [this.store.scope, ...(this.view?.scopes() || [])]);
  }

  touch(name, wait = this.isFirstPainted ? PAINT_MS : ANSWER_MS) {
    this.changed.add(name);
    const at = performance.now() + wait;
    if (this.timer && at >= this.paintsAt) return;
    clearTimeout(this.timer);
    this.paintsAt = at;
    this.timer = setTimeout(() => {
      this.timer = 0;
      requestAnimationFrame(() => this.paint());
    }, wait);
  }

  paint() {
    if (document.hidden) return;
    this.paintedAt = performance.now();
    const { changed } = this;
    this.changed = new Set();
    if (changed.has("summary")) this.filters.update();
    if (["frames", "snapshot", "metrics", "health", "scope", "second"].some((name) => changed.has(name))) this.filters.ages();
    this.tools.update();
    if (["state", "health", "snapshot", "second", "as_of"].some((name) => changed.has(name))) this.notices();
    // By the second alone only ages grow.
    this.view?.update(changed);
    if (this.frame() && !this.isFirstPainted) {
      this.isFirstPainted = true;
      performance.mark("quant.first");
      this.tellFirst();
    }
  }

  /** What everybody must see: replay, pause, a connection that is cut, an API that refuses. */
  notices() {
    const { live, data, store } = this;
    const found = [];
    if (this.isPast) found.push(["replay", "Replay", `Everything as of ${this.time(store.state.as_of, "full")} ${store.state.tz === "utc" ? "UTC" : "local"}. Nothing here is live.`, "Back to live", () => store.set({ as_of: "" })]);
    else if (live.state.state === "waiting") found.push(["error", "Cut off", `What you see is no longer updated: ${live.state.why}. It is tried again by itself, and what was missed is filled in.`]);
    if (live.isPaused && !this.isPast) found.push(["warn", "Paused", "Numbers stand still until you resume.", "Resume", () => this.togglePause()]);
    const { error } = data.snapshot;
    if (error) found.push([error.status === 404 ? "warn" : "error", error.status === 404 ? "Nothing here" : "No frame", `${error.message} ${error.remedy}`]);
    const down = data.health.value?.status;
    if (down === "down" || down === "disabled") found.push(["error", down === "down" ? "Warehouse down" : "Switched off", down === "down" ? "The warehouse does not answer. What you see is what was last known." : "The control plane is switched off: JANGAR_TORGHUT_QUANT_CONTROL_PLANE_ENABLED."]);
    const told = [...this.told].reverse();
    for (const [about, words] of told.slice(0, MOST_TOLD)) found.push([...words, "Dismiss", () => this.told.delete(about)]);
    if (told.length > MOST_TOLD) found.push(["warn", `${told.length - MOST_TOLD} more`, "They opened before these; press a for all alerts.", "Dismiss all", () => this.told.clear()]);
    const text = JSON.stringify(found);
    if (this.shownNotices === text) return;
    this.shownNotices = text;
    fill(document.getElementById("notices"), ...found.map(([kind, title, words, action, act]) => h("div.notice", { "data-kind": kind }, h("strong", {}, title), h("span", {}, words), action && h("button.button.small", { type: "button", onclick: () => {
      act();
      this.notices();
    } }, action))));
  }

  /** Tell what is dismissed by a person; what is told about the same thing takes its place. */
  tell(about, kind, title, words) {
    this.told.delete(about);
    this.told.set(about, [kind, title, words]);
    this.notices();
  }

  // What views ask.

  frame() {
    return this.live.frames.get(this.store.scope);
  }

  definition(name) {
    const all = this.data.metrics.value?.metrics;
    if (this.definitionsOf !== all) {
      this.definitionsOf = all;
      this.definitions = new Map((all || []).map((one) => [one.metric_name, one]));
    }
    return this.definitions?.get(name);
  }

  /** The metric of the frame whose tier was complete last: a tier is computed as a whole, what did not change is not told. */
  newest(tier) {
    let found = null;
    for (const one of this.frame()?.metrics.values() || []) {
      if (!one.watermark || (tier && this.definition(one.metric_name)?.tier !== tier)) continue;
      if (!found || one.watermark > found.watermark) found = one;
    }
    return found;
  }

  /** How old what a tier says may be, in seconds, as health tells. */
  allowed(tier) {
    const stage = this.data.health.value?.stages.find((one) => one.stage === `${tier}_tier`);
    return stage ? stage.allowed_lag_seconds : Infinity;
  }

  /** The time of the window as from and to, or the last `least` milliseconds where it is shorter; null before it is known. */
  range(least = 0) {
    const one = this.frame()?.metrics.get("net_pnl") || this.frame()?.metrics.values().next().value;
    if (!one) return null;
    const [start, end] = [Date.parse(one.window_start), Date.parse(one.window_end)];
    const to = this.isPast ? Date.parse(this.store.state.as_of) : Math.floor(this.live.now() / MINUTE) * MINUTE;
    const length = end - start;
    const from = Math.min(to - Math.max(least, 600_000), length < 3_600_001 ? to - Math.max(length, least) : start);
    // The minute in which the window begins: what happened before it, as over a night, is no part of it.
    return { from: new Date((Math.floor(from / MINUTE) + 1) * MINUTE).toISOString(), to: this.isPast ? this.store.state.as_of : "" };
  }

  /** What to say while an answer is missing: why, that there is no frame to ask it for, or that it is under way. @param {import("./data.js").Resource} resource */
  waiting(resource) {
    if (resource.error) return resource.error.message;
    return !resource.key && this.data.snapshot.error ? "Nothing here without a frame." : "Loading …";
  }

  alerts() {
    const fetched = this.data.alerts.value?.alerts || [];
    const ids = new Set(fetched.map((alert) => alert.alert_id));
    const fresh = [...this.news.values()].filter((alert) => !ids.has(alert.alert_id));
    const all = [...fresh, ...fetched.map((alert) => this.news.get(alert.alert_id) || alert)];
    if (!this.isPast) return all;
    const at = Date.parse(this.store.state.as_of);
    return all.map((alert) => (alert.resolved_at && Date.parse(alert.resolved_at) > at ? { ...alert, resolved_at: null, state: "open" } : alert));
  }

  concerns(alert) {
    const { strategy, account } = this.store.state;
    return (!strategy || alert.strategy_id === strategy || alert.category === "data") && (!account || alert.account === account || (alert.category === "data" && !alert.account));
  }

  /** Open alerts of strategies by `strategy|account`. */
  alertCounts() {
    const counts = new Map();
    for (const { state, category, strategy_id, account } of this.alerts()) {
      if (state === "resolved" || category !== "strategy") continue;
      const key = `${strategy_id}|${account}`;
      counts.set(key, (counts.get(key) || 0) + 1);
    }
    return counts;
  }

  /** Episodes as annotations of a chart. */
  episodes(isWanted) {
    const { strategy, account } = this.store.state;
    return this.alerts().filter((alert) => isWanted(alert) && alert.strategy_id === strategy && alert.account === account).map((alert) => ({
      from: Date.parse(alert.opened_at), to: alert.resolved_at ? Date.parse(alert.resolved_at) : this.live.now(), severity: alert.severity, label: `${alert.policy_id} (${alert.state})`,
    }));
  }

  policy(signal, window) {
    return this.data.policies.value?.policies.find((one) => one.signal === signal && one.window === window);
  }

  rowState(row, scope) {
    if (this.isPast) return row.quality;
    const metrics = this.live.frames.get(scope)?.metrics;
    if (!metrics?.size) return row.quality;
    const rank = ["good", "closed", "insufficient_data", "stale", "error"];
    let worst = -1;
    for (const one of metrics.values()) if (one.status === "ok") worst = Math.max(worst, rank.indexOf(one.quality));
    const found = worst < 0 ? "insufficient_data" : rank[worst];
    const newest = [...metrics.values()].reduce((at, one) => (one.watermark > at ? one.watermark : at), "");
    const isOld = newest && (this.live.now() - Date.parse(newest)) / 1000 > Math.max(this.allowed("light"), this.allowed("medium"));
    return isOld && found !== "error" && this.live.state.state !== "live" ? "stale" : found;
  }

  why(one) {
    return one && one.status !== "ok" ? reasonText(one.reason || "no data") : one?.reason ? reasonText(one.reason) : "not known yet";
  }

  time(at, how) {
    return moment(at, this.store.state.tz, how);
  }

  strategyName(id) {
    return this.data.summary.value?.rows.find((one) => one.strategy_id === id)?.strategy_name || id;
  }

  scopeName() {
    const { strategy, account } = this.store.state;
    return `${strategy ? this.strategyName(strategy) : "All strategies"}, ${account || "all accounts"}`;
  }

  // What people do.

  /** A link that is followed in place, unless somebody wants another tab. */
  follow(event, changes) {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
    event.preventDefault();
    this.store.set({ alert: "", alerts: "", ...changes });
  }

  openAlert(id) {
    this.store.set({ alert: id });
  }

  openAlerts(row) {
    this.store.set({ strategy: row.strategy_id, account: row.account, alerts: "scope", alert: "" });
  }

  closeAlerts() {
    this.store.set({ alert: "", alerts: "" });
  }

  toggleAlerts() {
    const { alert, alerts } = this.store.state;
    this.store.set(alert || alerts ? { alert: "", alerts: "" } : { alerts: "open" });
  }

  togglePause() {
    this.live.pause(!this.live.isPaused);
    this.notices();
    this.tools.update();
  }

  toggleZone() {
    this.store.set({ tz: this.store.state.tz === "utc" ? "local" : "utc" }, true);
  }

  nextTheme() {
    this.store.set({ theme: this.tools.nextTheme() }, true);
  }

  stepWindow(step) {
    const place = WINDOWS.indexOf(this.store.state.window) + step;
    if (WINDOWS[place]) this.store.set({ window: WINDOWS[place] });
  }

  theme() {
    const { theme } = this.store.state;
    const isDark = theme === "dark" || (theme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
    document.documentElement.dataset.theme = isDark ? "dark" : "light";
    themeChanged();
  }
}

window.quant = new App();
