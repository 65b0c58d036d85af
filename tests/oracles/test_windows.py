"""Bounds of the windows against the calendar library, over holidays, early closes, weekends and clock changes."""

from datetime import UTC, datetime, timedelta

import exchange_calendars
import pytest
from clickhouse_connect.driver.client import Client

MOMENTS = {
    "in a session after a weekend": datetime(2026, 3, 2, 15, 31, tzinfo=UTC),
    "in a session after the clocks went forward": datetime(2026, 3, 9, 14, 0, 0, 250_000, tzinfo=UTC),
    "in a session after the clocks went back": datetime(2025, 11, 3, 15, 0, tzinfo=UTC),
    "the day after Thanksgiving, past its early close": datetime(2025, 11, 28, 19, 30, tzinfo=UTC),
    "the Monday after an early close": datetime(2025, 12, 1, 15, 45, tzinfo=UTC),
    "over Christmas": datetime(2025, 12, 26, 16, 0, tzinfo=UTC),
    "on a Sunday": datetime(2026, 2, 1, 12, 0, tzinfo=UTC),
    "at midnight, where daily files are stamped": datetime(2026, 2, 5, tzinfo=UTC),
    "at the close": datetime(2026, 2, 5, 21, 0, tzinfo=UTC),
    "at the open": datetime(2026, 2, 5, 14, 30, tzinfo=UTC),
    "on Presidents' Day": datetime(2026, 2, 16, 18, 0, tzinfo=UTC),
}
SESSION = timedelta(minutes=390)
CLOCK = {"1m": 60, "5m": 300, "15m": 900, "1h": 3600}


def start_of_sessions(moment: datetime, count: int) -> datetime:
    """Go back `count` times 390 minutes of trading; a seam of two sessions is the opening of the later one."""
    left = SESSION * count
    calendar = exchange_calendars.get_calendar("XNYS", start="2025-01-01", end="2026-12-31")
    for session in reversed(list(calendar.schedule.itertuples())):
        opens, closes = session.open.to_pydatetime(), session.close.to_pydatetime()
        if opens > moment:
            continue
        traded = min(moment, closes) - opens
        if traded >= left and traded > timedelta(0):
            return min(moment, closes) - left
        left -= traded
    raise AssertionError("the calendar is too short")


def bounds(client: Client, moment: datetime, calendar: str) -> dict[str, datetime]:
    rows = client.query(
        "select window, window_start, window_end from quant.window_bounds(as_of = {as_of:String})"
        " where calendar = {calendar:String}",
        parameters={"as_of": f"{moment:%Y-%m-%d %H:%M:%S.%f}"[:-3], "calendar": calendar},
    ).result_rows
    assert {row[2] for row in rows} == {moment}
    return {row[0]: row[1] for row in rows}


@pytest.mark.parametrize("name", MOMENTS)
def test_windows_of_sessions_count_trading_time(built: Client, name: str) -> None:
    found = bounds(built, MOMENTS[name], "XNYS")
    assert found == {
        **{window: MOMENTS[name] - timedelta(seconds=seconds) for window, seconds in CLOCK.items()},
        **{f"{count}d": start_of_sessions(MOMENTS[name], count) for count in (1, 5, 20)},
    }


def test_a_continuous_market_counts_every_hour(built: Client) -> None:
    moment = MOMENTS["on a Sunday"]
    found = bounds(built, moment, "24/7")
    assert {window: (moment - start).total_seconds() for window, start in found.items()} == {
        **CLOCK,
        "1d": 86_400,
        "5d": 5 * 86_400,
        "20d": 20 * 86_400,
    }


def test_the_seed_is_the_calendar(built: Client) -> None:
    stored = built.query(
        "select opens_at, closes_at, ms_before from quant.trading_session where calendar = 'XNYS' order by opens_at"
    ).result_rows
    calendar = exchange_calendars.get_calendar("XNYS", start="2000-01-01", end="2031-12-31")
    before = 0
    for (opens, closes, ms_before), session in zip(stored, calendar.schedule.itertuples(), strict=True):
        assert (opens, closes, ms_before) == (session.open.to_pydatetime(), session.close.to_pydatetime(), before)
        before += int((closes - opens).total_seconds() * 1000)
