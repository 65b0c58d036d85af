"""Trading sessions: when a market is open, from the sessions seed (holidays, early closes) or around the clock."""

import csv
from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import NamedTuple, Protocol

from orchestration.desk.clock import DAY, to_datetime, to_us
from orchestration.errors import UserError


class Session(NamedTuple):
    """One trading session, `opens` <= t < `closes`, in microseconds."""

    day: date
    opens: int
    closes: int


class Calendar(Protocol):
    """What the desk asks of a calendar."""

    @property
    def continuous(self) -> bool:
        """Whether orders and prices run through from one session to the next."""

    def at(self, us: int) -> Session | None:
        """Return the session that is open at `us`."""

    def latest(self, us: int) -> Session | None:
        """Return the last session that had opened by `us`."""

    def following(self, us: int) -> Session | None:
        """Return the first session that opens after `us`."""

    def between(self, start: int, end: int) -> list[Session]:
        """Return the sessions that overlap `start` <= t < `end`, in order."""


class ListedCalendar:
    """A calendar of listed sessions, for exchanges that close."""

    continuous = False

    def __init__(self, sessions: Sequence[Session]) -> None:
        self._sessions = sorted(sessions, key=lambda session: session.opens)
        self._opens = [session.opens for session in self._sessions]

    def at(self, us: int) -> Session | None:
        session = self.latest(us)
        return session if session is not None and us < session.closes else None

    def latest(self, us: int) -> Session | None:
        index = bisect_right(self._opens, us)
        return self._sessions[index - 1] if index else None

    def following(self, us: int) -> Session | None:
        index = bisect_right(self._opens, us)
        return self._sessions[index] if index < len(self._sessions) else None

    def between(self, start: int, end: int) -> list[Session]:
        first = max(bisect_right(self._opens, start) - 1, 0)
        return [session for session in self._sessions[first:] if session.opens < end and session.closes > start]


class ContinuousCalendar:
    """The 24/7 calendar: every UTC day is a session."""

    continuous = True

    def at(self, us: int) -> Session:
        opens = us - us % DAY
        return Session(to_datetime(opens).date(), opens, opens + DAY)

    def latest(self, us: int) -> Session:
        return self.at(us)

    def following(self, us: int) -> Session:
        return self.at(us + DAY)

    def between(self, start: int, end: int) -> list[Session]:
        return [self.at(us) for us in range(start - start % DAY, end, DAY)]


def read_calendar(path: Path, name: str) -> ListedCalendar:
    """Read the sessions of calendar `name` from a seed with columns calendar, session_date, opens_at, closes_at.

    Times are ISO 8601; without an offset they are UTC.

    Raises:
        UserError: the file is missing or has no session of that calendar.
    """
    remedy = "Run from a complete checkout of the project."
    if not path.is_file():
        raise UserError(f"The trading sessions are missing: {path}.", remedy)
    with path.open(newline="", encoding="utf-8") as file:
        sessions = [
            Session(date.fromisoformat(row["session_date"][:10]), _parse(row["opens_at"]), _parse(row["closes_at"]))
            for row in csv.DictReader(file)
            if row["calendar"] == name
        ]
    if not sessions:
        raise UserError(f"{path} has no session of calendar {name}.", remedy)
    return ListedCalendar(sessions)


def _parse(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return to_us(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
