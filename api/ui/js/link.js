// The way from a tab to the hub: a shared worker, else the tab that holds a lock, over a channel.

import { PATHS } from "./api.js";
import { Hub } from "./hub.js";

const NAME = "jangar-quant-stream";

/** @param {(message: any) => void} onmessage @returns {{kind: string, send: (message: object) => void}} */
export function connect(onmessage) {
  const wanted = new URLSearchParams(location.search).get("link");
  if (typeof SharedWorker === "function" && wanted !== "locks") {
    const worker = new SharedWorker(new URL("./worker.js", import.meta.url), { type: "module", name: NAME });
    worker.port.onmessage = ({ data }) => onmessage(data);
    worker.port.start();
    const send = (message) => worker.port.postMessage(message);
    addEventListener("pagehide", () => send({ type: "leave" }));
    addEventListener("pageshow", (event) => event.persisted && onmessage({ type: "hello" }));
    return { kind: "worker", send };
  }
  return overLock(onmessage);
}

function overLock(onmessage) {
  const own = crypto.randomUUID();
  const channel = new BroadcastChannel(NAME);
  /** @type {Hub | null} */
  let hub = null;
  const handle = ({ from, message }) => {
    if (message.type === "want") hub.want(from, message.scopes);
    else if (message.type === "hurry") hub.hurry();
    else if (message.type === "leave") hub.leave(from);
  };
  channel.onmessage = ({ data }) => {
    if (data.from) hub && handle(data);
    else if (data.to === null || data.to === own) onmessage(data.message);
  };
  const lead = () => {
    hub = new Hub(PATHS.stream, (to, message) => {
      if (to === null || to === own) onmessage(message);
      if (to !== own) channel.postMessage({ to, message });
    });
    channel.postMessage({ to: null, message: { type: "hello" } });
    onmessage({ type: "hello" });
    return new Promise(() => {});
  };
  if (navigator.locks) navigator.locks.request(NAME, lead);
  else lead();
  const send = (message) => (hub ? handle({ from: own, message }) : channel.postMessage({ from: own, message }));
  addEventListener("pagehide", () => send({ type: "leave" }));
  return { kind: "locks", send };
}
