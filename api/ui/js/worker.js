// The hub in a shared worker: every tab is a client by its port.

import { PATHS } from "./api.js";
import { Hub } from "./hub.js";

const ports = new Map();
let number = 0;

const hub = new Hub(PATHS.stream, (to, message) => {
  for (const [client, port] of ports) if (to === null || to === client) port.postMessage(message);
});

self.addEventListener("connect", (event) => {
  const port = event.ports[0];
  const client = String((number += 1));
  ports.set(client, port);
  port.onmessage = ({ data }) => {
    if (data.type === "want") hub.want(client, data.scopes);
    else if (data.type === "hurry") hub.hurry();
    else if (data.type === "leave") {
      hub.leave(client);
      ports.delete(client);
    }
  };
  port.postMessage({ type: "hello" });
});
