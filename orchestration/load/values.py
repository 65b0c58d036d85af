"""Load room: one cell's text as a time, a number or a name - exactly, or refused with a reason."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from orchestration.errors import UserError

# The source's columns are numeric(20, 8).
_STEP = Decimal("0.00000001")
_LIMIT = Decimal(10) ** 12
_CONTEXT = Context(prec=60, rounding=ROUND_HALF_EVEN)
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_GROUPED = re.compile(r"([+-]?)\$?(\d{1,3}(?:,\d{3})+(?:\.\d*)?|\d+(?:\.\d*)?)", re.ASCII)
_EPOCH = re.compile(r"\d{9,19}(?:\.\d+)?", re.ASCII)
_COMPACT_DATE = re.compile(r"\d{8}", re.ASCII)
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)
_TIME_DIRECTIVES = ("%H", "%I", "%M", "%S", "%s", "%c", "%X", "%T")


class Refused(ValueError):
    """A row that cannot be loaded; the text says why."""


@dataclass(frozen=True)
class TimeRules:
    """How the text of a time is read.

    Args:
        zone: zone of stamps that carry none.
        close: time of day, in `close_zone`, that a stamp without time of day (a session date) stands for.
        close_zone: zone of `close`.
        daily: every stamp is a session date, whatever time of day it shows.
        pattern: `strptime` pattern for stamps that are neither ISO 8601 nor seconds since 1970.
    """

    zone: ZoneInfo
    close: time
    close_zone: ZoneInfo
    daily: bool = False
    pattern: str | None = None

    def parse(self, text: str) -> datetime:
        """Return the moment in UTC, cut to microseconds.

        Raises:
            Refused: not a time, or outside 1970 to 2199.
        """
        text = text.strip()
        stamp = self._patterned(text) if self.pattern else self._standard(text)
        if not isinstance(stamp, datetime):
            stamp = _session_moment(stamp, self.close, self.close_zone)
        elif self.daily:
            stamp = _session_moment(stamp.date(), self.close, self.close_zone)
        elif stamp.tzinfo is None:
            stamp = stamp.replace(tzinfo=self.zone)
        stamp = stamp.astimezone(UTC)
        if not _EARLIEST <= stamp < _LATEST:
            raise Refused(f"time {text!r} is not between 1970 and 2199")
        return stamp

    def _patterned(self, text: str) -> datetime | date:
        assert self.pattern is not None
        try:
            stamp = datetime.strptime(text, self.pattern)  # noqa: DTZ007 - the caller adds the zone
        except ValueError:
            raise Refused(f"time {text!r} does not match {self.pattern}") from None
        return stamp if any(directive in self.pattern for directive in _TIME_DIRECTIVES) else stamp.date()

    @staticmethod
    def _standard(text: str) -> datetime | date:
        if text.endswith(" UTC"):
            text = text[:-4] + "+00:00"
        try:
            if (len(text) == 10 and text[4] == "-") or _COMPACT_DATE.fullmatch(text):
                return date.fromisoformat(text)
            if _EPOCH.fullmatch(text):
                return _from_epoch(text)
            return datetime.fromisoformat(text)
        except (ValueError, OverflowError):
            raise Refused(f"time {text!r} is neither ISO 8601 nor seconds since 1970") from None


@lru_cache(maxsize=4096)
def _session_moment(day: date, close: time, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, close, tzinfo=zone).astimezone(UTC)


def _from_epoch(text: str) -> datetime:
    """Read seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by their size."""
    whole = len(text.partition(".")[0])
    exponent = 0 if whole <= 11 else 3 if whole <= 14 else 6 if whole <= 17 else 9
    microseconds = int(Decimal(text).scaleb(6 - exponent))
    return datetime.fromtimestamp(microseconds // 1_000_000, UTC).replace(microsecond=microseconds % 1_000_000)


def parse_zone(name: str) -> ZoneInfo:
    """Return the time zone of this name.

    Raises:
        UserError: there is none.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UserError(f"There is no time zone {name!r}.", "Use a name such as America/New_York or UTC.") from None


def parse_close(text: str) -> tuple[time, ZoneInfo]:
    """Read `HH:MM ZONE`, the moment that a date without time of day stands for.

    Raises:
        UserError: it is written otherwise.
    """
    clock, _, zone = text.strip().partition(" ")
    try:
        close = time.fromisoformat(clock)
    except ValueError:
        raise UserError(
            f"{text!r} is not a time of day and a zone.", "Write for example '16:00 America/New_York'."
        ) from None
    return close, parse_zone(zone.strip() or "UTC")


def number(text: str, field: str) -> Decimal:
    """Read a decimal number exactly; a dollar sign and commas between thousands are allowed.

    Raises:
        Refused: not a finite number.
    """
    text = text.strip()
    if not _NUMBER.fullmatch(text):
        grouped = _GROUPED.fullmatch(text)
        if grouped is None:
            raise Refused(f"{field} {text!r} is not a number" if text else f"{field} is empty")
        text = grouped[1] + grouped[2].replace(",", "")
    return Decimal(text)


def column_number(value: Decimal, field: str) -> tuple[Decimal, bool]:
    """Round `value` to the source's numeric(20, 8), half to even; also say whether that changed it.

    Raises:
        Refused: it has more than twelve digits before the point.
    """
    if abs(value) >= _LIMIT:
        raise Refused(f"{field} {value} has more than 12 digits before the decimal point")
    try:
        rounded = value.quantize(_STEP, context=_CONTEXT)
    except InvalidOperation:
        raise Refused(f"{field} {value} cannot be kept with 8 decimals") from None
    if abs(rounded) >= _LIMIT:
        raise Refused(f"{field} {value} has more than 12 digits before the decimal point")
    return rounded, rounded != value


def name(text: str, field: str, longest: int) -> str:
    """Read a name: printable, not empty, at most `longest` characters.

    Raises:
        Refused: it is not.
    """
    text = text.strip()
    if not text:
        raise Refused(f"{field} is empty")
    if len(text) > longest:
        raise Refused(f"{field} {text[:longest]!r}... is longer than {longest} characters")
    if not text.isprintable():
        raise Refused(f"{field} {text!r} has characters that cannot be printed")
    return text
