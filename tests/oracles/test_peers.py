"""The ledger against peers that keep positions by average cost: backtrader's, fill by fill, and vectorbt's exits."""

import math
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest
from backtrader.position import Position

from tests.oracles.test_ledger import random_fills
from tests.oracles.world import Order, World, after

STREAMS = {f"peer{seed}": random_fills(100 + seed, 150) for seed in range(6)}


@pytest.fixture
def rows(world: World) -> dict[str, list[dict[str, Any]]]:
    """The ledger of every stream, its fills a second apart."""
    for account, fills in STREAMS.items():
        for number, (side, quantity, price, fee) in enumerate(fills):
            world.order(Order(side, quantity, price, after(number), account=account, fee=fee))
    world.batch()
    world.tick()
    return {account: world.ledger(account) for account in STREAMS}


def signed(side: str, quantity: Decimal) -> float:
    return float(quantity) if side == "buy" else -float(quantity)


def test_position_and_average_cost_equal_backtrader(rows: dict[str, list[dict[str, Any]]]) -> None:
    for account, fills in STREAMS.items():
        position = Position()
        for row, (side, quantity, price, _) in zip(rows[account], fills, strict=True):
            held, average = position.size, position.price
            size, cost, _, closed = position.update(signed(side, quantity), float(price))
            # What it closed has the sign of the fill.
            gain = -closed * (float(price) - average) if held else 0.0
            assert float(row["position_after"]) == pytest.approx(size, abs=1e-9)
            assert float(row["average_cost"]) == pytest.approx(cost, rel=1e-9)
            assert float(row["closed_quantity"]) == pytest.approx(abs(closed), abs=1e-9)
            assert float(row["gross_realized_pnl"]) == pytest.approx(gain, rel=1e-9, abs=1e-6)


def test_closed_trades_equal_vectorbt_with_their_fees_and_times(rows: dict[str, list[dict[str, Any]]]) -> None:
    import vectorbt

    index = pd.date_range("2026-03-02", periods=150, freq="s")
    table = {
        name: pd.DataFrame(
            {account: [value(*fill) for fill in fills] for account, fills in STREAMS.items()}, index=index
        )
        for name, value in {
            "size": lambda side, quantity, price, fee: signed(side, quantity),
            "price": lambda side, quantity, price, fee: float(price),
            "fees": lambda side, quantity, price, fee: float(fee),
        }.items()
    }
    portfolio = vectorbt.Portfolio.from_orders(
        table["price"],
        size=table["size"],
        price=table["price"],
        fixed_fees=table["fees"],
        direction="both",
        init_cash=1e12,
        freq="s",
    )
    exits = portfolio.exit_trades.records_readable
    exits = exits[exits["Status"] == "Closed"]
    assert len(exits) > 300
    for account in STREAMS:
        trades = exits[exits["Column"] == account].sort_values("Exit Timestamp").to_dict("records")
        closings = [row for row in rows[account] if row["closed_quantity"] > 0]
        for row, trade in zip(closings, trades, strict=True):
            assert float(row["closed_quantity"]) == pytest.approx(trade["Size"], rel=1e-9)
            fees = trade["Entry Fees"] + trade["Exit Fees"]
            assert float(row["closing_fee"]) == pytest.approx(fees, rel=1e-9, abs=1e-9)
            gain = float(row["gross_realized_pnl"]) - float(row["closing_fee"])
            assert gain == pytest.approx(trade["PnL"], rel=1e-9, abs=1e-6)
        assert math.isclose(
            float(sum(row["gross_realized_pnl"] - row["closing_fee"] for row in closings)),
            sum(trade["PnL"] for trade in trades),
            rel_tol=1e-9,
        )
