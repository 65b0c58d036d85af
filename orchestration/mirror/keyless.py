"""Mirror room: tables whose rows nothing identifies - they are only inserted, and each keeps what it was born with.

The key of the copy is `_row`. For a row of the stream that is its LSN and its place among the rows with that LSN (COPY
writes many in one record), for a row of a snapshot its place in the table. So a row that is sent again is the same row,
but one that comes both ways would be two: transactions that the snapshot of a copy holds are left out of the stream.
"""

from dataclasses import dataclass
from functools import lru_cache

from orchestration.mirror.types import Mapping

ROW = "_row"
ROW_MAPPING = Mapping("String", copied="tableoid::bigint || ' ' || ctid::text")

_WRAP = 1 << 32


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


def row_id(version: int, place: int) -> bytes:
    """Return `_row` of a row of the stream."""
    return b"%016X.%d" % (version, place)
