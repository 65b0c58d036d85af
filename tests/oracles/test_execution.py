"""The metrics of execution against published cases, numpy and plain Python, from mirrored rows to frames."""

import json
import random
import uuid
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from orchestration.transform.on_demand import sql_moment
from tests.oracles.world import FACTS, START, Order, World, after

D = Decimal
TAKEN_IN = (*FACTS, "order_outcome_refresh")
METRICS = {
    "fill_ratio",
    "reject_rate",
    "cancel_rate",
    "slippage_bps_vs_mid",
    "implementation_shortfall_bps",
    "decision_to_submit_latency_ms_p50",
    "decision_to_submit_latency_ms_p95",
    "submit_to_fill_latency_ms_p50",
    "submit_to_fill_latency_ms_p95",
    "route_provenance_coverage_ratio",
    "route_unknown_ratio",
    "route_fallback_ratio",
}


def take_in(world: World) -> None:
    world.batch()
    world.tick(TAKEN_IN)


def frames(world: World, as_of: datetime) -> dict[tuple[str, str, str], dict[str, dict[str, Any]]]:
    """All frames of a moment, by strategy, account and window."""
    found = world.frames(as_of, group="execution")
    for rows in found.values():
        for row in rows.values():
            row["meta"] = json.loads(row["meta"])
    return found


def frame(
    world: World, as_of: datetime, window: str = "1h", account: str = "paper", strategy: str = ""
) -> dict[str, dict[str, Any]]:
    """One frame by metric name."""
    return frames(world, as_of)[strategy, account, window]


def outcomes(world: World, columns: str) -> list[tuple[Any, ...]]:
    query = f"select {columns} from quant.order_outcome final where account != '' order by submitted_at"
    return [tuple(row) for row in world.client.query(query).result_rows]


def partial(world: World, order: Order, at: datetime, quantity: Decimal, price: Decimal, total: Decimal) -> None:
    """A fill as the broker's feed tells it: its own quantity and price, and the order's total so far."""
    raw = json.dumps({"payload": {"qty": str(quantity), "price": str(price)}})
    world.event(order, at, total, D(0), avg_fill_price=None, raw_event=raw)


# The examples of impShortfall in the R package blotter: 500 shares a fill, 10 a fill in fees, decided at 10.
PUBLISHED = {
    "complete": ([10, 11] * 5, "10", 2600, 520, (0, 2500, 0, 100)),
    "Perold": ([10, 10, 11, 10, 11, 10, 11, 11], "10", 3080, 616, (0, 2000, 1000, 80)),
    "Wagner": ([10, 10, 11, 10, 11, 10, 11, 11], "10.25", 3080, 616, (1250, 1000, 750, 80)),
}


def test_shortfall_equals_the_published_cases(world: World) -> None:
    cases = {f"{side} {name}": (side, *case) for name, case in PUBLISHED.items() for side in ("buy", "sell")}
    strategy = world.strategy("s")
    for case, (side, prices, arrival, *_) in cases.items():
        # Sold instead of bought, prices mirrored at the decision cost the same.
        mirrored = {price: D(price) if side == "buy" else 20 - D(price) for price in (*prices, "10", arrival, "11")}
        decision = world.decision(strategy, after(0), alpaca_account_label=case, symbol=case)
        filled = D(500 * len(prices))
        order = Order(
            side,
            D(5000),
            sum((mirrored[price] for price in prices), D(0)) / len(prices),
            after(100),
            account=case,
            symbol=case,
            decision=decision,
            filled=filled,
            fee=D(10 * len(prices)),
            status="filled" if filled == 5000 else "canceled",
        )
        world.order(order, created_at=after(10))
        for number, price in enumerate(prices, start=1):
            partial(world, order, after(10 + number), D(500), mirrored[price], D(500 * number))
        for seconds, mid in [(-1, "10"), (9, arrival), (99, "11")]:
            world.quote(case, after(seconds), float(mirrored[mid]))
    take_in(world)
    found = frames(world, after(120))
    for case, (_, _, _, total, bps, split) in cases.items():
        row = found["", case, "1h"]["implementation_shortfall_bps"]
        assert row["value"] == pytest.approx(bps), case
        assert row["sample_count"] == 1
        meta = row["meta"]
        assert (meta["delay"], meta["trading"], meta["opportunity"], meta["fees"]) == split, case
        assert meta["cost"] == total == sum(split)


