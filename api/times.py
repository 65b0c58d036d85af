"""Moments in requests."""

from datetime import UTC, datetime


def utc(moment: datetime) -> datetime:
    """A moment in UTC, which it is without a zone."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
