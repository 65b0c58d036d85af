"""The TA tables in a real ClickHouse: a row per second while live, minutes for the time before, nothing twice."""

from collections.abc import Iterator

import pytest
from clickhouse_connect.driver.client import Client

from orchestration.desk.clock import MINUTE, now_us
from orchestration.desk.history import Scene, scene
from orchestration.desk.ta import TABLES, TaFeed, create_tables
from orchestration.settings import Settings
from tests.conftest import WarehouseServer
from tests.waiting import wait_for


@pytest.fixture
def settings(warehouse_server: WarehouseServer) -> Settings:
    """A desk with one day of history before the session's warehouse."""
    return Settings(warehouse_port=warehouse_server.port, desk_history_days=1)


@pytest.fixture
def stage(settings: Settings, clickhouse: Client) -> Iterator[Scene]:
    """The market; the tables are new for each test."""
    clickhouse.command("drop database if exists torghut")
    create_tables(clickhouse)
    yield scene(settings)
    clickhouse.command("drop database if exists torghut")


def single(client: Client, query: str) -> int:
    return int(client.query(query).result_rows[0][0])


def test_minutes_of_the_past_then_every_second(settings: Settings, stage: Scene, clickhouse: Client) -> None:
    feed = TaFeed(settings, stage)
    feed.start()
    try:
        for table in TABLES:
            seconds = f"select count() from torghut.{table} where symbol = 'BTC/USD' and window_size = 'PT1S'"
            wait_for(lambda query=seconds: single(clickhouse, query) >= 3, 30, f"seconds in {table}")
            minutes = (
                f"select uniqExact(toStartOfMinute(event_ts)) from torghut.{table} where symbol = 'BTC/USD'"
                " and event_ts > now() - interval 1 day"
            )
            wait_for(lambda query=minutes: single(clickhouse, query) >= 1439, 60, f"a day of minutes in {table}")
    finally:
        feed.stop()
    assert feed._missing_days(clickhouse, now_us() - 2 * MINUTE) == [], "a restart would write nothing again"
    wrong = single(
        clickhouse,
        "select count() from torghut.ta_signals s join torghut.ta_microbars b using (symbol, event_ts)"
        " where not (s.imbalance_bid_px < s.imbalance_ask_px and s.imbalance_bid_px <= b.c + 0.01"
        " and b.c <= s.imbalance_ask_px + 0.01 and b.l <= least(b.o, b.c) and b.h >= greatest(b.o, b.c)"
        " and s.rsi14 between 0 and 100 and s.boll_lower <= s.boll_upper and s.vol_realized_w60s > 0 and b.v > 0)",
    )
    assert wrong == 0
    doubled = single(clickhouse, "select count() - uniqExact(symbol, event_ts) from torghut.ta_signals final")
    assert doubled == 0