def test_slippage_equals_the_sources_own_case(world: World) -> None:
    world.order(Order("buy", D(2), D(101), after(10)))
    world.quote("MU", after(8), 100.0)
    take_in(world)
    row = frame(world, after(20))["slippage_bps_vs_mid"]
    assert row["value"] == pytest.approx(100)
    assert (row["sample_count"], row["meta"]["cost"]) == (1, 2)


def test_nothing_happened_is_a_reason_and_never_a_number(world: World) -> None:
    world.snapshot(after(0), D(100))
    take_in(world)
    found = frame(world, after(10))
    assert set(found) == METRICS
    assert {row["value"] for row in found.values()} == {None}
    reasons = {name: row["reason"] for name, row in found.items()}
    assert {name for name, reason in reasons.items() if reason == "below_min_samples"} == {
        name for name in METRICS if "latency" in name
    }
    assert {reason for name, reason in reasons.items() if "latency" not in name} == {"no_source_rows"}


def test_ratios_are_of_the_orders_that_ended(world: World) -> None:
    def add(status: str, quantity: int, filled: int, **columns: Any) -> None:
        price = D(10) if filled else None
        order = Order("buy", D(quantity), price, after(10), filled=D(filled), status=status)
        world.order(order, **columns)

    add("filled", 10, 10)
    add("canceled", 10, 4)
    add("expired", 10, 0, raw_order=json.dumps({"limit_price": "20"}))
    add("rejected", 10, 0, raw_order=json.dumps({"limit_price": "10"}))
    # Neither open nor replaced orders ended.
    add("new", 100, 0)
    add("partially_filled", 100, 50)
    add("replaced", 100, 50)
    # Without any price, an order has no weight.
    add("canceled", 1000, 0)
    take_in(world)
    found = frame(world, after(20))
    assert found["fill_ratio"]["value"] == pytest.approx(140 / (100 + 100 + 200 + 100))
    assert found["fill_ratio"]["meta"] == {
        "orders": 5,
        "order_fill_ratio": 0.2,
        "qty_fill_ratio": pytest.approx(14 / 1040),
        "basis": "notional",
        "unpriced_orders": 1,
    }
    assert found["reject_rate"]["value"] == pytest.approx(1 / 5)
    assert found["cancel_rate"]["value"] == pytest.approx(3 / 5)
    assert found["cancel_rate"]["meta"] == {"orders": 5, "canceled": 2, "expired": 1, "replaced": 1}
    assert found["cancel_rate"]["sample_count"] == 5


def test_without_any_price_plain_quantities_are_compared(world: World) -> None:
    for account, quantity in [("paper", 10), ("other", 0)]:
        world.snapshot(after(0), D(100), account=account)
        world.order(Order("buy", D(quantity), None, after(10), account, filled=D(0), status="canceled"))
    take_in(world)
    row = frame(world, after(20))["fill_ratio"]
    assert (row["value"], row["meta"]["basis"]) == (0, "quantity")
    row = frame(world, after(20), account="other")["fill_ratio"]
    assert (row["value"], row["reason"]) == (None, "zero_denominator")


def test_an_order_is_weighted_with_the_mid_at_its_arrival(world: World) -> None:
    for symbol, mid, filled in [("MU", 100.0, 0), ("DOGE", 0.2, 1000)]:
        status = "filled" if filled else "canceled"
        order = Order("buy", D(1000), D("0.2") if filled else None, after(10), symbol=symbol, filled=D(filled))
        world.order(replace(order, status=status))
        world.quote(symbol, after(9), mid + 2)
        world.quote(symbol, after(10), mid + 2)
    world.client.command("truncate table torghut.ta_signals")
    world.quote("MU", after(10), 100.0)
    world.quote("DOGE", after(10), 2.0)
    take_in(world)
    row = frame(world, after(20))["fill_ratio"]
    assert row["value"] == pytest.approx(2 / 102)


