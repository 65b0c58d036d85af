"""Returns, risk and tails against empyrical, vectorbt and numpy, from mirrored snapshots to frames."""

import json
import math
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import empyrical
import ffn
import numpy as np
import pandas as pd
import pytest
import quantstats
from vectorbt.returns import nb

from tests.oracles.world import FACTS, Order, World, after

D = Decimal
GRID = ("equity_minute_refresh", "grid_edge_refresh", "strategy_minute_refresh")
# Seconds per year of the two calendars, by hand.
XNYS_YEAR = 252 * 390 * 60
CRYPTO_YEAR = 365 * 86_400
METRICS: dict[str, Callable[[np.ndarray, float], float]] = {
    "cumulative_return": lambda r, a: empyrical.cum_returns_final(r),
    "volatility_annualized": lambda r, a: empyrical.annual_volatility(r, annualization=a),
    "downside_volatility_annualized": lambda r, a: empyrical.downside_risk(r, 0, annualization=a),
    "sharpe_annualized": lambda r, a: empyrical.sharpe_ratio(r, 0, annualization=a),
    "sortino_annualized": lambda r, a: empyrical.sortino_ratio(r, 0, annualization=a),
    "max_drawdown": lambda r, a: empyrical.max_drawdown(r),
    "var_95_historical": lambda r, a: empyrical.value_at_risk(r, 0.05),
    "cvar_95_historical": lambda r, a: empyrical.conditional_value_at_risk(r, 0.05),
}


def walk(seed: int, count: int, start: float = 100_000) -> list[Decimal]:
    """A random walk of equity, to the cent."""
    rng = random.Random(seed)
    values = [start]
    for _ in range(count):
        values.append(values[-1] * (1 + rng.gauss(0.0001, 0.004)))
    return [D(f"{value:.2f}") for value in values]


def snapshots(world: World, values: list[Decimal], end: datetime, step: timedelta, account: str = "paper") -> None:
    """One snapshot per step, the last one at `end`."""
    for number, value in enumerate(values):
        world.snapshot(end - (len(values) - 1 - number) * step, value, account=account)


def returns_of(values: list[Decimal]) -> np.ndarray:
    series = np.array([float(value) for value in values])
    return series[1:] / series[:-1] - 1


# Windows with their steps in seconds, the number of these, and the seconds of the calendar's year.
RISKS = [
    ("paper-crypto", "1m", 1, 60, CRYPTO_YEAR),
    ("paper-crypto", "1h", 60, 60, CRYPTO_YEAR),
    ("paper-crypto", "1d", 300, 288, CRYPTO_YEAR),
    ("paper-crypto", "5d", 1800, 240, CRYPTO_YEAR),
    ("paper", "1h", 60, 60, XNYS_YEAR),
]


def test_risk_equals_empyrical_and_vectorbt(world: World) -> None:
    end = datetime(2026, 3, 4, 18, 0, tzinfo=UTC)
    equity: dict[str, dict[datetime, Decimal]] = {}
    for account in ("paper-crypto", "paper"):
        grids = [grid for grid in RISKS if grid[0] == account]
        moments = sorted({end - number * timedelta(seconds=g[2]) for g in grids for number in range(g[3] + 1)})
        equity[account] = dict(zip(moments, walk(len(moments), len(moments) - 1), strict=True))
        for moment, value in equity[account].items():
            world.snapshot(moment, value, account=account)
    world.batch()
    world.tick()
    frames = world.frames(end)
    for account, window, step, count, year in RISKS:
        frame, place = frames["", account, window], (account, window)
        points = [end - number * timedelta(seconds=step) for number in reversed(range(count + 1))]
        values = [equity[account][point] for point in points]
        returns, periods = returns_of(values), year / step
        for name, peer in METRICS.items():
            row = frame[name]
            assert row["status"] == "ok", (*place, name, row["reason"])
            assert row["value"] == pytest.approx(peer(returns, periods), rel=1e-9), (*place, name)
            assert row["sample_count"] == count
        assert frame["volatility_annualized"]["value"] == pytest.approx(
            nb.annualized_volatility_1d_nb(returns, periods), rel=1e-9
        )
        assert f'"periods_per_year":{periods:g}' in frame["sharpe_annualized"]["meta"] or periods > 1e6
        series = pd.Series(returns, index=pd.date_range("2020-01-01", periods=count, freq="D"))
        for name, peer in {
            "volatility_annualized": quantstats.stats.volatility(series, periods=periods),
            "sharpe_annualized": quantstats.stats.sharpe(series, periods=periods),
            "sortino_annualized": ffn.calc_sortino_ratio(series, nperiods=periods),
            "max_drawdown": ffn.calc_max_drawdown(pd.Series([float(value) for value in values])),
        }.items():
            assert frame[name]["value"] == pytest.approx(peer, rel=1e-9), (*place, name)
        if window == "5d":
            expected = empyrical.calmar_ratio(returns, annualization=periods)
            assert frame["calmar"]["value"] == pytest.approx(expected, rel=1e-9)
        else:
            assert (frame["calmar"]["value"], frame["calmar"]["reason"]) == (None, "window_too_short")


