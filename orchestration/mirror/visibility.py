"""Mirror room: which transactions the source's own sessions see, and waiting for one that the stream brought.

The stream brings a transaction once its commit is in the WAL. Its session leaves the list of running ones only after
that, some microseconds later, or as late as its synchronous standbys answer. A catalog that is read in between is that
of before: without a new column's default, for one, which is told nowhere else.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import psycopg

logger = logging.getLogger(__name__)

_WRAP = 1 << 32
_POLL_SECONDS = 0.005
_TELL_SECONDS = 10.0


@dataclass(frozen=True)
class SourceSnapshot:
    """Which transactions of the source a snapshot holds: IDs below `end` but those in `open`."""

    end: int
    open: frozenset[int]

    def holds(self, xid: int) -> bool:
        """Whether it holds a transaction, by the ID of 32 bits that the stream tells: within 2^31 of its end."""
        whole = self.end + (xid - self.end + _WRAP // 2) % _WRAP - _WRAP // 2
        return whole < self.end and whole not in self.open


@lru_cache(maxsize=64)
def read_snapshot(text: str) -> SourceSnapshot:
    """Read the text of a pg_snapshot: `xmin:xmax:xip,xip`."""
    _, end, running = text.split(":")
    return SourceSnapshot(int(end), frozenset(int(xid) for xid in running.split(",") if xid))


def await_visible(connection: psycopg.Connection, xid: int, check: Callable[[], None]) -> None:
    """Return when a session of the source sees a committed transaction. `check` may raise to give up."""
    started = time.monotonic()
    told = False
    while not _sees(connection, xid):
        check()
        if not told and time.monotonic() - started >= _TELL_SECONDS:
            told = True
            logger.warning("the source does not show transaction %d yet: does its synchronous standby answer?", xid)
        time.sleep(_POLL_SECONDS)


def _sees(connection: psycopg.Connection, xid: int) -> bool:
    row = connection.execute("select pg_current_snapshot()::text").fetchone()
    return row is not None and read_snapshot(row[0]).holds(xid)