def test_vetoes_are_no_rejects(world: World) -> None:
    strategy = world.strategy("s")

    def rejected(**document: object) -> uuid.UUID:
        text = json.dumps({"action": "buy", "qty": "1", **document})
        return world.decision(strategy, after(5), status="rejected", decision_json=text)

    rejected(risk_reasons=["llm_veto"])
    rejected(risk_reasons=["local_pre_submit_rejected"])
    rejected(risk_reasons=["broker_precheck_rejected code=1"])
    take_in(world)
    row = frame(world, after(20))["reject_rate"]
    assert (row["value"], row["reason"], row["meta"]["veto_rate"]) == (None, "no_source_rows", 1)
    rejected(risk_reasons=["alpaca_order_rejected code=403"])
    world.order(Order("buy", D(1), D(10), after(6)))
    # The order of a decision that was rejected takes its place.
    late = rejected(risk_reasons=[])
    take_in(world)
    assert frame(world, after(20))["reject_rate"]["meta"]["vetoes"] == 4
    world.order(Order("buy", D(1), None, after(7), filled=D(0), status="rejected", decision=late))
    take_in(world)
    row = frame(world, after(20))["reject_rate"]
    assert row["value"] == pytest.approx(2 / 3)
    assert row["meta"] == {
        "orders": 2,
        "rejected": 1,
        "rejected_submits": 1,
        "vetoes": 3,
        "veto_rate": pytest.approx(3 / 6),
    }


def test_an_old_or_later_quote_is_no_mid(world: World) -> None:
    for symbol, seconds in [("A", 5), ("B", 4.999), ("C", 10.001), ("D", 10)]:
        world.order(Order("buy", D(1), D(11), after(10), symbol=symbol))
        world.quote(symbol, after(seconds), 10.0)
    world.order(Order("buy", D(1), D(11), after(10), symbol="E"))
    take_in(world)
    rows = world.client.query(
        "select symbol, toFloat64(arrival_mid) from quant.order_outcome final where account != '' order by symbol"
    ).result_rows
    assert rows == [("A", 10.0), ("B", None), ("C", None), ("D", 10.0), ("E", None)]


def test_fills_without_a_mid_are_counted_not_used(world: World) -> None:
    cases = {49: "missing_price", 50: ""}
    for covered in cases:
        world.order(Order("buy", D(covered), D(10), after(10), account=str(covered)))
        world.order(Order("buy", D(100 - covered), D(10), after(10), account=str(covered), symbol="NVDA"))
    world.quote("MU", after(9), 8.0)
    take_in(world)
    found = frames(world, after(20))
    for covered, reason in cases.items():
        row = found["", str(covered), "1h"]["slippage_bps_vs_mid"]
        assert row["reason"] == reason
        assert row["value"] == (None if reason else pytest.approx(2500))
        assert row["sample_count"] == 1
        assert row["meta"]["uncovered_notional_share"] == pytest.approx(1 - covered / 100)


def test_slippage_counts_fills_in_their_window_and_buys_and_sells_have_their_sign(world: World) -> None:
    order = Order("sell", D(30), D("98.0"), after(100), filled=D(30))
    world.order(order, created_at=after(1))
    for number, (seconds, price) in enumerate([(10, "99"), (60, "98"), (90, "97")], start=1):
        partial(world, order, after(seconds), D(10), D(price), D(10 * number))
    world.quote("MU", after(0), 100.0)
    take_in(world)
    # A fill at the end of the window is inside, one at its start is not.
    assert frame(world, after(60), "1m")["slippage_bps_vs_mid"]["value"] == pytest.approx(150)
    assert frame(world, after(70), "1m")["slippage_bps_vs_mid"]["value"] == pytest.approx(200)
    assert frame(world, after(60 + 89), "1m")["slippage_bps_vs_mid"]["value"] == pytest.approx(300)
    assert frame(world, after(100))["slippage_bps_vs_mid"]["value"] == pytest.approx(200)
    row = frame(world, after(150), "1m")["slippage_bps_vs_mid"]
    assert (row["value"], row["reason"]) == (None, "no_source_rows")


