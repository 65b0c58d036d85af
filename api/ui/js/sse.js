// Server-sent events by fetch: unlike EventSource it goes on where it was behind an answer that was no stream.

const SILENCE_MS = 40_000;
const FIRST_PAUSE_MS = 500;
const LAST_PAUSE_MS = 15_000;

/** Takes chunks of text, and tells the events in them. */
export class Parser {
  #rest = "";
  #event = { name: "message", data: [], id: null };

  /** @param {string} text @returns {{name: string, data: string, id: string | null}[]} */
  take(text) {
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop();
    const events = [];
    for (const line of lines) {
      if (line === "") {
        if (this.#event.data.length) events.push({ ...this.#event, data: this.#event.data.join("\n") });
        this.#event = { name: "message", data: [], id: null };
        continue;
      }
      const place = line.indexOf(":");
      if (place === 0) continue;
      const field = place < 0 ? line : line.slice(0, place);
      const value = place < 0 ? "" : line.slice(place + 1).replace(/^ /, "");
      if (field === "event") this.#event.name = value;
      else if (field === "data") this.#event.data.push(value);
      else if (field === "id") this.#event.id = value;
    }
    return events;
  }
}

/**
 * A stream that connects again until it is closed.
 *
 * `onevents` is told all events of a chunk at once; `onstate` "connecting", "live", "waiting" (with the reason) or "closed".
 */
export class Stream {
  /** @param {string} url @param {{onevents: Function, onstate: Function, lastId?: string}} options */
  constructor(url, { onevents, onstate, lastId = "" }) {
    this.url = url;
    this.lastId = lastId;
    this.#onevents = onevents;
    this.#onstate = onstate;
    this.#run();
  }

  close() {
    this.#isClosed = true;
    this.#abort?.abort();
    clearTimeout(this.#timer);
    this.#wake?.();
  }

  /** Do not wait any longer for the next try. */
  hurry() {
    this.#wake?.();
  }

  #onevents; #onstate; #abort; #timer; #wake; #isClosed = false;

  async #run() {
    // Whoever made it has a name for it before it says anything.
    await null;
    let pause = FIRST_PAUSE_MS;
    while (!this.#isClosed) {
      let why = "the connection ended";
      try {
        this.#onstate("connecting", "");
        this.#abort = new AbortController();
        this.#listen();
        const answer = await fetch(this.url, {
          signal: this.#abort.signal, cache: "no-store", credentials: "same-origin",
          headers: this.lastId ? { Accept: "text/event-stream", "Last-Event-ID": this.lastId } : { Accept: "text/event-stream" },
        });
        if (!answer.ok) {
          const problem = await answer.json().catch(() => ({}));
          const error = new Error(problem.message || `status ${answer.status}`);
          error.status = answer.status;
          throw error;
        }
        const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
        const parser = new Parser();
        this.#onstate("live", "");
        for (;;) {
          const { done, value } = await reader.read();
          if (done) break;
          this.#listen();
          pause = FIRST_PAUSE_MS;
          const events = parser.take(value);
          for (const event of events) if (event.id !== null) this.lastId = event.id;
          if (events.length) this.#onevents(events);
        }
      } catch (error) {
        if (this.#isClosed) break;
        why = error.name === "AbortError" ? "nothing came for too long" : error.message;
        if (error.status === 401 || error.status === 404 || error.status === 400) pause = LAST_PAUSE_MS;
      }
      clearTimeout(this.#timer);
      if (this.#isClosed) break;
      this.#onstate("waiting", why);
      // Not all at once behind a restart.
      await new Promise((resolve) => {
        this.#wake = resolve;
        this.#timer = setTimeout(resolve, pause * (0.75 + Math.random() / 2));
      });
      pause = Math.min(pause * 2, LAST_PAUSE_MS);
    }
    this.#onstate("closed", "");
  }

  #listen() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#abort.abort(), SILENCE_MS);
  }
}
