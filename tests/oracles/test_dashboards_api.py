"""What dashboards ask for beside frames and series: held against the metrics of the moment and against sums by hand."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.e2e.running import PROBLEM
from tests.oracles.world import FACTS, START, Order, World, after

D = Decimal
QUANT = "/control-plane/quant"
GRID = ("equity_minute_refresh", "grid_edge_refresh", "strategy_minute_refresh")


@pytest.fixture
def traded(world: World) -> World:
    """A day of one strategy: five minutes of equity, six orders with quotes around them, one of them rejected."""
    strategy = world.strategy("alpha")
    for number, equity in enumerate((1000, 1100, 990, 1045, 1078)):
        world.snapshot(after(60 * number + 30), D(equity))
    for number in range(6):
        at = after(60 * number)
        # Older than the order and newer than five seconds, by which the mid counts.
        world.quote("AAPL", at - timedelta(seconds=2), 100.0)
        decision = world.decision(strategy, at - timedelta(seconds=1))
        world.order(
            Order(
                "sell" if number == 4 else "buy",
                D(10),
                D("100.5"),
                at,
                symbol="AAPL",
                decision=decision,
                status="rejected" if number == 5 else "filled",
                filled=D(0) if number == 5 else D(10),
                fee=D("0.5"),
            ),
            created_at=at,
        )
    world.batch()
    world.tick((*FACTS, "trade_refresh", "ledger_head_refresh", "order_outcome_refresh"))
    world.tick(GRID)
    return world


def _get(api: httpx.Client, path: str, **query: Any) -> dict[str, Any]:
    answer = api.get(f"{QUANT}/{path}", params=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def _metrics(api: httpx.Client, moment: datetime, window: str = "1h") -> dict[str, dict[str, Any]]:
    frame = _get(api, "snapshot", account="paper", window=window, as_of=moment.isoformat())["frame"]
    return {metric["metric_name"]: metric for metric in frame["metrics"]}


def test_costs_of_orders_are_the_execution_metrics(api: httpx.Client, traded: World) -> None:
    moment = after(400)
    metrics = _metrics(api, moment)
    query = {"account": "paper", "from": metrics["fill_ratio"]["window_start"], "to": moment.isoformat()}
    found = _get(api, "costs", **query)
    total = found["total"]
    assert (total["orders"], total["rejected"], total["fills"]) == (6, 1, 5)
    for name, metric in [
        ("fill_ratio", "fill_ratio"),
        ("reject_rate", "reject_rate"),
        ("cancel_rate", "cancel_rate"),
        ("slippage_bps", "slippage_bps_vs_mid"),
        ("shortfall_bps", "implementation_shortfall_bps"),
    ]:
        assert metrics[metric]["status"] == "ok", metric
        assert total[name] == pytest.approx(metrics[metric]["value"], abs=0.006), name
    # Four bought half a dollar above the mid, one sold that much above it.
    assert total["slippage_cost"] == pytest.approx(10 * 0.5 * 3)
    for parts in found["by"].values():
        assert sum(part["orders"] for part in parts) == total["orders"]
        assert sum(part["slippage_cost"] for part in parts) == pytest.approx(total["slippage_cost"])
    (slippage,) = (one for one in found["distributions"] if one["kind"] == "slippage")
    assert (sum(slippage["counts"]), slippage["orders"]) == (5, 5)
    assert slippage["p50"] == pytest.approx(50)
    assert sum(reason["rejects"] for reason in found["rejects"]) == 1


def test_positions_add_up_to_the_metrics(api: httpx.Client, traded: World) -> None:
    moment = after(301)
    (position,) = _get(api, "positions", account="paper", as_of=moment.isoformat())["positions"]
    assert (position["symbol"], position["quantity"], position["strategy_name"]) == ("AAPL", 30, "alpha")
    assert (position["average_cost"], position["mark_price"], position["mark_source"]) == (100.5, 100, "mid")
    assert position["unrealized_pnl"] == _metrics(api, moment)["unrealized_pnl"]["value"] == -15
    assert _get(api, "positions", account="other", as_of=moment.isoformat())["positions"] == []


def test_the_curve_falls_as_far_as_the_equity(api: httpx.Client, traded: World) -> None:
    query = {"account": "paper", "from": after(60).isoformat(), "to": after(360).isoformat()}
    curve = _get(api, "equity", **query)
    assert curve["step_seconds"] == 60
    assert curve["equity"][:5] == [1000, 1100, 990, 1045, 1078]
    assert curve["pnl"][:5] == pytest.approx([0, 100, -10, 45, 78])
    assert curve["cumulative_return"][:5] == pytest.approx([0, 0.1, -0.01, 0.045, 0.078])
    assert min(curve["drawdown"]) == pytest.approx(990 / 1100 - 1)
    assert all(len(curve[name]) == len(curve["times"]) for name in ("equity", "drawdown", "benchmark_return"))
    # A strategy has what it made, over the equity of its account.
    strategy = _get(api, "equity", strategy_id="alpha", **query)
    assert strategy["equity"] == curve["equity"]
    trends = _get(api, "trends", **{"from": query["from"], "to": query["to"]})["trends"]
    (made,) = (one["values"] for one in trends if one["strategy_id"])
    assert made[-1] - made[0] == pytest.approx(strategy["pnl"][-1])
    assert strategy["pnl"][-1] != 0
    (account,) = (one["values"] for one in trends if not one["strategy_id"])
    assert (account[0], account[-1]) == (1000, 1078)


def test_a_day_is_reconciled(api: httpx.Client, traded: World) -> None:
    query = {"account": "paper", "from": START.isoformat(), "to": after(600).isoformat()}
    (day,) = _get(api, "reconciliation", **query)["days"]
    assert (day["day"], day["equity"], day["flow"]) == (f"{START:%Y-%m-%d}", 1078, 0)
    assert day["strategies_pnl"] + day["residual"] == pytest.approx(78)
    # Of a day with one snapshot nothing can be said.
    traded.snapshot(after(30), D(5), account="alone")
    traded.batch()
    traded.tick((*FACTS, *GRID))
    (day,) = _get(api, "reconciliation", **{**query, "account": "alone"})["days"]
    assert (day["equity"], day["residual"], day["unknown_points"]) == (5, None, 1)


def test_a_past_board_is_what_was_told_then(api: httpx.Client, world: World) -> None:
    now = datetime.now(UTC)
    for seconds, value in [(40, 1.5), (20, 2.5)]:
        world.client.command(
            "insert into quant.quant_metrics_series (strategy_id, account, window, metric_name, as_of, value, quality)"
            " values ('', 'paper', '1h', 'net_pnl', {at:DateTime64(3)}, {value:Float64}, 'good')",
            parameters={"at": now - timedelta(seconds=seconds), "value": value},
        )

    def told(seconds: float) -> list[float | None]:
        moment = (now - timedelta(seconds=seconds)).isoformat()
        answer = api.get("/summary", params={"window": "1h", "as_of": moment})
        assert answer.status_code == 200, answer.text
        return [row["metrics"]["net_pnl"] for row in answer.json()["rows"]]

    assert [told(seconds) for seconds in (10, 30, 50)] == [[2.5], [1.5], []]


def test_the_pipeline_and_its_policies_are_told(api: httpx.Client, traded: World) -> None:
    found = _get(api, "pipeline")
    assert {"mirrors", "feeds", "accounts", "ticks"} <= set(found)
    assert [account["account"] for account in found["accounts"]] == ["paper"]
    policies = _get(api, "policies")["policies"]
    assert len(policies) == traded.client.command("select count() from quant.alert_policies")


@pytest.mark.parametrize(
    ("path", "query", "told"),
    [
        (f"{QUANT}/positions", {"as_of": "2150-01-01"}, "as_of: lies in the future"),
        (f"{QUANT}/costs", {"from": "2026-01-02", "to": "2026-01-01"}, "from"),
        (f"{QUANT}/equity", {"max_points": "5001"}, "max_points"),
        (f"{QUANT}/trends", {"max_points": "1"}, "max_points"),
        ("/summary", {"as_of": "2020-01-01"}, "as_of: the series begins"),
    ],
)
def test_a_wrong_request_is_a_problem(api: httpx.Client, path: str, query: dict[str, str], told: str) -> None:
    answer = api.get(path, params=query)
    assert (answer.status_code, set(answer.json())) == (400, PROBLEM)
    assert told in answer.json()["detail"]