def test_a_decision_ends_with_its_last_order(world: World) -> None:
    strategy = world.strategy("s")
    decision = world.decision(strategy, after(0))
    first = Order("buy", D(100), None, after(10), decision=decision, filled=D(0), fee=D(0), status="rejected")
    world.order(first, created_at=after(5))
    world.quote("MU", after(0), 10.0)
    world.quote("MU", after(10), 11.0)
    take_in(world)
    before = frame(world, after(20), "5m", strategy=str(strategy))["implementation_shortfall_bps"]
    # All of it was missed, and the price went up by a tenth.
    assert before["value"] == pytest.approx(1000)
    second = Order("buy", D(100), D(12), after(70), decision=decision, filled=D(60), fee=D(1), status="canceled")
    world.order(second, created_at=after(30))
    world.quote("MU", after(70), 13.0)
    take_in(world)
    # Nothing that came later changes what was known of that moment.
    assert (
        frame(world, after(20), "5m", strategy=str(strategy))["implementation_shortfall_bps"]["value"]
        == before["value"]
    )
    between = frame(world, after(60), "5m")["implementation_shortfall_bps"]
    assert (between["value"], between["reason"]) == (None, "no_source_rows")
    # Of 100 at 10: 60 bought at 12, 40 missed at 13, one of fees.
    row = frame(world, after(80), "5m")["implementation_shortfall_bps"]
    assert row["value"] == pytest.approx(1e4 * (60 * 2 + 40 * 3 + 1) / 1000)
    assert row["sample_count"] == 1
    assert frame(world, after(80 + 40), "1m")["implementation_shortfall_bps"]["sample_count"] == 1


def test_a_replaced_order_goes_on_with_its_replacement(world: World) -> None:
    decision = world.decision(world.strategy("s"), after(0))
    first = Order("buy", D(100), D(11), after(10), decision=decision, filled=D(40), fee=D(0), status="replaced")
    world.order(first, created_at=after(1))
    world.quote("MU", after(0), 10.0)
    take_in(world)
    assert frame(world, after(20))["implementation_shortfall_bps"]["reason"] == "no_source_rows"
    world.order(Order("buy", D(60), D(12), after(20), decision=decision, fee=D(0)), created_at=after(10))
    take_in(world)
    row = frame(world, after(20))["implementation_shortfall_bps"]
    # 40 at 11 and 60 at 12, of 100 that were wanted at 10.
    assert row["value"] == pytest.approx(1e4 * (40 + 120) / 1000)


def test_decisions_that_cannot_be_measured_are_counted(world: World) -> None:
    strategy = world.strategy("s")

    def order(seconds: float, filled: int, symbol: str, fee: Decimal | None) -> None:
        decision = world.decision(strategy, after(seconds), symbol=symbol)
        status = "filled" if filled == 10 else "expired"
        row = Order("buy", D(10), D(12), after(seconds + 20), symbol=symbol, decision=decision, filled=D(filled))
        world.order(replace(row, status=status, fee=fee), created_at=after(seconds + 10))

    order(0, 10, "NONE", D(1))
    take_in(world)
    row = frame(world, after(50))["implementation_shortfall_bps"]
    assert (row["value"], row["reason"]) == (None, "missing_price")
    # Without a mid at the end, what was not filled has no price; one that was filled needs none.
    order(0, 5, "PART", D(1))
    order(0, 10, "MU", None)
    for symbol in ("PART", "MU"):
        world.quote(symbol, after(0), 10.0)
    take_in(world)
    row = frame(world, after(50))["implementation_shortfall_bps"]
    assert row["value"] == pytest.approx(2000)
    assert (row["status"], row["reason"]) == ("ok", "missing_fee")
    meta = row["meta"]
    assert (meta["decisions"], meta["uncovered"], meta["without_arrival"], meta["without_fee"]) == (3, 2, 1, 1)
    # Without a mid at the arrival all of it is trading.
    assert (meta["delay"], meta["trading"]) == (0, 20)


def test_latencies_need_samples(world: World) -> None:
    strategy = world.strategy("s")
    cases = {4: (False, False), 5: (True, False), 19: (True, False), 20: (True, True)}
    milliseconds = [float(number * number) for number in range(20)]
    for count in cases:
        for latency in milliseconds[:count]:
            decision = world.decision(strategy, after(1), alpaca_account_label=str(count))
            submitted = after(1 + latency / 1000)
            filled_at = submitted + timedelta(milliseconds=2 * latency)
            order = Order("buy", D(1), D(10), filled_at, account=str(count), decision=decision)
            world.order(order, created_at=submitted)
    take_in(world)
    found = frames(world, after(20))
    for count, known in cases.items():
        for prefix, factor in [("decision_to_submit", 1), ("submit_to_fill", 2)]:
            for name, share, is_known in [("p50", 50, known[0]), ("p95", 95, known[1])]:
                row = found["", str(count), "1h"][f"{prefix}_latency_ms_{name}"]
                assert row["sample_count"] == count
                assert row["reason"] == ("" if is_known else "below_min_samples")
                expected = factor * np.percentile(milliseconds[:count], share)
                assert row["value"] == (pytest.approx(expected) if is_known else None)


