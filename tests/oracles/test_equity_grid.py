"""The equity grid: equity and cash by minute, strategies marked to market beside it, and what neither explains."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.oracles.world import FACTS, Order, World, after

D = Decimal
GRID = ("equity_minute_refresh", "grid_edge_refresh", "strategy_minute_refresh")
# A Monday in the session of New York, and the close and the next opening around its night.
CLOSE = datetime(2026, 3, 2, 21, 0, tzinfo=UTC)
NEXT_OPEN = datetime(2026, 3, 3, 14, 30, tzinfo=UTC)


def take_in(world: World) -> None:
    world.batch()
    world.tick(FACTS)
    world.tick(GRID)


def points(world: World, view: str, columns: str, account: str = "paper") -> list[tuple[Any, ...]]:
    return list(
        world.client.query(
            f"select grid_at, {columns} from quant.{view} where account = {{account:String}} order by all",
            parameters={"account": account},
        ).result_rows
    )


def minute(number: int) -> datetime:
    return after(60 * number)


def test_a_point_is_the_last_snapshot_of_its_minute_and_a_missing_one_stays_missing(world: World) -> None:
    for seconds, equity in [(1, 100), (59, 101), (60, 102), (61, 103), (200, 104)]:
        world.snapshot(after(seconds), D(equity))
    take_in(world)
    found = points(world, "equity_minute final", "toInt64(equity)")
    assert found == [(minute(1), 102), (minute(2), 103), (minute(4), 104)]


def test_snapshots_of_the_night_count_in_the_first_minute_unless_a_later_one_is_there(world: World) -> None:
    world.snapshot(CLOSE - timedelta(seconds=1), D(1))
    world.snapshot(CLOSE + timedelta(hours=3), D(2))
    world.snapshot(CLOSE + timedelta(hours=3), D(3), account="other")
    world.snapshot(NEXT_OPEN + timedelta(seconds=30), D(4), account="other")
    world.snapshot(CLOSE + timedelta(hours=3), D(5), account="paper-crypto")
    take_in(world)
    first = NEXT_OPEN + timedelta(minutes=1)
    assert points(world, "equity_minute final", "toInt64(equity)") == [(CLOSE, 1), (first, 2)]
    assert points(world, "equity_minute final", "toInt64(equity)", "other") == [(first, 4)]
    crypto = points(world, "equity_minute final", "toInt64(equity)", "paper-crypto")
    assert crypto == [(CLOSE + timedelta(hours=3), 5)]
    # In a batch of its own behind one of the day, nothing else has the night read.
    for at in (NEXT_OPEN + timedelta(hours=1), CLOSE + timedelta(hours=4)):
        world.snapshot(at, D(6), account="alone")
        take_in(world)
    assert points(world, "equity_minute final", "toInt64(equity)", "alone")[0] == (first, 6)


def test_a_late_snapshot_and_one_that_goes_change_their_minute_alone(world: World) -> None:
    for seconds, equity in [(30, 100), (90, 101)]:
        world.snapshot(after(seconds), D(equity))
    take_in(world)
    written = world.client.command("select max(revision) from quant.equity_minute final where account != ''")
    world.snapshot(after(100), D(102))
    take_in(world)
    changed = f"toInt64(equity), revision > {written}"
    assert points(world, "equity_minute final", changed) == [(minute(1), 100, 0), (minute(2), 102, 1)]
    before = world.client.query("select * from quant.equity_minute order by all").result_rows
    take_in(world)
    assert world.client.query("select * from quant.equity_minute order by all").result_rows == before


def test_strategies_explain_the_equity_up_to_the_residual(world: World) -> None:
    first, second = world.strategy("first"), world.strategy("second")

    def trade(strategy: Any, side: str, quantity: int, price: str, seconds: float, fee: str = "0") -> None:
        decision = world.decision(strategy, after(seconds))
        world.order(Order(side, D(quantity), D(price), after(seconds), decision=decision, fee=D(fee)))

    # 10 at 10 of one strategy, -5 at 12 of the other; marks are the account's last trades.
    trade(first, "buy", 10, "10", 30, "1")
    trade(second, "sell", 5, "12", 90, "0.5")
    trade(first, "sell", 4, "11", 150)
    # Equity by the book: -1, then +20 - 0.5, then -6 * 1 + 5 * 1 - 4 * 1; the broker charges 3 more.
    for number, equity in [(1, "999"), (2, "1018.5"), (3, "1010.5")]:
        world.snapshot(minute(number), D(equity))
    take_in(world)
    grid = points(world, "strategy_equity_grid", "strategy_id, toFloat64(pnl), toFloat64(cumulative_pnl)")
    by_strategy = {
        strategy: [(at, pnl, total) for at, one, pnl, total in grid if one == str(strategy)]
        for strategy in (first, second)
    }
    assert by_strategy[first][:4] == [
        (minute(1), -1, -1),
        (minute(2), 20, 19),
        (minute(3), -10, 9),
        (minute(4), 0, 9),
    ]
    assert by_strategy[second][:3] == [(minute(2), -0.5, -0.5), (minute(3), 5, 4.5), (minute(4), 0, 4.5)]
    account = points(world, "account_equity_grid", "equity, flow, strategies_pnl, residual")
    assert account == [
        (minute(1), 999, 0, None, None),
        (minute(2), D("1018.5"), 0, D("19.5"), 0),
        (minute(3), D("1010.5"), 0, -5, -3),
    ]


def test_a_late_fill_changes_the_points_behind_it_and_those_before_stay(world: World) -> None:
    strategy = world.strategy("only")

    def trade(side: str, quantity: int, price: str, seconds: float) -> None:
        decision = world.decision(strategy, after(seconds))
        world.order(Order(side, D(quantity), D(price), after(seconds), decision=decision))

    trade("buy", 1, "10", 30)
    trade("buy", 1, "12", 300)
    take_in(world)
    columns = "strategy_id, toFloat64(unrealized_pnl), toInt64(open_positions), revision"
    before = points(world, "strategy_minute final", columns)
    trade("sell", 1, "11", 150)
    take_in(world)
    late = points(world, "strategy_minute final", columns)
    assert [row for row in late if row[1] and row[0] < minute(3)] == [
        row for row in before if row[1] and row[0] < minute(3)
    ]
    # Flat from the third minute on until the fifth, in which one is bought at the mark.
    assert [row[2:4] for row in late if minute(3) <= row[0] <= minute(5) and row[1]] == [(0, 0), (0, 1)]
    columns = "* except (grid_at, known_until, ledger_revision, revision)"
    again = [row for row in points(world, "strategy_minute final", columns) if row[2]]
    world.client.command("truncate table quant.strategy_minute")
    world.client.command("truncate table quant.grid_edge")
    world.tick(GRID)
    rebuilt = [row for row in points(world, "strategy_minute final", columns) if row[2]]
    # To the end of the session, and not on until today.
    assert rebuilt[-1][0] == CLOSE
    assert rebuilt == again


def test_positions_are_marked_with_the_mid_of_the_minute_and_unpriced_ones_say_so(world: World) -> None:
    strategy = world.strategy("only")
    decision = world.decision(strategy, after(30))
    world.order(Order("buy", D(10), D(10), after(30), decision=decision))
    world.quote("MU", after(80), 13.0)
    world.quote("MU", after(110), 14.0)
    world.quote("MU", after(130), 99.0)
    take_in(world)
    found = points(world, "strategy_equity_grid", "toFloat64(unrealized_pnl)")
    assert found[:4] == [(minute(1), 0), (minute(2), 40), (minute(3), 890), (minute(4), 0)]


def test_the_grid_waits_for_the_mirror(world: World) -> None:
    world.order(Order("buy", D(10), D(10), after(30)))
    world.batch(watermark=after(170))
    world.tick(FACTS)
    world.tick(GRID)
    found = points(world, "strategy_minute final", "strategy_id", "paper")
    assert [row[0] for row in found if row[1]] == [minute(1), minute(2)]


@pytest.mark.parametrize("at", [45, 61])
def test_a_flow_is_no_profit(world: World, at: float) -> None:
    for number, equity in [(1, 100), (2, 160), (3, 160)]:
        world.snapshot(minute(number), D(equity))
    world.client.command(
        "insert into quant.cash_flows (account, flowed_at, amount, source) values"
        f" ('paper', '{after(at):%Y-%m-%d %H:%M:%S}', 50, 'test')"
    )
    try:
        take_in(world)
        world.tick(GRID)
        account = points(world, "account_equity_grid", "flow, strategies_pnl, residual")
        # What came in before the first known point is in its equity.
        flow = 50 if at > 60 else 0
        assert account[1:] == [(minute(2), flow, 0, 60 - flow), (minute(3), 0, 0, 0)]
    finally:
        world.client.command("truncate table quant.cash_flows")
