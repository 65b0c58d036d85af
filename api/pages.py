"""Lists by page: from the newest row to the oldest, each page behind the last row of the one before."""

import base64
import binascii
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from api.errors import ApiError
from api.times import utc

DEFAULT_LENGTH = timedelta(days=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_END = datetime(2200, 1, 1, tzinfo=UTC)


class Place(NamedTuple):
    """The row that a page ended with."""

    at: datetime
    identity: str

    def __str__(self) -> str:
        text = f"{(self.at - _EPOCH) // _MICROSECOND}|{self.identity}"
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> "Place":
        """Read what `next` of a page told; empty is the beginning.

        Raises:
            ApiError: it is none.
        """
        if not text:
            return cls(_END, "")
        try:
            at, _, identity = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().partition("|")
            return cls(_EPOCH + int(at) * _MICROSECOND, identity)
        except (binascii.Error, UnicodeError, ValueError, OverflowError):
            raise ApiError(400, "after: is no place of a list.", "Give `next` of the page before.") from None


def time_range(start: datetime | None, end: datetime | None) -> tuple[datetime, datetime]:
    """Both ends of a time; default: the day up to now.

    Raises:
        ApiError: the first does not lie before the last.
    """
    last = utc(end) if end else datetime.now(UTC)
    first = utc(start) if start else last - DEFAULT_LENGTH
    if first >= last:
        raise ApiError(400, "from: does not lie before `to`.", "Give an earlier one.")
    return first, last


def page(rows: list[dict[str, Any]], limit: int, at: str, identity: str) -> tuple[list[dict[str, Any]], str | None]:
    """The rows of a page, of one more than `limit`, and the place behind them; None at the end."""
    shown = rows[:limit]
    place = str(Place(utc(shown[-1][at]), str(shown[-1][identity]))) if len(rows) > limit else None
    return shown, place
