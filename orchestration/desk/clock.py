"""Time of the desk: integer microseconds since the epoch (UTC), exact and hashable, and their conversions."""

import time
from datetime import UTC, datetime, timedelta

SECOND = 1_000_000
MINUTE = 60 * SECOND
DAY = 86_400 * SECOND

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def now_us() -> int:
    """Return the wall clock, in microseconds."""
    return time.time_ns() // 1000


def to_datetime(us: int) -> datetime:
    """Return the aware UTC datetime of `us`."""
    return _EPOCH + timedelta(microseconds=us)


def to_us(moment: datetime) -> int:
    """Return the microseconds of an aware datetime."""
    return (moment - _EPOCH) // _MICROSECOND


def iso(us: int) -> str:
    """Return `us` as ISO 8601 with offset, the form of the JSON columns."""
    return to_datetime(us).isoformat()
