"""Mirror room: tables whose rows nothing identifies - they are only inserted, and each keeps what it was born with.

The key of the copy is `_row`. For a row of the stream that is its LSN and its place among the rows with that LSN (COPY
writes many in one record), for a row of a snapshot its place in the table. So a row that is sent again is the same row,
but one that comes both ways would be two: transactions that the snapshot of a copy holds are left out of the stream.
"""

from orchestration.mirror.types import Mapping

ROW = "_row"
ROW_MAPPING = Mapping("String", copied="tableoid::bigint || ' ' || ctid::text")


def row_id(version: int, place: int) -> bytes:
    """Return `_row` of a row of the stream."""
    return b"%016X.%d" % (version, place)
