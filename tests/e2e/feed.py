"""The dashboards over a feed that is larger than the desk: the answers of a running API, told of many strategies."""

import copy
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from api.routes.ui import CONTENT_SECURITY_POLICY, DIRECTORY, PATH
from tests.e2e.running import QUANT, RunningUp

TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
WINDOWS = ("1m", "5m", "15m", "1h", "1d", "5d", "20d")
ASKED = ("snapshot", "metrics", "policies", "health", "alerts", "trends", "equity")


@dataclass
class Feed:
    """Where it is, and how many events it told."""

    url: str = ""
    strategies: int = 50
    events: int = 0
    answers: dict[str, Any] = field(default_factory=dict)

    @property
    def scopes(self) -> list[str]:
        """Every strategy in every window."""
        return [f"strategy-{number}|paper-crypto|{window}" for number in range(self.strategies) for window in WINDOWS]

    def record(self, up: RunningUp) -> None:
        """Take the answers of a running API, and make its whole account many strategies."""
        for name in ASKED:
            query = {"snapshot": "?account=paper-crypto&window=1d", "equity": "?account=paper-crypto"}.get(name, "")
            status, self.answers[f"{QUANT}/{name}"] = up.get(f"{QUANT}/{name}{query}")
            assert status == 200, name
        self.answers["/api/torghut/session"] = up.get("/api/torghut/session")[1]
        path = "/api/torghut/trading/summary"
        _, summary = up.get(f"{path}?window=1d")
        row = next(row for row in summary["rows"] if (row["strategy_id"], row["account"]) == ("", "paper-crypto"))
        summary["rows"] = [
            row,
            *(
                {**row, "strategy_id": f"strategy-{number}", "strategy_name": f"strategy {number}"}
                for number in range(self.strategies)
            ),
        ]
        self.answers[path] = summary

    def frame(self, scope: str, number: int, names: set[str] | None = None) -> bytes:
        """An event: the metrics of a scope, each with another value than before."""
        strategy, account, window = scope.split("|")
        metrics = copy.copy(self.answers[f"{QUANT}/snapshot"]["frame"]["metrics"])
        now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
        told = [
            {
                **metric,
                "as_of": now,
                "watermark": now,
                "freshness_seconds": 0,
                "value": None if metric["value"] is None else metric["value"] * (1 + (number + len(scope)) % 17 / 1000),
            }
            for metric in metrics
            if names is None or metric["metric_name"] in names
        ]
        name = "quant.metrics.snapshot" if names is None else "quant.metrics.delta"
        data = {"strategy_id": strategy, "account": account, "window": window, "as_of": now, "metrics": told}
        self.events += 1
        return f"event: {name}\nid: {number}-0-0-0\ndata: {json.dumps(data)}\n\n".encode()


@contextmanager
def feeding(up: RunningUp, strategies: int = 50) -> Iterator[Feed]:
    """A server with the dashboards, what the API answered, and a stream in which everything changes each second."""
    feed = Feed(strategies=strategies)
    feed.record(up)
    # What the light tier computes changes each second.
    light = {row["metric_name"] for row in feed.answers[f"{QUANT}/metrics"]["metrics"] if row["tier"] == "light"}
    is_over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path == f"{QUANT}/stream":
                self._stream(parse_qs(parts.query)["scope"])
            elif parts.path in feed.answers:
                self._send(200, "application/json", json.dumps(feed.answers[parts.path]).encode())
            elif parts.path.startswith(f"{PATH}/"):
                path = DIRECTORY / (parts.path.removeprefix(f"{PATH}/") or "index.html")
                self._send(200, TYPES[path.suffix], path.read_bytes())
            else:
                self._send(404, "application/json", b"{}")

        def _send(self, status: int, media: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", media)
            self.send_header("Content-Security-Policy", CONTENT_SECURITY_POLICY)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _stream(self, scopes: list[str]) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            number = 0
            try:
                self.wfile.write(b"".join(feed.frame(scope, number) for scope in scopes))
                while not is_over.wait(1):
                    number += 1
                    self.wfile.write(b"".join(feed.frame(scope, number, light) for scope in scopes))
            except OSError:
                return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    feed.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield feed
    finally:
        is_over.set()
        server.shutdown()
        server.server_close()
        thread.join()
