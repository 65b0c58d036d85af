"""Values that are read once however many ask for them."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


class Shared(Generic[T]):
    """A value that is read again once it is older than `seconds`; whoever asks meanwhile waits for that one read."""

    def __init__(self, read: Callable[[], Awaitable[T]], seconds: float) -> None:
        self._read = read
        self._seconds = seconds
        self._lock = asyncio.Lock()
        self._read_at = float("-inf")

    async def get(self) -> T:
        async with self._lock:
            if self.age() > self._seconds:
                # The age counts from before the read: what it returns is at least as new as that.
                began = time.monotonic()
                self._value = await self._read()
                self._read_at = began
            return self._value

    def age(self) -> float:
        """Seconds since the value was read."""
        return time.monotonic() - self._read_at


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
