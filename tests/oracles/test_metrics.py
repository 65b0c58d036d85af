"""The metrics against empyrical and hand-worked cases, through the whole path from mirrored rows to frames."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import empyrical
import exchange_calendars
import pandas as pd
import pytest

from tests.oracles.world import FACTS, TIERS, VIEWS, Order, World, after

D = Decimal
CALENDAR = exchange_calendars.get_calendar("XNYS", start="2025-01-01", end="2026-12-31")
CLOSES = [close.to_pydatetime() for close in CALENDAR.schedule.close if close < pd.Timestamp("2026-02-10", tz="UTC")]


@pytest.mark.parametrize("at_midnight", [False, True])
def test_return_and_drawdown_of_daily_equity_equal_empyrical(world: World, at_midnight: bool) -> None:
    rng = random.Random(4)
    value, values = 100_000.0, {}
    for close in CLOSES[-30:]:
        value = round(value * (1 + rng.gauss(0.0005, 0.01)), 2)
        # Daily files are stamped at midnight.
        moment = datetime(close.year, close.month, close.day, tzinfo=UTC) if at_midnight else close
        values[moment] = value
        world.snapshot(moment, D(str(value)))
    world.batch()
    world.tick()
    equity = pd.Series(values)
    frames = world.frames(equity.index[-1])
    changes = equity.pct_change()
    for sessions in (1, 5, 20):
        frame, returns = frames["", "paper", f"{sessions}d"], changes.iloc[-sessions:]
        assert frame["cumulative_return"]["value"] == pytest.approx(empyrical.cum_returns_final(returns), rel=1e-9)
        assert frame["max_drawdown"]["value"] == pytest.approx(empyrical.max_drawdown(returns), rel=1e-9)
        assert frame["cumulative_return"]["sample_count"] == sessions
        assert frame["cumulative_return"]["status"] == "ok"


def test_the_first_loss_is_a_drawdown(world: World) -> None:
    for number, equity in enumerate([100, 90, 95]):
        world.snapshot(after(20 * number), D(equity))
    world.batch()
    world.tick()
    frame = world.frame(after(60), "1m")
    assert frame["max_drawdown"]["value"] == pytest.approx(-0.1)
    assert frame["cumulative_return"]["value"] == pytest.approx(-0.05)


def test_reasons_of_missing_equity(world: World) -> None:
    world.order(Order("buy", D(1), D(10), after(0), account="bare"))
    for number in range(6):
        world.snapshot(after(15 * number), D(100), account="fresh")
        world.snapshot(after(15 * number), D(-5), account="broke")
    world.batch()
    world.tick()

    frames = {seconds: world.frames(after(seconds)) for seconds in (75, 3600)}
    frames[3600 * 8] = world.frames(after(3600 * 8), group="performance")

    def reason(account: str, seconds: int, window: str, metric: str = "cumulative_return") -> str:
        row = frames[seconds]["", account, window][metric]
        assert (row["value"] is None) == (row["status"] == "insufficient_data")
        return str(row["reason"])

    assert reason("bare", 75, "1m") == "no_source_rows"
    assert reason("fresh", 75, "1m") == ""
    assert reason("fresh", 75, "5m") == "no_opening_state"
    assert reason("fresh", 75, "5m", "max_drawdown") == "low_coverage"
    assert reason("fresh", 3600, "1m") == "stale_source"
    assert reason("fresh", 3600, "1m", "leverage_gross_over_equity") == "stale_source"
    assert reason("broke", 75, "1m") == "nonpositive_equity"
    assert reason("broke", 75, "1m", "leverage_gross_over_equity") == "nonpositive_equity"
    assert reason("fresh", 3600 * 8, "1m") == "out_of_session"


def test_profit_of_a_window_moves_with_the_mark_and_reconciles_with_equity(world: World) -> None:
    decision = world.decision(world.strategy("alone"), after(-3600))
    world.order(Order("buy", D(10), D(100), after(-1800), decision=decision, fee=D(1)))
    world.order(Order("sell", D(4), D(110), after(0), decision=decision, fee=D(2)))
    world.quote("MU", after(-301), 104.0)
    world.quote("MU", after(-1), 107.0)
    world.batch()
    world.tick()
    now = datetime.now(UTC)
    frame = world.frame(after(0), "5m", known_at=now)
    # 10 at 100, marked 104 at the start and 107 at the end; 4 sold at 110.
    assert frame["realized_pnl"]["value"] == pytest.approx(40)
    assert frame["unrealized_pnl"]["value"] == pytest.approx(6 * 7)
    assert frame["net_pnl"]["value"] == pytest.approx(40 + 42 - 40 - 2)
    assert frame["net_pnl"]["reason"] == ""
    assert frame["realized_pnl"]["sample_count"] == 1
    assert frame["gross_exposure"]["value"] == pytest.approx(6 * 107)
    # Nothing that came later changes what was known of that moment.
    world.order(Order("sell", D(6), D(1), after(10), decision=decision, fee=D(1)))
    world.quote("MU", after(10), 1.0)
    world.batch()
    world.tick()
    again = world.frame(after(0), "5m", known_at=now)
    # But how far the mirror is, which it names.
    assert again.pop("metrics_pipeline_lag_seconds")["value"] == frame.pop("metrics_pipeline_lag_seconds")["value"]
    assert again == frame


def test_an_unknown_fee_is_visible_and_an_old_quote_is_no_mark(world: World) -> None:
    world.order(Order("buy", D(10), D(100), after(-20)))
    world.order(Order("buy", D(10), D(100), after(-10), fee=D(1)))
    world.quote("MU", after(-120), 500.0)
    world.batch()
    world.tick()
    frame = world.frame(after(0), "1h", group="performance")
    assert frame["unrealized_pnl"]["value"] == 0
    assert frame["net_pnl"]["value"] == pytest.approx(-1)
    assert (frame["net_pnl"]["status"], frame["net_pnl"]["reason"]) == ("ok", "missing_fee")
    assert '"fee_uncovered_notional_share":0.5' in frame["net_pnl"]["meta"]
    assert '"mark_sources":["trade"]' in frame["unrealized_pnl"]["meta"]


def test_a_trade_is_a_closing_order_counted_at_its_last_fill(world: World) -> None:
    decision = world.decision(world.strategy("trader"))
    world.order(Order("buy", D(30), D(10), after(-300), decision=decision, fee=D(3)))
    partial = world.order(Order("sell", D(20), D("10.5"), after(-5), decision=decision, fee=D(2)))
    world.event(partial, after(-90), D(10), D(10))
    world.event(partial, after(-5), D(20), D("10.5"))
    world.order(Order("sell", D(5), D("10.2"), after(-3), decision=decision, fee=D("0.5")))
    world.order(Order("sell", D(5), D(9), after(-2), decision=decision, fee=D("0.5")))
    world.batch()
    world.tick()
    frame = world.frame(after(0), "1m", group="trades")
    # 10 - 4 wins; 1 - 1 breaks even; -5 - 1 loses.
    assert frame["trade_count"]["value"] == 3
    assert frame["win_rate"]["value"] == pytest.approx(1 / 3)
    assert '"wins":1,"losses":1,"breakevens":1' in frame["win_rate"]["meta"]
    empty = world.frame(after(-200), "1m")
    assert empty["trade_count"]["value"] == 0
    assert (empty["win_rate"]["value"], empty["win_rate"]["reason"]) == (None, "no_trades")
    assert empty["realized_pnl"]["value"] == 0


def test_exposure_of_the_account_is_the_brokers_and_of_a_strategy_the_ledgers(world: World) -> None:
    strategy = world.strategy("short")
    world.order(Order("sell", D(3), D(50), after(-10), decision=world.decision(strategy)))
    positions = [
        {"symbol": "MU", "qty": "3", "side": "short", "market_value": "153", "current_price": "51"},
        {"symbol": "NVDA", "qty": "2", "side": "long", "market_value": "200", "current_price": "100"},
    ]
    world.snapshot(after(-5), D(1000), positions=positions)
    world.batch()
    world.tick()
    frames = world.frames(after(0))
    account = frames["", "paper", "1h"]
    assert account["gross_exposure"]["value"] == pytest.approx(353)
    assert account["net_exposure"]["value"] == pytest.approx(47)
    assert account["leverage_gross_over_equity"]["value"] == pytest.approx(0.353)
    own = frames[str(strategy), "paper", "1h"]
    # The snapshot's price is younger than the trade.
    assert own["gross_exposure"]["value"] == pytest.approx(153)
    assert own["net_exposure"]["value"] == pytest.approx(-153)
    assert own["unrealized_pnl"]["value"] == pytest.approx(-3)


def test_flows_add_up_over_scopes(world: World) -> None:
    first, second = world.strategy("first"), world.strategy("second")
    for number, (strategy, account) in enumerate([(first, "paper"), (second, "paper"), (first, "other")]):
        decision = world.decision(strategy, alpaca_account_label=account)
        world.order(Order("buy", D(1), D(10), after(-30), account=account, decision=decision, fee=D(0)))
        world.order(Order("sell", D(1), D(11 + number), after(-20), account=account, decision=decision, fee=D(0)))
    world.snapshot(after(-60), D(100))
    world.snapshot(after(-5), D(101))
    world.batch()
    world.tick()

    frames = world.frames(after(0), group="performance")

    def realized(account: str, strategy: str) -> float:
        return float(frames[strategy, account, "5m"]["realized_pnl"]["value"])

    assert [realized("paper", str(first)), realized("paper", str(second))] == [1, 2]
    assert realized("paper", "") == 3
    assert realized("", str(first)) == 4
    assert realized("", "") == 6
    # Until the strategies are valued by minute, what they contributed to the account's return is not known.
    shared = frames[str(first), "paper", "1m"]["cumulative_return"]
    assert (shared["value"], shared["reason"]) == (None, "stale_source")
    assert '"basis":"contribution"' in shared["meta"]


def test_what_is_served_is_stale_when_it_is_older_than_its_tier_may_be(world: World) -> None:
    """15 s and the time from tick to tick."""
    # No tick of before is left to replace what is written here.
    world.tick()
    for tier, metric in (("light", "net_pnl"), ("medium", "sharpe_annualized"), ("heavy", "var_95_historical")):
        for account, seconds in (("a", 12), ("b", 19), ("c", 40), ("d", 60)):
            world.client.command(
                f"insert into quant.latest_{tier} (account, window, metric_name, status, quality, watermark)"
                f" values ('{account}', '1d', '{metric}', 'ok', 'good', now64(6) - toIntervalSecond({seconds}))"
            )
    rows = world.client.query(
        "select metric_name, groupArray(quality) from (select * from quant.api_metric_frames_latest order by account)"
        " where account != '' group by metric_name order by metric_name"
    ).result_rows
    good, stale = "good", "stale"
    assert rows == [
        ("net_pnl", [good, stale, stale, stale]),
        ("sharpe_annualized", [good, good, stale, stale]),
        ("var_95_historical", [good, good, good, stale]),
    ]


def test_freshness_comes_from_the_mirror_and_a_closed_market_is_not_stale(world: World) -> None:
    world.order(Order("buy", D(1), D(10), after(-600), fee=D(0)))
    world.batch(watermark=after(0))
    world.tick()

    def realized(seconds: float) -> dict[str, Any]:
        return world.frame(after(seconds), group="performance")["realized_pnl"]

    assert realized(10)["quality"] == "good"
    late = realized(100)
    assert (late["quality"], late["freshness_seconds"], late["watermark"]) == ("stale", 100, after(0))
    assert late["reason"] == "stale_source"
    assert realized(12 * 3600)["quality"] == "closed"


def test_the_tier_writes_what_changed_and_keeps_one_row_per_metric(world: World) -> None:
    world.order(Order("buy", D(1), D(10), datetime.now(UTC) - timedelta(hours=1), fee=D(0)))
    world.batch()
    world.tick((*FACTS, *TIERS))
    latest = world.client.command(
        "select count(), uniq(strategy_id, account, window, metric_name) from quant.quant_metrics_latest"
    )
    written = world.client.command("select count() from quant.quant_metrics_series")
    assert list(map(int, latest)) == [written, written]
    assert written > 0
    world.batch()
    world.tick((*FACTS, *TIERS))
    # The lag of the mirror is another one each time.
    again = world.client.query(
        "select groupUniqArray(metric_name) from quant.quant_metrics_series"
        " where as_of > (select min(as_of) from quant.quant_metrics_series where tier = 'heavy')"
    ).result_rows[0][0]
    assert set(again) <= {"metrics_pipeline_lag_seconds"}
    written = world.client.command("select count() from quant.quant_metrics_series")
    world.order(Order("sell", D(1), D(12), datetime.now(UTC) - timedelta(seconds=1), fee=D(0)))
    world.batch()
    world.tick((*FACTS, *TIERS))
    changed = world.client.command("select count() from quant.quant_metrics_series") - written
    assert 0 < changed < written
    served = world.client.query(
        "select distinct metric_name, value from quant.api_metric_frames_latest"
        " where account = 'paper' and strategy_id = '' and window = '1d' and metric_name = 'realized_pnl'"
    ).result_rows
    assert served == [("realized_pnl", 2)]


def test_the_live_tier_equals_the_frames_of_its_moment(world: World) -> None:
    strategies = [world.strategy("first"), world.strategy("second")]
    now = datetime.now(UTC)
    for number, (side, quantity, price, fee) in enumerate(random_trades(11, 40)):
        decision = world.decision(strategies[number % 2], now)
        at = now - timedelta(minutes=3 * (40 - number))
        world.order(Order(side, quantity, price, at, account=f"a{number % 3}", decision=decision, fee=fee))
    for minute in range(120):
        world.snapshot(now - timedelta(minutes=minute), D(1000 + minute % 7), account=f"a{minute % 3}")
    world.batch()
    # A stage that is refreshed again for the same moment changes nothing.
    world.tick(view for view in VIEWS for _ in range(2 if view.startswith("live_") else 1))
    columns = [
        "strategy_id",
        "account",
        "window",
        "metric_name",
        "as_of",
        "value",
        "status",
        "reason",
        "sample_count",
        "window_start",
        "meta",
    ]
    live = world.client.query(f"select {', '.join(columns)} from quant.quant_metrics_latest").result_rows
    moment = live[0][4]
    assert len(live) > 100
    asked = [row for frame in world.frames(moment, moment).values() for row in frame.values()]
    assert sorted(map(str, live)) == sorted(str(tuple(row[name] for name in columns)) for row in asked)


def random_trades(seed: int, count: int) -> list[tuple[str, Decimal, Decimal, Decimal]]:
    """A random walk of small orders with fees."""
    rng = random.Random(seed)
    return [(rng.choice(["buy", "sell"]), D(rng.randint(1, 9)), D(rng.randint(90, 110)), D(1)) for _ in range(count)]


def test_a_past_frame_does_not_depend_on_how_the_facts_arrived(world: World) -> None:
    decision = world.decision(world.strategy("any"))
    orders = [
        Order(side, D(quantity), D(price), after(number), decision=decision, fee=D(1))
        for number, (side, quantity, price) in enumerate(
            [("buy", 5, 10), ("sell", 8, 12), ("buy", 4, 9), ("sell", 2, 15)]
        )
    ]
    for order in orders:
        world.order(order)
    world.batch(watermark=after(60))
    world.tick()
    together = world.frame(after(30), "1m")
    world.clear()
    decision = world.decision(decision)
    for order in reversed(orders):
        world.order(order)
        world.batch(watermark=after(60))
        world.tick(FACTS)
    apart = world.frame(after(30), "1m")
    for name in ("realized_pnl", "unrealized_pnl", "net_pnl", "trade_count", "win_rate"):
        assert apart[name]["value"] == together[name]["value"], name
