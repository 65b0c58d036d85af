// The newest frames in this tab, kept up by the hub.

import { connect } from "./link.js";

export class Live extends EventTarget {
  constructor() {
    super();
    /** scope -> {as_of, metrics: Map of metric_name -> metric} @type {Map<string, {as_of: string | null, metrics: Map<string, any>}>} */
    this.frames = new Map();
    this.state = { state: "connecting", why: "", since: Date.now() };
    this.isPaused = false;
    this.heldBack = 0;
    /** Milliseconds that the server's clock is ahead of this one. */
    this.ahead = 0;
    this.#link = connect((message) => this.#take(message));
    document.addEventListener("visibilitychange", () => !document.hidden && this.#link.send({ type: "hurry" }));
  }

  #link; #scopes = []; #wasCut = false;

  get kind() {
    return this.#link.kind;
  }

  /** The frames that this tab wants from now on. @param {string[]} scopes */
  want(scopes) {
    const next = [...new Set(scopes)].sort();
    if (next.join("&") === this.#scopes.join("&")) return;
    this.#scopes = next;
    this.#link.send({ type: "want", scopes: next });
  }

  pause(isPaused) {
    this.isPaused = isPaused;
    if (!isPaused && this.heldBack) {
      this.heldBack = 0;
      this.dispatchEvent(new CustomEvent("frames", { detail: new Set(this.frames.keys()) }));
    }
    this.dispatchEvent(new Event("state"));
  }

  /** The server's clock now, in milliseconds. */
  now() {
    return Date.now() + this.ahead;
  }

  /** Put in what a request told of a frame. */
  put(scope, asOf, metrics) {
    const frame = { as_of: asOf, metrics: new Map(metrics.map((metric) => [metric.metric_name, metric])) };
    this.frames.set(scope, frame);
    this.#clock(metrics);
    this.dispatchEvent(new CustomEvent("frames", { detail: new Set([scope]) }));
  }

  #take(message) {
    if (message.type === "hello") {
      if (this.#scopes.length) this.#link.send({ type: "want", scopes: this.#scopes });
    } else if (message.type === "state") {
      if (message.state === "waiting") this.#wasCut = true;
      this.state = message;
      this.dispatchEvent(new Event("state"));
      if (message.state === "live" && this.#wasCut) {
        this.#wasCut = false;
        this.dispatchEvent(new Event("back"));
      }
    } else if (message.type === "alert") {
      this.dispatchEvent(new CustomEvent("alert", { detail: message }));
    } else if (message.type === "frames") {
      const changed = new Set();
      for (const { scope, as_of, metrics, isWhole } of message.frames) {
        let frame = this.frames.get(scope);
        if (!frame || (isWhole && metrics.length)) this.frames.set(scope, (frame = { as_of, metrics: new Map() }));
        frame.as_of = as_of;
        for (const metric of metrics) {
          metric.meta ??= frame.metrics.get(metric.metric_name)?.meta ?? {};
          frame.metrics.set(metric.metric_name, metric);
        }
        changed.add(scope);
      }
      this.#clock(message.frames[0]?.metrics);
      if (this.isPaused) this.heldBack += message.frames.length;
      else this.dispatchEvent(new CustomEvent("frames", { detail: changed }));
    }
  }

  #clock(metrics) {
    const metric = metrics?.find((one) => one.watermark);
    // What came late makes the server's clock look behind: the largest difference is the nearest.
    if (!metric) return;
    const ahead = Date.parse(metric.watermark) + metric.freshness_seconds * 1000 - Date.now();
    this.ahead = this.ahead === 0 || ahead > this.ahead ? ahead : this.ahead;
  }
}