def test_twenty_sessions_of_half_hours_with_nights_between_equal_empyrical(world: World) -> None:
    import exchange_calendars

    calendar = exchange_calendars.get_calendar("XNYS", start="2026-01-01", end="2026-12-31")
    end = pd.Timestamp("2026-03-13 20:00", tz="UTC")
    sessions = calendar.schedule[calendar.schedule.close <= end].iloc[-21:]
    moments = [sessions.close.iloc[0]] + [
        session.open + number * pd.Timedelta(minutes=30)
        for session in sessions.iloc[1:].itertuples()
        for number in range(1, 14)
    ]
    values = walk(5, len(moments) - 1)
    for moment, value in zip(moments, values, strict=True):
        world.snapshot(moment.to_pydatetime(), value)
    world.batch()
    world.tick()
    frame = world.frame(end.to_pydatetime(), "20d")
    returns, periods = returns_of(values), XNYS_YEAR / 1800
    assert len(returns) == 260
    for name, peer in METRICS.items():
        assert frame[name]["value"] == pytest.approx(peer(returns, periods), rel=1e-9), name
    assert frame["calmar"]["value"] == pytest.approx(empyrical.calmar_ratio(returns, annualization=periods), rel=1e-9)


# Equity by the minute, and the minutes of its drawdown.
DRAWDOWNS = [
    # Peak, fall, back at the peak: from the peak to the recovery.
    ([100, 90, 80, 90, 100, 101], 4, True),
    # Two falls, the second longer and never made good: to the end of the window.
    ([100, 95, 100, 110, 90, 95, 96], 3, False),
    ([100, 101, 102], 0, True),
    ([100, 100, 100], 0, True),
    # The peak is the last of equal highs.
    ([100, 100, 90, 100], 2, True),
    # A first loss counts: the first point is a high.
    ([100, 75, 76], 2, False),
]


def test_drawdown_duration_runs_from_the_high_to_its_recovery(world: World) -> None:
    end = datetime(2026, 3, 4, 18, 0, tzinfo=UTC)
    for number, (values, _, _) in enumerate(DRAWDOWNS):
        padded = [values[0]] * (61 - len(values)) + values
        snapshots(world, [D(value) for value in padded], end, timedelta(minutes=1), f"a{number}")
    world.batch()
    world.tick()
    frames = world.frames(end, group="risk")
    for number, (values, minutes, recovered) in enumerate(DRAWDOWNS):
        row = frames["", f"a{number}", "1h"]["drawdown_duration_minutes"]
        assert (row["value"], row["status"]) == (minutes, "ok"), values
        if minutes:
            assert f'"is_recovered":{str(recovered).lower()}' in row["meta"], values


