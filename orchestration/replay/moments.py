"""Replay: the moments of a backfill, by session."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from orchestration.errors import UserError
from orchestration.replay.scope import Scope
from orchestration.transform.on_demand import sql_moment

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

# A day of computing at the pace of two cores.
MAXIMUM_MOMENTS = 100_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_STEP = re.compile(r"(\d{1,9})\s*([smhd]?)")


@dataclass(frozen=True)
class Session:
    """A session of a calendar and the moments of the grid that are recomputed with it, in epoch milliseconds."""

    calendar: str
    session_date: date
    moments: range

    @property
    def key(self) -> tuple[str, date]:
        """What identifies the session."""
        return self.calendar, self.session_date

    def behind(self, done_until: datetime | None) -> range:
        """The moments behind one of them; all without one."""
        if done_until is None:
            return self.moments
        return self.moments[bisect_right(self.moments, milliseconds_of(done_until)) :]


def parse_step(text: str) -> int:
    """Read a step such as `60`, `30s`, `1m` or `2h` as seconds.

    Raises:
        UserError: it is no step, or shorter than a second.
    """
    found = _STEP.fullmatch(text.strip().lower())
    if found is None:
        raise UserError(f"--step {text!r} is no step.", "Write whole seconds, or for example 30s, 1m, 2h or 1d.")
    seconds = int(found[1]) * _UNITS[found[2]]
    if seconds < 1:
        raise UserError(f"--step {text} is too small.", "The smallest step is 1s.")
    return seconds


def plan(client: Client, scope: Scope, start: datetime, end: datetime, step: int) -> list[Session]:
    """The sessions of the scope's accounts that hold moments of the grid from `start` to `end`, in their order.

    A moment that lies in the sessions of several calendars belongs to the one that opened first.

    Raises:
        UserError: there is no such moment, or more than `MAXIMUM_MOMENTS`.
    """
    rows = client.query(
        "select calendar, session_date, opens_at, closes_at from quant.trading_session"
        " where closes_at >= {start:String} and opens_at <= {end:String} and calendar in"
        " (select calendar from quant.api_accounts where account in"
        " (select account from quant.scope_evidence where ({account:String} = '' or account = {account:String})"
        " and ({strategy_id:String} = '' or strategy_id = {strategy_id:String})))"
        " order by opens_at, calendar",
        parameters={**scope.parameters, "start": sql_moment(start), "end": sql_moment(end)},
    ).result_rows
    sessions = list(divide([(row[0], row[1], row[2], row[3]) for row in rows], start, end, step))
    count = sum(len(session.moments) for session in sessions)
    if count == 0:
        raise UserError(
            f"No moment of the grid from {start:%Y-%m-%d %H:%M:%S} to {end:%Y-%m-%d %H:%M:%S} UTC lies in a session.",
            "Give a longer time, or a smaller --step.",
        )
    if count > MAXIMUM_MOMENTS:
        raise UserError(
            f"These are {count:,} moments; at most {MAXIMUM_MOMENTS:,} are recomputed at once.",
            "Give a larger --step, or a shorter time.",
        )
    return sessions


def divide(
    sessions: Iterable[tuple[str, date, datetime, datetime]], start: datetime, end: datetime, step: int
) -> Iterable[Session]:
    """Lay the grid over sessions that are ordered by their opening, each moment once; both ends count."""
    step_ms = step * 1000
    done = milliseconds_of(start) - 1
    for calendar, session_date, opens_at, closes_at in sessions:
        first = max(milliseconds_of(opens_at), done + 1)
        last = min(milliseconds_of(closes_at), milliseconds_of(end))
        moments = range(-(-first // step_ms) * step_ms, last + 1, step_ms)
        if moments:
            yield Session(calendar, session_date, moments)
        done = max(done, last)


def moment_of(milliseconds: int) -> datetime:
    """Epoch milliseconds as a moment."""
    return _EPOCH + milliseconds * _MILLISECOND


def milliseconds_of(moment: datetime) -> int:
    """A moment as epoch milliseconds."""
    return (moment - _EPOCH) // _MILLISECOND
