"""Values that are read once however many ask for them."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


# Where many ask, nobody waits for a read: all are told the former value, until it has been due for so long. A read
# takes 5 to 400 ms beside the tiers: waiting for it, one of a hundred snapshots took 180 ms, the others two.
GRACE_SECONDS = 1.0
# Who is the only one to ask within that time waits, and is told the newest.
CROWD_SECONDS = 0.25


class Shared(Generic[T]):
    """A value that is read again once it is older than `seconds`; one read serves all who ask meanwhile."""

    def __init__(self, read: Callable[[], Awaitable[T]], seconds: float) -> None:
        self._read = read
        self._seconds = seconds
        self._read_at = self._asked_at = float("-inf")
        self._is_expired = False
        self._reading: asyncio.Task[None] | None = None

    def expire(self) -> None:
        """There is a newer value: the next who asks begins a read."""
        self._is_expired = True

    async def get(self) -> T:
        """The value, or the former one while a read is under way; raises what a read raises that is waited for."""
        now = time.monotonic()
        is_alone, self._asked_at = now - self._asked_at > CROWD_SECONDS, now
        if self._reading is None and (self._is_expired or self.age() > self._seconds):
            self._reading = asyncio.create_task(self._renew())
            self._reading.add_done_callback(_look_at)
        if self._reading is not None and (is_alone or self.age() > self._seconds + GRACE_SECONDS):
            # Another who waits for the same must not lose it to the one who hung up.
            await asyncio.shield(self._reading)
        return self._value

    def age(self) -> float:
        """Seconds since the value was read."""
        return time.monotonic() - self._read_at

    async def _renew(self) -> None:
        # The age counts from before the read: what it returns is at least as new as that.
        began, self._is_expired = time.monotonic(), False
        try:
            self._value = await self._read()
            self._read_at = began
        finally:
            self._reading = None


def _look_at(reading: asyncio.Task[None]) -> None:
    # Nobody may have waited for it; the next who has to is told.
    if not reading.cancelled():
        reading.exception()


class SharedByKey(Generic[K, T]):
    """A shared value for each of the last `limit` keys."""

    def __init__(self, read: Callable[[K], Awaitable[T]], seconds: float, limit: int = 256) -> None:
        self._read = read
        self._seconds = seconds
        self._limit = limit
        self._values: OrderedDict[K, Shared[T]] = OrderedDict()

    async def get(self, key: K) -> T:
        """The value of a key."""
        shared = self._values.setdefault(key, Shared(lambda: self._read(key), self._seconds))
        self._values.move_to_end(key)
        while len(self._values) > self._limit:
            self._values.popitem(last=False)
        return await shared.get()