def test_edge_cases_have_reasons(world: World) -> None:
    end = datetime(2026, 3, 4, 18, 0, tzinfo=UTC)
    minute = timedelta(minutes=1)
    snapshots(world, [D(100)] * 61, end, minute, "paper-crypto")
    snapshots(world, [D(100 + number) for number in range(61)], end, minute, "paper")
    snapshots(world, [D(50 - number) for number in range(61)], end, minute, "sinking")
    snapshots(world, walk(1, 60)[:12] + walk(1, 60)[50:], end, minute, "sparse")
    snapshots(world, walk(2, 10), end, minute, "young")
    world.batch()
    world.tick()

    frames = world.frames(end)

    def said(account: str, metric: str) -> tuple[float | None, str]:
        row = frames["", account, "1h"][metric]
        assert row["value"] is None or math.isfinite(row["value"])
        assert (row["value"] is None) == (row["status"] == "insufficient_data")
        return row["value"], row["reason"]

    assert said("paper-crypto", "volatility_annualized") == (0, "")
    assert said("paper-crypto", "downside_volatility_annualized") == (0, "")
    assert said("paper-crypto", "sharpe_annualized") == (None, "zero_variance")
    assert said("paper-crypto", "sortino_annualized") == (None, "zero_denominator")
    assert said("paper-crypto", "var_95_historical") == (0, "")
    assert said("paper-crypto", "beta_vs_benchmark") == (None, "no_benchmark")
    assert said("paper", "sortino_annualized") == (None, "zero_denominator")
    assert said("paper", "max_drawdown") == (0, "")
    assert said("sinking", "sharpe_annualized") == (None, "nonpositive_equity")
    assert said("sinking", "cumulative_return") == (None, "nonpositive_equity")
    assert said("sinking", "max_drawdown")[0] == pytest.approx(-10 / 50 - 1)
    assert said("young", "volatility_annualized") == (None, "below_min_samples")
    assert said("young", "cumulative_return") == (None, "no_opening_state")
    assert said("sparse", "volatility_annualized")[1] in ("below_min_samples", "low_coverage")


def test_flows_are_no_returns(world: World) -> None:
    end = datetime(2026, 3, 4, 18, 0, tzinfo=UTC)
    values = walk(8, 60)
    flow_at = end - timedelta(minutes=20)
    rich = [
        value + (D(50_000) if end - timedelta(minutes=60 - number) >= flow_at else 0)
        for number, value in enumerate(values)
    ]
    snapshots(world, rich, end, timedelta(minutes=1), "paper-crypto")
    world.client.command(
        "insert into quant.cash_flows (account, flowed_at, amount, source)"
        f" values ('paper-crypto', '{flow_at:%Y-%m-%d %H:%M:%S}', 50000, 'test')"
    )
    world.batch()
    world.tick()
    try:
        frame = world.frame(end, "1h", "paper-crypto")
    finally:
        world.client.command("truncate table quant.cash_flows")
    equity = np.array([float(value) for value in rich])
    flows = np.zeros(60)
    flows[39] = 50_000
    returns = (equity[1:] - flows) / equity[:-1] - 1
    assert frame["cumulative_return"]["value"] == pytest.approx(empyrical.cum_returns_final(returns), rel=1e-9)
    assert frame["max_drawdown"]["value"] == pytest.approx(empyrical.max_drawdown(returns), rel=1e-9)
    assert frame["volatility_annualized"]["value"] == pytest.approx(
        empyrical.annual_volatility(returns, annualization=CRYPTO_YEAR / 60), rel=1e-9
    )


