"""What every answer has in common: security headers, and its time in a histogram by route."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# An answer is data: it loads nothing, and nobody frames it. Pages bring a policy of their own.
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": DATA_POLICY,
    # Nothing of what it answers may be kept by a proxy that serves others.
    "Cache-Control": "no-store",
}
HTTPS_HEADERS = {"Strict-Transport-Security": "max-age=31536000"}


class Latencies:
    """Requests by route template, method and status, and how long they took until their answer began."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self.seconds = Histogram(
            "jangar_quant_api_request_seconds",
            "Time until an answer began, by route.",
            ("route", "method"),
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
            registry=self.registry,
        )
        self.requests = Counter(
            "jangar_quant_api_requests",
            "Answers, by route and status.",
            ("route", "method", "status"),
            registry=self.registry,
        )


class Observe:
    """ASGI middleware. Streams pass through it event by event."""

    def __init__(self, app: ASGIApp, latencies: Latencies) -> None:
        self._app = app
        self._latencies = latencies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items() if scope["scheme"] == "http" else _WITH_HTTPS:
                    headers.setdefault(name, value)
                route = template_of(scope)
                self._latencies.seconds.labels(route, scope["method"]).observe(time.perf_counter() - began)
                self._latencies.requests.labels(route, scope["method"], message["status"]).inc()
            await send(message)

        await self._app(scope, receive, answer)


_WITH_HTTPS = tuple({**HEADERS, **HTTPS_HEADERS}.items())


def template_of(scope: Scope) -> str:
    """The route of a request with names in place of values; of a request without a route nothing of its path."""
    if scope.get("route") is None:
        return "none"
    path = str(scope["path"])
    for name, value in scope.get("path_params", {}).items():
        path = path.replace(str(value), f"{{{name}}}")
    return path
