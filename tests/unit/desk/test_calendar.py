"""Sessions: holidays, early closes, the 24/7 calendar, the sessions seed."""

from pathlib import Path

import pytest

from orchestration.desk.calendar import ContinuousCalendar, read_calendar
from orchestration.desk.clock import SECOND
from orchestration.errors import UserError
from tests.unit.desk.conftest import at, listed


def test_open_hours_are_half_open_and_skip_holiday_and_early_close() -> None:
    calendar = listed()
    assert calendar.at(at(25, 14, 30)) is not None
    assert calendar.at(at(25, 14, 30) - 1) is None
    assert calendar.at(at(25, 21)) is None
    assert calendar.at(at(27, 16)) is None, "a holiday"
    assert calendar.at(at(28, 17, 59, 59)) is not None
    assert calendar.at(at(28, 18)) is None, "an early close"
    following = calendar.following(at(26, 21))
    assert following is not None
    assert following.opens == at(28, 14, 30)
    assert calendar.following(at(28, 18)) is None
    assert calendar.latest(at(25, 14)) is None


def test_between_returns_the_sessions_that_overlap() -> None:
    calendar = listed()
    assert [s.day.day for s in calendar.between(at(25, 21), at(28, 14, 30))] == [26]
    assert [s.day.day for s in calendar.between(at(25, 20), at(28, 15))] == [25, 26, 28]
    days = ContinuousCalendar().between(at(25, 20), at(27, 0))
    assert [(s.day.day, s.closes - s.opens) for s in days] == [(25, 86_400 * SECOND), (26, 86_400 * SECOND)]


def test_the_seed_is_read_as_utc(tmp_path: Path) -> None:
    path = tmp_path / "sessions.csv"
    path.write_text(
        "calendar,session_date,opens_at,closes_at,seconds_before\n"
        "XNYS,2025-11-28,2025-11-28 14:30:00,2025-11-28 18:00:00,0\n"
        "OTHER,2025-11-28,2025-11-28 08:00:00,2025-11-28 16:30:00,0\n"
    )
    [session] = read_calendar(path, "XNYS").between(at(1, 0), at(30, 0))
    assert (session.opens, session.closes) == (at(28, 14, 30), at(28, 18))
    with pytest.raises(UserError, match="no session of calendar XLON"):
        read_calendar(path, "XLON")
    with pytest.raises(UserError, match="missing"):
        read_calendar(tmp_path / "none.csv", "XNYS")
