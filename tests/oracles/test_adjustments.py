"""Events of the ledger that are no fills: splits, and positions that were opened before the first known fill."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from orchestration.settings import Settings
from orchestration.transform.dbt import run_dbt
from tests.oracles.world import FACTS, Order, World, after, view_definition

D = Decimal
SEEDS = ("corporate_actions", "opening_positions")
# Made anew when the seeds have rows, each behind those that it reads.
LEDGER_VIEWS = ("ledger_progress", "ledger_changes", "pending_position_ledger")
LEDGER = ("ledger_adjustment_refresh", "position_ledger_refresh")


@pytest.fixture(scope="module")
def adjusted(built: Client, warehouse_settings: Settings) -> Iterator[Client]:
    """The ledger as a build makes it where the seeds have rows: splits of MU (2 for 1) and XLE (1 for 10)."""
    without = [view_definition(built, view) for view in LEDGER_VIEWS]
    _split(built, "MU", 100, "2")
    _split(built, "XLE", 100, "0.1")
    run_dbt(warehouse_settings, ["run", "--select", *LEDGER_VIEWS])
    yield built
    for seed in SEEDS:
        built.command(f"truncate table quant.{seed}")
    for text in without:
        built.command(text)


@pytest.fixture
def ledger(adjusted: Client, world: World) -> World:
    """An empty source and no opening position."""
    adjusted.command("truncate table quant.opening_positions")
    return world


def _split(client: Client, symbol: str, seconds: float, ratio: str) -> None:
    client.command(
        "insert into quant.corporate_actions values ({symbol:String}, {at:String}, {ratio:String}, 'test')",
        parameters={"symbol": symbol, "at": f"{after(seconds):%Y-%m-%d %H:%M:%S}", "ratio": ratio},
    )


def _open(world: World, seconds: float, quantity: str, price: str, symbol: str = "MU") -> None:
    world.client.command(
        "insert into quant.opening_positions values ('paper', 'unattributed', {symbol:String}, {at:String},"
        " {quantity:String}, {price:String}, 'broker')",
        parameters={
            "symbol": symbol,
            "at": f"{after(seconds):%Y-%m-%d %H:%M:%S}",
            "quantity": quantity,
            "price": price,
        },
    )


def _trade(world: World, *fills: tuple[str, str, str, float], symbol: str = "MU") -> None:
    for side, quantity, price, seconds in fills:
        world.order(Order(side, D(quantity), D(price), after(seconds), symbol=symbol))
    world.batch()
    world.tick()


def _columns(rows: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names) for row in rows]


def test_a_split_multiplies_what_is_open_and_keeps_its_cost(ledger: World) -> None:
    _trade(ledger, ("buy", "100", "10", 0), ("sell", "200", "6", 200))
    ledger.tick(LEDGER)
    rows = ledger.ledger()
    assert _columns(rows, "event", "ordinal", "position_after", "open_cost", "average_cost", "gross_realized_pnl") == [
        ("fill", 1, 100, 1000, 10, 0),
        ("split", 2, 200, 1000, 5, 0),
        ("fill", 3, 0, 0, 0, 200),
    ]
    assert rows[-1]["holding_seconds"] == 200


def test_a_reverse_split_of_a_short_position(ledger: World) -> None:
    _trade(ledger, ("sell", "50", "3", 0), ("buy", "2", "28", 150), ("buy", "3", "31", 160), symbol="XLE")
    ledger.tick(LEDGER)
    assert _columns(ledger.ledger(symbol="XLE"), "event", "position_after", "open_cost", "gross_realized_pnl") == [
        ("fill", -50, 150, 0),
        ("split", -5, 150, 0),
        ("fill", -3, 90, 4),
        ("fill", 0, 0, -3),
    ]


def test_a_split_reaches_keys_that_do_not_trade_again_and_none_that_began_later(ledger: World) -> None:
    _trade(ledger, ("buy", "10", "10", 0))
    ledger.order(Order("buy", D(7), D(5), after(120), account="later"))
    ledger.batch()
    ledger.tick()
    ledger.tick(LEDGER)
    assert [row["position_after"] for row in ledger.ledger()] == [10, 20]
    assert [row["event"] for row in ledger.ledger("later")] == ["fill"]


def test_a_late_fill_before_a_split_is_split_too(ledger: World) -> None:
    _trade(ledger, ("buy", "10", "10", 50), ("sell", "5", "6", 150))
    ledger.tick(LEDGER)
    _trade(ledger, ("buy", "10", "8", 60))
    assert _columns(ledger.ledger(), "event", "position_after", "gross_realized_pnl") == [
        ("fill", 10, 0),
        ("fill", 20, 0),
        ("split", 40, 0),
        ("fill", 35, D("7.5")),
    ]


def test_an_opening_position_has_a_cost_and_counts_as_no_turnover(ledger: World) -> None:
    _open(ledger, -500, "50", "20", symbol="GLD")
    _trade(ledger, ("sell", "50", "25", 0), symbol="GLD")
    ledger.tick(LEDGER)
    rows = ledger.ledger(symbol="GLD")
    assert _columns(rows, "event", "position_after", "gross_realized_pnl") == [
        ("opening", 50, 0),
        ("fill", 0, 250),
    ]
    assert rows[-1]["holding_seconds"] == 500


def test_an_opening_position_without_fills_stands(ledger: World) -> None:
    _open(ledger, -500, "-30", "4.5", symbol="OLD")
    ledger.tick(LEDGER)
    assert _columns(ledger.ledger(symbol="OLD"), "position_after", "open_cost") == [(-30, 135)]


def test_adjustments_that_are_withdrawn_leave_the_ledger(ledger: World) -> None:
    _open(ledger, -500, "50", "20")
    _trade(ledger, ("sell", "50", "25", 0), ("buy", "10", "24", 10))
    ledger.tick(LEDGER)
    ledger.client.command("truncate table quant.opening_positions")
    ledger.tick(LEDGER)
    assert _columns(ledger.ledger(), "event", "position_after", "gross_realized_pnl") == [
        ("fill", -50, 0),
        ("fill", -40, 10),
        ("split", -80, 0),
    ]


def test_the_ledger_with_adjustments_equals_its_clean_rebuild(ledger: World) -> None:
    _open(ledger, -500, "33", "20.1")
    _trade(ledger, ("sell", "7.5", "25", 0), ("buy", "10", "24", 10), ("sell", "90", "11", 170))
    ledger.tick(LEDGER)
    _trade(ledger, ("buy", "0.25", "19", 40))
    grown = _state(ledger)
    for view in FACTS:
        ledger.client.command(f"truncate table quant.{view.removesuffix('_refresh')}")
    for table in ("ledger_adjustment", "ledger_head"):
        ledger.client.command(f"truncate table quant.{table}")
    ledger.tick()
    ledger.tick(LEDGER)
    assert _state(ledger) == grown
    assert len(grown) == 6


def test_the_refresh_of_adjustments_without_news_writes_nothing(ledger: World) -> None:
    _trade(ledger, ("buy", "10", "10", 0))
    ledger.tick(LEDGER)
    count = "select count() from quant.ledger_adjustment"
    before = ledger.client.command(count)
    ledger.tick(LEDGER)
    assert ledger.client.command(count) == before > 0


def _state(world: World) -> list[tuple[Any, ...]]:
    return list(
        world.client.query(
            "select * except (revision) from quant.position_ledger final order by account, strategy_id, symbol, ordinal"
        ).result_rows
    )