def test_negative_latencies_are_left_out_and_tell_of_clocks(world: World) -> None:
    strategy = world.strategy("s")
    cases = {98: "clock_skew", 99: ""}
    for good in cases:
        for number in range(good + 1):
            decision = world.decision(strategy, after(1 if number else 3), alpaca_account_label=str(good))
            order = Order("buy", D(1), D(10), after(3), account=str(good), decision=decision)
            world.order(order, created_at=after(2))
    take_in(world)
    found = frames(world, after(20))
    for good, caveat in cases.items():
        row = found["", str(good), "1h"]["decision_to_submit_latency_ms_p95"]
        assert (row["value"], row["status"], row["reason"]) == (1000, "ok", caveat)
        assert (row["sample_count"], row["meta"]["negative"]) == (good, 1)


def test_the_last_fill_is_told_beside_the_first(world: World) -> None:
    for number in range(5):
        order = Order("buy", D(2), D(10), after(9), filled=D(2))
        world.order(order, created_at=after(1))
        partial(world, order, after(2), D(1), D(10), D(1))
        partial(world, order, after(5 + number), D(1), D(10), D(2))
    take_in(world)
    row = frame(world, after(20))["submit_to_fill_latency_ms_p50"]
    assert row["value"] == 1000
    assert row["meta"] == {
        "orders": 5,
        "negative": 0,
        "last_fill_orders": 5,
        "last_fill_p50": 6000,
        "last_fill_p95": 7800,
    }


def test_routes(world: World) -> None:
    for expected, actual, count in [
        ("alpaca", "alpaca", 0),
        (" Alpaca", "alpaca", 0),
        ("lean", "alpaca", 1),
        ("alpaca", "alpaca", 1),
        ("unknown", "alpaca", 0),
        ("lean", None, 0),
        ("", "", 0),
        ("unknown", "unknown", 0),
    ]:
        world.order(
            Order("buy", D(1), D(10), after(1)),
            execution_expected_adapter=expected,
            execution_actual_adapter=actual,
            execution_fallback_count=count,
        )
    take_in(world)
    found = frame(world, after(20))
    assert found["route_provenance_coverage_ratio"]["value"] == pytest.approx(6 / 8)
    assert found["route_unknown_ratio"]["value"] == pytest.approx(2 / 8)
    assert found["route_fallback_ratio"]["value"] == pytest.approx(3 / 8)
    assert found["route_fallback_ratio"]["meta"] == {"orders": 8, "missing": 2, "unknown": 2, "fallback": 3}


def test_an_order_moves_with_its_hour_and_leaves_when_it_is_deleted(world: World) -> None:
    decision = world.decision(world.strategy("s"), after(0))
    order = Order("buy", D(10), None, after(1), decision=decision, filled=D(0), status="new")
    world.order(order, created_at=after(1))
    take_in(world)
    assert outcomes(world, "status, last_at, ended_at") == [("new", after(1), None)]
    done = replace(order, price=D(10), filled=D(10), status="filled", at=after(7200))
    world.order(done, created_at=after(1))
    take_in(world)
    assert outcomes(world, "status, last_at, ended_at") == [("filled", after(7200), after(7200))]
    # What did not change is not written again.
    count = "select count() from quant.order_outcome"
    written = world.client.command(count)
    world.batch()
    world.tick(TAKEN_IN)
    assert world.client.command(count) == written
    world.order(done, deleted=True)
    take_in(world)
    assert outcomes(world, "order_id") == []
    assert frame(world, after(7210))["fill_ratio"]["reason"] == "no_source_rows"


