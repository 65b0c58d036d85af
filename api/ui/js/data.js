// What is fetched at a slow pace: the last answer stays until the next one, and errors are told beside it.

import { PATHS, request } from "./api.js";

/** An answer that is asked for again every `seconds`, and at once when its query is another one. */
export class Resource extends EventTarget {
  /** @param {() => {path: string, query?: Record<string, any>} | null} ask  null: nothing is asked for @param {number} seconds */
  constructor(ask, seconds) {
    super();
    this.#ask = ask;
    this.seconds = seconds;
    this.value = null;
    this.error = null;
    this.at = 0;
    this.key = "";
  }

  #ask; #abort = null; #timer = null; #users = 0; #isAsking = false;

  /** Keep it read while something shows it; returns how to end that. @param {() => void} listener */
  use(listener) {
    this.addEventListener("change", listener);
    this.#users += 1;
    if (this.#users === 1) this.refresh();
    return () => {
      this.removeEventListener("change", listener);
      this.#users -= 1;
      if (this.#users === 0) {
        clearTimeout(this.#timer);
        this.#abort?.abort();
        this.#isAsking = false;
        this.key = "";
      }
    };
  }

  /** Ask now, if anything about the question has changed or `force`. */
  async refresh(force = false) {
    const asked = this.#ask();
    const key = asked ? JSON.stringify(asked) : "";
    const age = Date.now() - this.at;
    if (!this.#users || (!force && key === this.key && (this.#isAsking || age < this.seconds * 1000))) return;
    clearTimeout(this.#timer);
    this.#abort?.abort();
    if (key !== this.key) this.value = this.error = null;
    this.key = key;
    if (!asked) {
      this.dispatchEvent(new Event("change"));
      return;
    }
    const abort = (this.#abort = new AbortController());
    this.#isAsking = true;
    this.dispatchEvent(new Event("change"));
    try {
      const found = await request(asked.path, asked.query, { signal: abort.signal });
      if (abort.signal.aborted) return;
      this.value = found;
      this.error = null;
      this.at = Date.now();
    } catch (error) {
      if (abort.signal.aborted) return;
      this.error = error;
    }
    this.#isAsking = false;
    this.#timer = setTimeout(() => this.#again(), (this.error && this.error.status === 0 ? 5 : this.seconds) * 1000);
    this.dispatchEvent(new Event("change"));
  }

  #again() {
    if (document.hidden || Resource.isStill()) {
      this.#timer = setTimeout(() => this.#again(), 2000);
      return;
    }
    this.refresh(true);
  }

  /** Whether nothing is asked for again, as while paused. */
  static isStill = () => false;
}

/** Everything that more than one view needs. @param {import("./store.js").Store} store */
export function resources(store) {
  const scope = () => ({ strategy_id: store.state.strategy, account: store.state.account, window: store.state.window });
  const past = () => store.state.as_of;
  return {
    summary: new Resource(() => ({ path: PATHS.summary, query: { window: store.state.window, as_of: past() } }), 30),
    snapshot: new Resource(() => ({ path: PATHS.snapshot, query: { ...scope(), as_of: past(), recorded: past() && past() !== store.computed ? "true" : "" } }), 15),
    metrics: new Resource(() => ({ path: PATHS.metrics }), 3600),
    policies: new Resource(() => ({ path: PATHS.policies }), 300),
    health: new Resource(() => ({ path: PATHS.health, query: { as_of: past() } }), 15),
    alerts: new Resource(() => ({
      path: PATHS.alerts,
      query: { state: "all", limit: 200, to: past(), from: new Date((past() ? Date.parse(past()) : Date.now() - (Date.now() % 60_000)) - 7 * 86_400_000).toISOString() },
    }), 60),
  };
}
