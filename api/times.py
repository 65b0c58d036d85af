"""Moments in requests."""

from datetime import UTC, datetime

from api.errors import ApiError


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
