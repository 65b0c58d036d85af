"""A small market for the desk's unit tests: four sessions with a holiday and an early close, and 24/7 crypto."""

from datetime import UTC, date, datetime

import pytest

from orchestration.desk.calendar import ContinuousCalendar, ListedCalendar, Session
from orchestration.desk.clock import to_us
from orchestration.desk.history import Scene
from orchestration.desk.indicators import IndicatorBook
from orchestration.desk.market import Market


def at(day: int, hour: int, minute: int = 0, second: int = 0) -> int:
    """A moment of November 2025, UTC, in microseconds."""
    return to_us(datetime(2025, 11, day, hour, minute, second, tzinfo=UTC))


def listed() -> ListedCalendar:
    """Tuesday and Wednesday whole, Thursday the 27th a holiday, Friday with an early close, Monday whole."""
    return ListedCalendar(
        [
            Session(date(2025, 11, 25), at(25, 14, 30), at(25, 21)),
            Session(date(2025, 11, 26), at(26, 14, 30), at(26, 21)),
            Session(date(2025, 11, 28), at(28, 14, 30), at(28, 18)),
        ]
    )


def make_scene(seed: int = 3) -> Scene:
    """A market of its own, so that nothing is cached from another one."""
    market = Market(seed, {"us_equity": listed(), "crypto": ContinuousCalendar()})
    return Scene(market, IndicatorBook(market))


@pytest.fixture
def stage() -> Scene:
    """The market of seed 3."""
    return make_scene()
