"""Moments in requests."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from api.errors import ApiError

# What the warehouse can hold, and a day more on either side.
FIRST_YEAR, LAST_YEAR = 1990, 2199
_ISO = re.compile(r"\d{4}-\d\d-\d\d")


def _iso(value: Any) -> Any:
    """Only text that begins like a date: a number would be taken for seconds, or milliseconds, since 1970."""
    if isinstance(value, str) and not _ISO.match(value):
        raise ValueError("write it in ISO 8601, like 2026-01-30T15:30:00Z")
    return value


def _in_bounds(moment: datetime) -> datetime:
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise ValueError(f"give a moment of the years {FIRST_YEAR} to {LAST_YEAR}")
    return moment


Moment = Annotated[datetime, BeforeValidator(_iso), AfterValidator(_in_bounds)]


def utc(moment: datetime) -> datetime:
    """A moment in UTC, which it is without a zone."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def past_moment(moment: datetime, name: str = "as_of") -> datetime:
    """A moment of the past in UTC.

    Raises:
        ApiError: it lies in the future.
    """
    now = datetime.now(UTC)
    if utc(moment) > now:
        raise ApiError(400, f"{name}: lies in the future.", f"It is {now.isoformat(timespec='seconds')} now.")
    return utc(moment)