def test_a_quote_that_comes_a_little_late_is_found(world: World) -> None:
    now = datetime.now(UTC)
    world.order(Order("buy", D(1), D(101), now, symbol="BTC/USD", account="paper-crypto"))
    # One of long ago is not looked at again.
    world.order(Order("buy", D(1), D(101), after(0), symbol="BTC/USD", account="paper-crypto"))
    take_in(world)
    world.quote("BTC/USD", now - timedelta(seconds=1), 100.0)
    world.quote("BTC/USD", after(-1), 100.0)
    world.tick(["order_outcome_refresh"])
    assert outcomes(world, "toFloat64(arrival_mid)") == [(None,), (100.0,)]
    row = frame(world, datetime.now(UTC), account="paper-crypto")["slippage_bps_vs_mid"]
    assert row["value"] == pytest.approx(100)


def test_quotes_are_waited_for_a_minute(world: World) -> None:
    now = datetime.now(UTC)
    world.order(Order("buy", D(1), D(101), now, symbol="BTC/USD", account="paper-crypto"))
    take_in(world)
    world.age_outcomes()
    world.quote("BTC/USD", now - timedelta(seconds=1), 100.0)
    world.tick(["order_outcome_refresh"])
    assert outcomes(world, "toFloat64(arrival_mid)") == [(None,)]


@dataclass
class Known:
    """An order as the independent computation knows it."""

    strategy: str
    account: str
    symbol: str
    side: int
    quantity: Decimal
    decided: datetime | None
    decision: uuid.UUID | None
    submitted: datetime
    ended: datetime | None
    status: str
    fee: Decimal | None
    limit: Decimal | None
    routes: tuple[str, str]
    fills: list[tuple[datetime, Decimal, Decimal]] = field(default_factory=list)

    @property
    def filled(self) -> Decimal:
        """Quantity filled."""
        return sum((quantity for _, quantity, _ in self.fills), D(0))

    @property
    def average(self) -> Decimal | None:
        """Average price."""
        paid = sum((quantity * price for _, quantity, price in self.fills), D(0))
        return paid / self.filled if self.fills else None


TERMINAL = ("filled", "canceled", "expired", "rejected")


class Oracle:
    """Every metric in plain Python, from the orders and quotes alone."""

    def __init__(self, orders: list[Known], quotes: dict[str, list[tuple[datetime, Decimal]]]) -> None:
        self.orders = orders
        self.quotes = quotes

    def mid(self, symbol: str, at: datetime | None) -> Decimal | None:
        """The mid of the last quote that is not older than five seconds."""
        if at is None:
            return None
        near = [(when, mid) for when, mid in self.quotes[symbol] if timedelta(0) <= at - when <= timedelta(seconds=5)]
        return max(near)[1] if near else None

    def metrics(self, strategy: str, account: str, starts: dict[str, datetime], end: datetime) -> dict[str, Any]:
        """Values of one scope and window, which starts with each account's calendar; None where there is none."""
        orders = [
            order
            for order in self.orders
            if strategy in ("", order.strategy) and account in ("", order.account) and order.submitted <= end
        ]

        def inside(order: Known, moment: datetime | None) -> bool:
            return moment is not None and starts[order.account] < moment <= end

        ended = [order for order in orders if order.status in TERMINAL and inside(order, order.ended)]
        weights = [self.mid(o.symbol, o.submitted) or o.limit or o.average or D(0) for o in ended]
        ordered = sum(order.quantity * weight for order, weight in zip(ended, weights, strict=True))
        obtained = sum(order.filled * weight for order, weight in zip(ended, weights, strict=True))
        submitted = [order for order in orders if inside(order, order.submitted)]
        named = [order.routes for order in submitted if all(order.routes)]
        found: dict[str, Any] = {
            "fill_ratio": obtained / ordered if ordered else None,
            "reject_rate": _share(ended, lambda order: order.status == "rejected"),
            "cancel_rate": _share(ended, lambda order: order.status in ("canceled", "expired")),
            "slippage_bps_vs_mid": self._slippage(orders, inside),
            "implementation_shortfall_bps": self._shortfall(orders, inside),
            "route_provenance_coverage_ratio": _share(submitted, lambda order: all(order.routes)),
        }
        if submitted:
            found["route_unknown_ratio"] = sum("unknown" in pair for pair in named) / len(submitted)
            found["route_fallback_ratio"] = sum(one != other for one, other in named) / len(submitted)
        to_submit = [_ms(order.decided, order.submitted) for order in submitted if order.decided]
        to_fill = [
            _ms(order.submitted, order.fills[0][0])
            for order in orders
            if order.fills and inside(order, order.fills[0][0])
        ]
        for prefix, latencies in [("decision_to_submit", to_submit), ("submit_to_fill", to_fill)]:
            kept = [latency for latency in latencies if latency >= 0]
            for name, share, least in [("p50", 50, 5), ("p95", 95, 20)]:
                value = np.percentile(kept, share) if len(kept) >= least else None
                found[f"{prefix}_latency_ms_{name}"] = value
        return {name: found.get(name) for name in METRICS}

    def _slippage(self, orders: list[Known], inside: Any) -> Decimal | None:
        cost, value, covered, total = D(0), D(0), D(0), D(0)
        for order in orders:
            mid = self.mid(order.symbol, order.submitted)
            for at, quantity, price in order.fills:
                if inside(order, at):
                    total += quantity * price
                    if mid is not None:
                        covered += quantity * price
                        cost += order.side * quantity * (price - mid)
                        value += quantity * mid
        return 10_000 * cost / value if total and covered >= total / 2 else None

    def _shortfall(self, orders: list[Known], inside: Any) -> Decimal | None:
        cost, paper = D(0), D(0)
        by_decision: dict[uuid.UUID, list[Known]] = {}
        for order in orders:
            if order.decision is not None:
                by_decision.setdefault(order.decision, []).append(order)
        for path in by_decision.values():
            last = max(path, key=lambda order: order.ended or datetime.max.replace(tzinfo=UTC))
            if last.status not in TERMINAL or not inside(last, last.ended):
                continue
            wanted, got = D(0), D(0)
            for order in sorted(path, key=lambda order: order.ended or START):
                wanted = max(wanted, got + order.quantity)
                got += order.filled
            paid = sum((quantity * price for order in path for _, quantity, price in order.fills), D(0))
            at_decision, at_end = self.mid(last.symbol, last.decided), self.mid(last.symbol, last.ended)
            if at_decision is None or (got != wanted and at_end is None):
                continue
            missed = (wanted - got) * ((at_end or D(0)) - at_decision) if got != wanted else D(0)
            fees = sum((order.fee or D(0) for order in path), D(0))
            cost += last.side * (paid - got * at_decision + missed) + fees
            paper += wanted * at_decision
        return 10_000 * cost / paper if paper else None