def test_beta_equals_empyrical(world: World) -> None:
    end = datetime(2026, 3, 4, 18, 0, tzinfo=UTC)
    rng = np.random.default_rng(3)
    market = 90_000 * np.cumprod(1 + rng.normal(0, 0.001, 61))
    equity = [D(f"{value:.2f}") for value in 100_000 * (market / market[0]) ** 1.4 * (1 + rng.normal(0, 1e-4, 61))]
    snapshots(world, equity, end, timedelta(minutes=1), "paper-crypto")
    rows = []
    for number, close in enumerate(market):
        at = end - timedelta(minutes=60 - number)
        rows.append(["BTC/USD", at - timedelta(seconds=1), at, 1, at, float(close)])
    world.client.insert(
        "torghut.ta_microbars", rows, column_names=["symbol", "event_ts", "window_end", "seq", "ingest_ts", "c"]
    )
    world.batch()
    world.tick()
    row = world.frame(end, "1h", "paper-crypto", group="exposure")["beta_vs_benchmark"]
    expected = empyrical.beta(returns_of(equity), market[1:] / market[:-1] - 1)
    assert (row["status"], row["sample_count"]) == ("ok", 60)
    assert row["value"] == pytest.approx(expected, rel=1e-9)
    assert json.loads(row["meta"])["benchmark"] == "BTC/USD"


def test_intraday_return_begins_with_the_session_whatever_the_window(world: World) -> None:
    # Monday, 2 March 2026: the session opens at 14:30 UTC; Friday's closed at 21:00.
    friday, monday = datetime(2026, 2, 27, 21, 0, tzinfo=UTC), datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
    world.snapshot(friday, D(1000))
    for minutes in range(5, 61, 5):
        world.snapshot(monday + timedelta(minutes=minutes), D(1000 + minutes))
    world.snapshot(monday + timedelta(minutes=390), D(1100))
    world.batch()
    world.tick()
    frames = world.frames(monday + timedelta(minutes=60), group="performance")
    for window in ("1m", "1h", "20d"):
        row = frames["", "paper", window]["intraday_return"]
        assert row["value"] == pytest.approx(0.06), (window, row["reason"])
    # At night, what the last session made.
    night = world.frame(monday + timedelta(hours=12), "1h", group="performance")["intraday_return"]
    assert night["value"] == pytest.approx(0.1)
    assert '"stale_session":true' in night["meta"]


def test_contributions_of_strategies_add_up_to_the_return_of_their_account(world: World) -> None:
    first, second = world.strategy("first"), world.strategy("second")
    rng = random.Random(7)
    begin = after(0)
    prices = [D(100)]
    for _ in range(90):
        prices.append(prices[-1] + D(rng.randint(-40, 40)) / 100)
    quotes = []
    held = {first: D(0), second: D(0)}
    cash = D(100_000)
    for number in range(91):
        at = begin + timedelta(minutes=number)
        if number % 10 == 5:
            strategy = [first, second][(number // 10) % 2]
            side, quantity = ("sell", held[strategy]) if held[strategy] else ("buy", D(50 + number))
            world.order(Order(side, quantity, prices[number], at, decision=world.decision(strategy, at), fee=D(1)))
            held[strategy] += quantity if side == "buy" else -quantity
            cash -= quantity * prices[number] * (1 if side == "buy" else -1) + 1
        quotes.append(("MU", at, float(prices[number])))
        world.snapshot(at, cash + sum(held.values()) * prices[number])
    world.quotes(quotes)
    world.batch(watermark=datetime.now(UTC))
    world.tick((*FACTS, "strategy_hour_refresh", "strategy_day_refresh", "position_hour_refresh", *GRID))
    end = begin + timedelta(minutes=88)
    # Known up to the minute that a strategy's value is there for certain.
    frames = world.frames(end, group="performance")
    account = frames["", "paper", "1h"]["cumulative_return"]
    shares = [frames[str(strategy), "paper", "1h"]["cumulative_return"] for strategy in (first, second)]
    assert [share["status"] for share in shares] == ["ok", "ok"], shares
    assert all('"basis":"contribution"' in share["meta"] for share in shares)
    late = world.frame(end - timedelta(minutes=2), "1h", group="performance")
    assert account["status"] == "ok"
    # The contributions end two minutes earlier; between equal ends they add up, up to compounding.
    total = sum(share["value"] for share in shares)
    assert total == pytest.approx(late["cumulative_return"]["value"], abs=5e-4)
