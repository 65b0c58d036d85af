// What is looked at, kept in the address, so that every view is a link.

export const WINDOWS = ["1m", "5m", "15m", "1h", "1d", "5d", "20d"];
export const VIEWS = ["scoreboard", "execution", "exposure", "health", "metric"];

/** Names in the address and what stands there when they are left out. */
const DEFAULTS = {
  view: "scoreboard", strategy: "", account: "", window: "1d", metric: "net_pnl", as_of: "",
  tz: "utc", theme: "auto", sort: "net_pnl", dir: "desc", alert: "", alerts: "",
};

/** @typedef {typeof DEFAULTS} State */

/** @param {string} search @returns {State} */
export function parse(search) {
  const query = new URLSearchParams(search);
  const state = { ...DEFAULTS };
  for (const name of Object.keys(DEFAULTS)) {
    const value = query.get(name);
    if (value !== null) state[name] = value;
  }
  if (!WINDOWS.includes(state.window)) state.window = DEFAULTS.window;
  if (!VIEWS.includes(state.view)) state.view = DEFAULTS.view;
  if (Number.isNaN(Date.parse(state.as_of))) state.as_of = "";
  return state;
}

/** @param {State} state */
export function address(state) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(state)) {
    if (value && value !== DEFAULTS[name] && !(name === "metric" && state.view !== "metric")) query.set(name, value);
  }
  const text = query.toString();
  return text ? `?${text}` : "?";
}

export class Store extends EventTarget {
  constructor() {
    super();
    /** @type {State} */
    this.state = parse(location.search);
    addEventListener("popstate", () => this.#take(parse(location.search)));
  }

  /** Change something; `quiet` changes replace the entry of the history. @param {Partial<State>} changes */
  set(changes, quiet = false) {
    const next = { ...this.state, ...changes };
    const link = address(next);
    if (link !== address(this.state)) history[quiet ? "replaceState" : "pushState"](null, "", link);
    this.#take(next);
  }

  /** The address of this state with changes. @param {Partial<State>} changes */
  link(changes) {
    return address({ ...this.state, ...changes });
  }

  /** strategy, account and window as the key of a frame. */
  get scope() {
    return `${this.state.strategy}|${this.state.account}|${this.state.window}`;
  }

  #take(next) {
    const changed = new Set(Object.keys(next).filter((name) => next[name] !== this.state[name]));
    if (!changed.size) return;
    this.state = next;
    this.dispatchEvent(new CustomEvent("change", { detail: changed }));
  }
}
