// Requests to the public API.

const TRADING = "/api/torghut/trading";
const QUANT = `${TRADING}/control-plane/quant`;
const SESSION = "/api/torghut/session";

export const PATHS = {
  summary: `${TRADING}/summary`,
  strategies: `${TRADING}/strategies`,
  snapshot: `${QUANT}/snapshot`,
  series: `${QUANT}/series`,
  metrics: `${QUANT}/metrics`,
  explain: `${QUANT}/explain`,
  alerts: `${QUANT}/alerts`,
  health: `${QUANT}/health`,
  trends: `${QUANT}/trends`,
  equity: `${QUANT}/equity`,
  positions: `${QUANT}/positions`,
  costs: `${QUANT}/costs`,
  pipeline: `${QUANT}/pipeline`,
  reconciliation: `${QUANT}/reconciliation`,
  policies: `${QUANT}/policies`,
  stream: `${QUANT}/stream`,
};
// Of servers that ask who somebody is; those that do not answer 404.
export const PEOPLE = { session: SESSION, silences: `${QUANT}/silences` };

/** An answer other than success: its status, what is wrong and what to do about it. */
export class Problem extends Error {
  constructor(status, message, remedy = "") {
    super(message);
    this.status = status;
    this.remedy = remedy;
  }
}

/** Told when the API wants a key. */
export const gate = new EventTarget();

/**
 * @param {string} path
 * @param {Record<string, any>} [query]  what is empty is left out
 * @param {{method?: string, body?: any, signal?: AbortSignal}} [options]
 * @returns {Promise<any>}
 */
export async function request(path, query = {}, { method = "GET", body, signal } = {}) {
  const parameters = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== "" && value !== undefined && value !== null));
  const text = parameters.toString();
  let answer;
  try {
    answer = await fetch(text ? `${path}?${text}` : path, {
      method, signal, credentials: "same-origin",
      headers: body ? { "Content-Type": "application/json" } : {},
      body: body ? JSON.stringify(body) : undefined,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "The API cannot be reached.", "It is asked again by itself; see that `jangar-quant api` runs.");
  }
  if (answer.status === 204) return null;
  const type = answer.headers.get("Content-Type") || "";
  const found = type.includes("json") ? await answer.json() : null;
  if (answer.ok) return found;
  if (answer.status === 401 && path !== SESSION) gate.dispatchEvent(new Event("closed"));
  throw new Problem(answer.status, found?.message || answer.statusText || "The request failed.", found?.remedy || "");
}

/** A table over time as CSV. @param {Record<string, any>} query */
export async function seriesCsv(query) {
  const answer = await fetch(`${PATHS.series}?${new URLSearchParams(query)}`, { headers: { Accept: "text/csv" } });
  if (!answer.ok) throw new Problem(answer.status, "The series cannot be exported.");
  return answer.blob();
}
