"""Mirror room: when the source last answered, which tells a source that is gone from a mirror that stands still."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import psycopg


class Contact:
    """The last moment at which the source answered, over all attempts of a process."""

    def __init__(self) -> None:
        self.heard_at = 0
        self._heard = time.monotonic()

    def hear(self) -> None:
        """Note that the source has just answered; from any thread."""
        self.heard_at = time.time_ns() // 1000
        self._heard = time.monotonic()

    @property
    def silent_seconds(self) -> float:
        """Since when it has not."""
        return time.monotonic() - self._heard


@contextlib.contextmanager
def answered_within(seconds: float, connection: psycopg.Connection) -> Iterator[None]:
    """End a session whose server does not answer what is asked in this block.

    A server that stands still (stopped, out of memory, its disk gone) keeps its connections alive: the kernel answers
    for it, and a query waits for as long as it stands still.
    """
    timer = threading.Timer(seconds, _shut_down, [connection])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _shut_down(connection: psycopg.Connection) -> None:
    with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=socket.dup(connection.fileno())) as end:
        end.shutdown(socket.SHUT_RDWR)
