// One connection for all tabs: what each wants, one stream over all of it, and what was last told of each frame.

import { Stream } from "./sse.js";

const BATCH_MS = 100;
const GATHER_MS = 60;
// The server looks back for minutes behind a cut, and opens thousands of alerts in none of them.
const ALERTS_KEPT = 1000;

/** What tabs show of a metric: its details change with every frame, take most of the message, and are asked for apart. */
function slim({ metric_name, value, unit, status, quality, reason, freshness_seconds, watermark, sample_count, window_start, window_end, meta }, isWhole) {
  const metric = { metric_name, value, unit, status, quality, reason, freshness_seconds, watermark, sample_count, window_start, window_end };
  if (isWhole) metric.meta = meta;
  return metric;
}

export class Hub {
  /** @param {string} url  of the stream @param {(to: string | null, message: object) => void} post  to one client or all */
  constructor(url, post) {
    this.#url = url;
    this.#post = post;
  }

  #url; #post; #stream = null; #state = { type: "state", state: "connecting", why: "", since: Date.now() };
  /** @type {Map<string, Set<string>>} */ #wanted = new Map();
  /** @type {Map<string, {as_of: string | null, metrics: Map<string, object>}>} */ #frames = new Map();
  #listened = ""; #timer = null; #batch = new Map(); #batchTimer = null; #told = new Set();

  /** @param {string} client @param {string[]} scopes */
  want(client, scopes) {
    this.#wanted.set(client, new Set(scopes));
    this.#post(client, this.#state);
    const known = scopes.filter((scope) => this.#frames.has(scope));
    if (known.length) this.#post(client, { type: "frames", frames: known.map((scope) => this.#whole(scope)), backfill: false });
    this.#soon();
  }

  /** @param {string} client */
  leave(client) {
    this.#wanted.delete(client);
    this.#soon();
  }

  hurry() {
    this.#stream?.hurry();
  }

  close() {
    this.#stream?.close();
  }

  #whole(scope) {
    const frame = this.#frames.get(scope);
    return { scope, as_of: frame.as_of, metrics: [...frame.metrics.values()], isWhole: true };
  }

  #soon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), GATHER_MS);
  }

  #connect() {
    const scopes = [...new Set([...this.#wanted.values()].flatMap((set) => [...set]))].sort().slice(0, 500);
    const listened = scopes.join("&");
    if (listened === this.#listened) return;
    this.#listened = listened;
    // Behind it: an alert that opens between two streams is told by the second.
    const lastId = this.#stream?.lastId || "";
    this.#stream?.close();
    this.#stream = null;
    for (const scope of this.#frames.keys()) if (!scopes.includes(scope)) this.#frames.delete(scope);
    if (!scopes.length) return;
    const query = scopes.map((scope) => `scope=${encodeURIComponent(scope)}`).join("&");
    const stream = new Stream(`${this.#url}?${query}&snapshot=true&alerts=all`, {
      lastId,
      onevents: (events) => stream === this.#stream && this.#take(events),
      onstate: (state, why) => stream === this.#stream && this.#tell(state, why),
    });
    this.#stream = stream;
    this.#tell("connecting", "");
  }

  #tell(state, why) {
    this.#state = { type: "state", state, why, since: Date.now() };
    this.#post(null, this.#state);
  }

  #take(events) {
    for (const event of events) {
      const data = JSON.parse(event.data);
      if (event.name.startsWith("quant.alert.")) {
        this.#alert(event.name, data);
        continue;
      }
      const scope = `${data.strategy_id}|${data.account}|${data.window}`;
      const isWhole = event.name === "quant.metrics.snapshot";
      let frame = this.#frames.get(scope);
      if (!frame || isWhole) this.#frames.set(scope, (frame = { as_of: null, metrics: new Map() }));
      frame.as_of = data.as_of;
      let news = this.#batch.get(scope);
      if (!news || isWhole) this.#batch.set(scope, (news = { scope, as_of: null, metrics: new Map(), isWhole }));
      news.as_of = data.as_of;
      for (const told of data.metrics) {
        const metric = slim(told, isWhole);
        frame.metrics.set(metric.metric_name, metric);
        news.metrics.set(metric.metric_name, metric);
      }
    }
    this.#batchTimer ??= setTimeout(() => this.#send(), BATCH_MS);
  }

  /** Once, also where the server tells it again. */
  #alert(event, alert) {
    const key = `${alert.alert_id} ${event}`;
    if (this.#told.has(key)) return;
    this.#told.add(key);
    if (this.#told.size > ALERTS_KEPT) this.#told.delete(this.#told.values().next().value);
    this.#post(null, { type: "alert", event, alert });
  }

  #send() {
    this.#batchTimer = null;
    const frames = [...this.#batch.values()].map((news) => ({ ...news, metrics: [...news.metrics.values()] }));
    this.#batch.clear();
    for (const [client, scopes] of this.#wanted) {
      const own = frames.filter((frame) => scopes.has(frame.scope));
      if (own.length) this.#post(client, { type: "frames", frames: own });
    }
  }
}
