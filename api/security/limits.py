"""How much one client may ask for, counted in this process: each replica grants as much."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator

from limits import RateLimitItemPerMinute, RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from api.errors import ApiError
from orchestration.settings import Settings

# Somebody who mistypes is let alone, somebody who guesses is not.
FAILURES_PER_MINUTE = 20
WINDOW_SECONDS = 10


class Limits:
    """Counts requests, failed sign-ins and open streams per client."""

    def __init__(self, settings: Settings) -> None:
        self._limiter = FixedWindowRateLimiter(MemoryStorage())
        self._requests = RateLimitItemPerSecond(settings.api_requests_per_second * WINDOW_SECONDS, WINDOW_SECONDS)
        self._failures = RateLimitItemPerMinute(FAILURES_PER_MINUTE)
        self._streams_per_client = settings.api_streams_per_client
        self._streams: Counter[str] = Counter()

    def count(self, client: str) -> None:
        """Count a request.

        Raises:
            ApiError: 429, there were too many.
        """
        if not self._limiter.hit(self._requests, "requests", client):
            raise _too_many("requests", "JANGAR_QUANT_API_REQUESTS_PER_SECOND", WINDOW_SECONDS)

    def may_try(self, address: str) -> None:
        """Refuse who failed too often to say who they are.

        Raises:
            ApiError: 429.
        """
        if not self._limiter.test(self._failures, "failures", address):
            raise ApiError(429, "Too many keys or tokens that are not valid.", "Wait a minute.", retry_after=60)

    def failed(self, address: str) -> None:
        """Count a key or token that is not valid."""
        self._limiter.hit(self._failures, "failures", address)

    @contextlib.contextmanager
    def streaming(self, client: str) -> Iterator[None]:
        """Count a stream while it is open.

        Raises:
            ApiError: 429, there are too many.
        """
        if self._streams[client] >= self._streams_per_client:
            raise _too_many("streams", "JANGAR_QUANT_API_STREAMS_PER_CLIENT", 30)
        self._streams[client] += 1
        try:
            yield
        finally:
            self._streams[client] -= 1
            if not self._streams[client]:
                del self._streams[client]


def _too_many(what: str, setting: str, seconds: int) -> ApiError:
    return ApiError(429, f"Too many {what} of one client.", f"Ask less, or raise {setting}.", retry_after=seconds)
