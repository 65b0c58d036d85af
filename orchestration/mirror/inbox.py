"""Mirror room: the bounded queue between the thread that reads the stream and the one that writes the copy."""

import threading
import time
from collections import deque
from dataclasses import dataclass, field

# Payload of an entry that stands for a keepalive; its LSN is the end of the WAL that the server has sent.
KEEPALIVE = b""

Message = tuple[int, bytes]


@dataclass
class Chunk:
    """Messages in stream order as (LSN, payload), their size in bytes, and when the first arrived (monotonic)."""

    messages: list[Message] = field(default_factory=list)
    size: int = 0
    arrived: float = field(default_factory=time.monotonic)

    def add(self, lsn: int, payload: bytes) -> None:
        """Append one message."""
        self.messages.append((lsn, payload))
        self.size += len(payload)


class Inbox:
    """Chunks on their way from reader to writer, at most `limit` bytes (or one chunk) of them."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._chunks: deque[Chunk] = deque()
        self._size = 0
        self._changed = threading.Condition()
        self._failure: BaseException | None = None

    def offer(self, chunk: Chunk, timeout: float) -> bool:
        """Append a chunk unless the queue stays full for `timeout` seconds; return whether it was appended."""
        with self._changed:
            if not self._changed.wait_for(lambda: not self._chunks or self._size < self._limit, timeout):
                return False
            self._chunks.append(chunk)
            self._size += chunk.size
            self._changed.notify_all()
            return True

    def take(self, timeout: float) -> Chunk | None:
        """Return the oldest chunk, or None after `timeout` seconds.

        Raises:
            the failure that the reader reported, once all that it had received is taken.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._chunks or self._failure is not None, timeout)
            if self._chunks:
                chunk = self._chunks.popleft()
                self._size -= chunk.size
                self._changed.notify_all()
                return chunk
            if self._failure is not None:
                raise self._failure
            return None

    def fail(self, error: BaseException) -> None:
        """Report that nothing more will come, and why."""
        with self._changed:
            self._failure = error
            self._changed.notify_all()