def _share(orders: list[Known], holds: Any) -> float | None:
    return sum(holds(order) for order in orders) / len(orders) if orders else None


def _ms(start: datetime, end: datetime) -> float:
    return (end - start) / timedelta(milliseconds=1)


def random_orders(world: World, rng: random.Random, strategies: list[str]) -> Oracle:
    """Orders of four days on two accounts, most near the start of the scenarios, in the source and for the oracle."""
    orders: list[Known] = []
    quotes: dict[str, list[tuple[datetime, Decimal]]] = {"MU": [], "NVDA": []}

    def moment(spread: float) -> datetime:
        return START + timedelta(microseconds=rng.randint(0, int(spread * 1e6)))

    for _ in range(160):
        account = rng.choice(["paper", "paper-crypto"])
        symbol = rng.choice(["MU", "NVDA"])
        strategy = rng.choice([*strategies, "unattributed"])
        side = rng.choice([1, -1])
        begins = moment(600) if rng.random() < 0.7 else moment(3.5 * 86400)
        decided = begins if strategy != "unattributed" else None
        decision = None
        if decided is not None:
            decision = world.decision(uuid.UUID(strategy), decided, alpaca_account_label=account, symbol=symbol)
        at = begins
        for number in range(rng.choice([1, 1, 1, 2, 3]) if decision else 1):
            # Clocks differ: some are submitted before they were decided.
            submitted = at + timedelta(microseconds=rng.randint(-20_000 if number == 0 else 1, 2_000_000))
            status = rng.choice([*TERMINAL, "filled", "canceled", "replaced", "new"])
            quantity = D(rng.randint(2, 40))
            fills: list[tuple[datetime, Decimal, Decimal]] = []
            when = submitted
            left = quantity
            while status not in ("rejected", "new") and left > 0 and len(fills) < 3 and rng.random() < 0.8:
                when += timedelta(microseconds=rng.randint(1, 40_000_000))
                part = left if len(fills) == 2 else D(rng.randint(1, int(left)))
                fills.append((when, part, D(rng.randint(9000, 11000)) / 100))
                left -= part
            if status == "filled" and left > 0:
                status = "expired"
            ended = when + timedelta(microseconds=rng.randint(1, 5_000_000)) if status != "new" else None
            route = (rng.choice(["alpaca", "lean", "unknown", ""]), rng.choice(["alpaca", "alpaca", "unknown"]))
            fee = D(rng.randint(0, 300)) / 100 if rng.random() < 0.8 else None
            limit = D(rng.randint(90, 110)) if rng.random() < 0.5 else None
            known = Known(
                strategy,
                account,
                symbol,
                side,
                quantity,
                decided,
                decision,
                submitted,
                ended,
                status,
                fee,
                limit,
                route,
            )
            known.fills = fills
            orders.append(known)
            _write(world, known)
            for near in (decided, submitted, ended):
                if near is not None and rng.random() < 0.8:
                    quoted = near - timedelta(milliseconds=rng.randint(1, 7000))
                    quoted = quoted.replace(microsecond=quoted.microsecond // 1000 * 1000)
                    mid = D(rng.randint(9500, 10500)) / 100
                    if quoted not in dict(quotes[symbol]):
                        quotes[symbol].append((quoted, mid))
            if status in ("filled", "new"):
                break
            at = ended or at
    world.quotes((symbol, quoted, float(mid)) for symbol, told in quotes.items() for quoted, mid in told)
    return Oracle(orders, quotes)


def _write(world: World, known: Known) -> None:
    order = Order(
        "buy" if known.side > 0 else "sell",
        known.quantity,
        known.average,
        known.ended or known.submitted,
        account=known.account,
        symbol=known.symbol,
        decision=known.decision,
        filled=known.filled,
        status=known.status,
    )
    raw = {"limit_price": str(known.limit)} if known.limit else {}
    if known.fee is not None:
        raw["cost_amount"] = str(known.fee)
    world.order(
        order,
        created_at=known.submitted,
        raw_order=json.dumps(raw),
        execution_expected_adapter=known.routes[0],
        execution_actual_adapter=known.routes[1],
    )
    total = D(0)
    for at, quantity, price in known.fills:
        total += quantity
        partial(world, order, at, quantity, price, total)


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_random_orders_in_random_windows_equal_plain_python(world: World, seed: int) -> None:
    rng = random.Random(seed)
    strategies = [str(world.strategy(name)) for name in ("first", "second")]
    oracle = random_orders(world, rng, strategies)
    take_in(world)
    moments = [after(rng.randint(1, 900_000) / 1000) for _ in range(4)]
    moments += [START + timedelta(milliseconds=rng.randint(1, 345_600_000)) for _ in range(2)]
    # Also where something happens at the very edge.
    moments.append(next(o.ended for o in oracle.orders if o.ended).replace(microsecond=0) + timedelta(seconds=60))
    compared = 0
    for as_of in moments:
        starts = window_starts(world, as_of)
        for (strategy, account, window), rows in frames(world, as_of).items():
            expected = oracle.metrics(strategy, account, starts[window], as_of)
            for name, value in expected.items():
                got = rows[name]["value"]
                assert (got is None) == (value is None), (as_of, strategy, account, window, name, got, value)
                if value is not None:
                    assert got == pytest.approx(float(value), rel=1e-9, abs=1e-9), (as_of, window, name)
                    compared += 1
    assert compared > 1000
    # What a person asks says the same.
    columns = "strategy_id, account, window, metric_name, value, reason, sample_count, meta"
    asked = world.client.query(
        f"select {columns} from quant.execution_metrics(as_of = {{as_of:String}}, known_at = now64(3))",
        parameters={"as_of": sql_moment(moments[-1])},
    ).named_results()
    told = [row for rows in world.frames(moments[-1], group="execution").values() for row in rows.values()]
    assert sorted(map(str, asked)) == sorted(str({name: row[name] for name in columns.split(", ")}) for row in told)


def window_starts(world: World, as_of: datetime) -> dict[str, dict[str, datetime]]:
    """Starts of the windows, by window and account."""
    rows = world.client.query(
        "select account, window, edge_at from quant.account_edge(as_of = {as_of:String}) where edge > 0",
        parameters={"as_of": sql_moment(as_of)},
    ).result_rows
    starts: dict[str, dict[str, datetime]] = {}
    for account, window, edge in rows:
        starts.setdefault(window, {})[account] = edge
    return starts
