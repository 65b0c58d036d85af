"""The ledger against hand-worked cases, an independent book and its own clean rebuild."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
import yaml
from clickhouse_connect.driver.client import Client

from orchestration.settings import PROJECT_DIR
from tests.oracles.reference import Book
from tests.oracles.world import FACTS, Order, World, after, view_definition

D = Decimal
# The book divides with 28 digits, the ledger rounds the cost to twelve decimals whenever a fill reduces.
TOLERANCE = D("1e-9")


def trade(world: World, fills: list[tuple[Any, ...]], account: str = "paper") -> None:
    """Orders of one fill each: (side, quantity, price, fee or None), a second apart."""
    for number, (side, quantity, price, *fee) in enumerate(fills):
        world.order(Order(side, D(quantity), D(price), after(number), account=account, fee=D(fee[0]) if fee else None))


def near(left: Any, right: Any) -> bool:
    return abs(D(left) - D(right)) <= TOLERANCE


HAND_WORKED = {
    "scale in, scale out": (
        [("buy", 100, "10"), ("buy", 100, "12"), ("sell", 50, "13"), ("sell", 150, "9")],
        [0, 0, 100, -300],
        0,
    ),
    "short and cover": ([("sell", 100, "10"), ("buy", 40, "8"), ("buy", 60, "11")], [0, 80, -60], 0),
    "flip long to short": ([("buy", 100, "10"), ("sell", 150, "12"), ("buy", 50, "11")], [0, 200, 50], 0),
    "flip short to long": ([("sell", 10, "10"), ("buy", 30, "9"), ("sell", 20, "9.5")], [0, 10, 10], 0),
    "scratch": ([("buy", "0.3", "10.1"), ("sell", "0.3", "10.1")], [0, 0], 0),
    "still open": ([("buy", 3, "10"), ("sell", 1, "16")], [0, 6], 2),
}


def test_hand_worked_cases(world: World) -> None:
    for name, (fills, _, _) in HAND_WORKED.items():
        trade(world, fills, account=name)
    world.batch()
    world.tick()
    for name, (fills, realized, position) in HAND_WORKED.items():
        rows = world.ledger(name)
        assert [row["ordinal"] for row in rows] == list(range(1, len(fills) + 1)), name
        assert all(near(row["gross_realized_pnl"], want) for row, want in zip(rows, realized, strict=True)), name
        assert rows[-1]["position_after"] == position, name


def test_fees_follow_the_closed_quantity_and_a_flip_splits_them(world: World) -> None:
    trade(world, [("buy", 100, "10", "5"), ("sell", 50, "11", "2"), ("sell", 100, "12", "8")])
    world.batch()
    world.tick()
    rows = world.ledger()
    assert near(rows[1]["closing_fee"], "4.5")
    assert near(rows[2]["closing_fee"], "6.5")
    assert near(rows[2]["open_fee"], "4")


def test_an_unknown_fee_stays_unknown(world: World) -> None:
    trade(world, [("buy", 10, "10"), ("sell", 10, "11", "2")])
    world.batch()
    world.tick()
    rows = world.ledger()
    assert rows[0]["fee"] is None
    assert near(rows[1]["closing_fee"], 2)


def test_holding_time_is_the_average_age_of_what_was_closed(world: World) -> None:
    trade(world, [("buy", 10, "10"), ("buy", 30, "10"), ("sell", 40, "10")])
    world.batch()
    world.tick()
    assert world.ledger()[-1]["holding_seconds"] == pytest.approx(2 - 0.75, abs=1e-3)


def test_fills_of_one_instant_follow_their_sequence(world: World) -> None:
    for sequence, (side, quantity, price) in enumerate([("buy", 10, 10), ("sell", 10, 11), ("buy", 10, 12)]):
        world.order(Order(side, D(quantity), D(price), after(0), sequence=sequence + 1))
    world.batch()
    world.tick()
    assert [row["position_after"] for row in world.ledger()] == [10, 0, 10]


def random_fills(seed: int, count: int) -> list[tuple[str, Decimal, Decimal, Decimal]]:
    """A random walk of positions through zero, with fractional quantities."""
    rng = random.Random(seed)
    return [
        (
            rng.choice(["buy", "sell"]),
            D(rng.randint(1, 10**6)) / 1000,
            D(rng.randint(10**4, 10**6)) / 10**4,
            D(rng.randint(0, 500)) / 100,
        )
        for _ in range(count)
    ]


def assert_is_book(rows: list[dict[str, Any]], fills: list[tuple[str, Decimal, Decimal, Decimal]]) -> None:
    book = Book()
    for fill in fills:
        book.fill(*fill)
    assert [row["position_after"] for row in rows] == book.positions
    for row, realized, fee in zip(rows, book.realized, book.closing_fees, strict=True):
        assert near(row["gross_realized_pnl"], realized), row
        assert near(row["closing_fee"], fee), row
    bought = sum(row["signed_quantity"] / abs(row["signed_quantity"]) * row["notional"] for row in rows)
    cost = rows[-1]["open_cost"].copy_sign(rows[-1]["position_after"] or 1)
    # Realized profit + q (mark - average) = -sum(dq px) + q mark, whatever the mark.
    assert sum(row["gross_realized_pnl"] for row in rows) - cost == -bought


def test_random_fills_equal_an_independent_book_in_one_tick_and_fill_by_fill(world: World) -> None:
    # Past the 64th and the 128th fill, where the fold of a key starts anew from a checkpoint.
    streams = {f"a{seed}": random_fills(seed, 60 + 10 * seed) for seed in range(8)}
    for account, fills in streams.items():
        trade(world, fills[:-15], account)
    world.batch()
    world.tick()
    for step in range(-15, 0, 5):
        for account, fills in streams.items():
            for number, (side, quantity, price, fee) in list(enumerate(fills))[step : step + 5 or None]:
                world.order(Order(side, quantity, price, after(number), account=account, fee=fee))
        world.batch()
        world.tick()
    for account, fills in streams.items():
        assert_is_book(world.ledger(account), fills)
    assert state(world) == rebuilt(world)


@contextmanager
def _rows_per_refresh(client: Client, count: int) -> Iterator[None]:
    """The views as they are built with other `rows_per_refresh` and `fills_per_refresh`."""
    defaults = yaml.safe_load((PROJECT_DIR / "dbt_project.yml").read_text())["vars"]
    views = {"pending_changed_order": defaults["rows_per_refresh"], "ledger_progress": defaults["fills_per_refresh"]}
    kept = {view: view_definition(client, view) for view in views}
    for view, text in kept.items():
        assert str(views[view]) in text
        client.command(text.replace(str(views[view]), str(count)))
    try:
        yield
    finally:
        for text in kept.values():
            client.command(text)


def test_many_fills_are_taken_in_some_at_a_time(world: World) -> None:
    with _rows_per_refresh(world.client, 10):
        streams = {f"a{seed}": random_fills(seed, 20) for seed in range(2)}
        for number in range(20):
            for account, fills in streams.items():
                side, quantity, price, fee = fills[number]
                world.order(Order(side, quantity, price, after(number), account=account, fee=fee))
            world.batch()
        for done in (10, 20, 30, 40, 40):
            world.tick()
            assert len(world.fills()) == done
            assert sum(len(world.ledger(account)) for account in streams) == done
        for account, fills in streams.items():
            assert_is_book(world.ledger(account), fills)
        # The ledger alone, from fills of several revisions.
        for table in ("position_ledger", "ledger_head"):
            world.client.command(f"truncate table quant.{table}")
        for done in (10, 20, 30, 40):
            world.tick(["position_ledger_refresh"])
            assert sum(len(world.ledger(account)) for account in streams) == done


def test_a_book_that_never_goes_flat_keeps_its_cost(world: World) -> None:
    # Reduced by half and refilled a thousand times: the product of its shrink ratios passes 1e-300.
    fills = [("buy", D(100), D(10), D(1))]
    for number in range(1100):
        price = D(10) + D(number % 17) / 10
        fills += [("sell", D(50), price, D("0.5")), ("buy", D(50), price + D("0.1"), D("0.5"))]
    trade(world, fills)
    world.batch()
    world.tick()
    assert_is_book(world.ledger(), fills)


def state(world: World) -> list[tuple[Any, ...]]:
    """The whole ledger, to the last digit."""
    return list(
        world.client.query(
            "select * except (revision) from quant.position_ledger final order by account, strategy_id, symbol, ordinal"
        ).result_rows
    )


def rebuilt(world: World) -> list[tuple[Any, ...]]:
    """The ledger after everything derived was thrown away and computed from the mirrored rows again."""
    for view in FACTS:
        world.client.command(f"truncate table quant.{view.removesuffix('_refresh')}")
    world.client.command("truncate table quant.ledger_head")
    world.tick()
    return state(world)


def test_late_corrected_moved_and_deleted_fills_end_where_a_clean_rebuild_does(world: World) -> None:
    strategy, other = world.strategy("first"), world.strategy("second")
    decisions = [world.decision(strategy, after(number)) for number in range(12)]
    orders = [
        world.order(Order(side, quantity, price, after(10 * number), decision=decision, fee=fee))
        for number, (decision, (side, quantity, price, fee)) in enumerate(
            zip(decisions, random_fills(3, 12), strict=True)
        )
    ]
    unlinked = world.order(Order("buy", D(7), D(20), after(55)))
    world.batch()
    world.tick()
    before = state(world)

    world.order(Order("sell", D(5), D(30), after(33), decision=decisions[0]))
    world.batch()
    world.tick()
    world.order(replace(orders[4], price=D("77.5")))
    world.order(replace(orders[6], at=after(15)))
    world.order(replace(orders[8], filled=orders[8].quantity / 2, status="canceled"))
    world.order(orders[2], deleted=True)
    world.batch()
    world.tick()
    # Late linkage: an order gets its decision, and a decision moves to another strategy.
    world.order(replace(unlinked, decision=decisions[1]))
    world.decision(other, after(9), id=decisions[9])
    world.batch()
    world.tick()

    grown = state(world)
    assert_heads_are_last_rows(world)
    assert grown != before
    assert len(grown) == 13
    assert {row[1] for row in grown} == {str(strategy), str(other)}
    assert grown == rebuilt(world)


def assert_heads_are_last_rows(world: World) -> None:
    """The head of every key is what its last row left; a key without rows is flat."""
    columns = "position_after, open_cost, open_fee, open_time"
    heads = world.client.query(
        f"select account, strategy_id, symbol, ordinal, {columns} from quant.ledger_head final"
        " where ordinal > 0 and account != '' order by all"
    ).result_rows
    last = world.client.query(
        f"select account, strategy_id, symbol, ordinal, {columns} from quant.position_ledger final"
        " order by ordinal desc limit 1 by account, strategy_id, symbol"
    ).result_rows
    assert sorted(heads) == sorted(last)
    assert world.client.command("select countIf(position_after != 0 and ordinal = 0) from quant.ledger_head final") == 0


def test_the_last_fills_of_a_key_can_be_taken_back(world: World) -> None:
    orders = [
        world.order(Order(side, D(quantity), D(price), after(number)))
        for number, (side, quantity, price) in enumerate([("buy", 10, 10), ("sell", 4, 12), ("sell", 3, 13)])
    ]
    world.batch()
    world.tick()
    world.order(orders[2], deleted=True)
    world.order(orders[1], deleted=True)
    world.batch()
    world.tick()
    assert_heads_are_last_rows(world)
    world.order(Order("sell", D(10), D(11), after(1.5)))
    world.batch()
    world.tick()
    assert [(row["ordinal"], row["position_after"], row["gross_realized_pnl"]) for row in world.ledger()] == [
        (1, 10, 0),
        (2, 0, 10),
    ]
    world.order(orders[0], deleted=True)
    world.batch()
    world.tick()
    assert_heads_are_last_rows(world)
    assert [(row["ordinal"], row["position_after"]) for row in world.ledger()] == [(1, -10)]
    assert state(world) == rebuilt(world)


def test_heads_that_a_kill_lost_are_written_again(world: World) -> None:
    trade(world, [("buy", 1, "10"), ("buy", 2, "11"), ("sell", 1, "12")])
    gone = world.order(Order("buy", D(4), D(10), after(9), account="other"))
    world.batch()
    world.tick()
    # The ledger has what follows, the heads do not, as a kill between the two leaves them.
    heads = world.client.query("select * from quant.ledger_head").result_rows
    trade(world, [("buy", 3, "10")], "late")
    world.order(Order("sell", D(2), D(13), after(5)))
    world.order(gone, deleted=True)
    world.batch()
    world.tick()
    world.client.command("truncate table quant.ledger_head")
    world.client.insert("quant.ledger_head", heads)
    world.order(Order("sell", D(1), D(14), after(6)))
    world.batch()
    world.tick()
    # From such heads nothing is folded on.
    assert [row["position_after"] for row in world.ledger()] == [1, 3, 2, 0]
    world.tick(["ledger_head_refresh", "position_ledger_refresh"])
    assert_heads_are_last_rows(world)
    assert [row["position_after"] for row in world.ledger()] == [1, 3, 2, 0, -1]
    revisions = world.client.query("select max(revision), count() from quant.position_ledger").result_rows
    world.tick()
    assert world.client.query("select max(revision), count() from quant.position_ledger").result_rows == revisions
    assert state(world) == rebuilt(world)


def test_heads_whose_rows_a_kill_lost_are_not_believed(world: World) -> None:
    trade(world, [("buy", 1, "10"), ("buy", 2, "11")])
    world.batch()
    world.tick()
    tables = ("position_ledger", "trade")
    former = {table: world.client.query(f"select * from quant.{table}").result_rows for table in tables}
    world.order(Order("sell", D(2), D(13), after(5)))
    world.batch()
    world.tick()
    for table, rows in former.items():
        world.client.command(f"truncate table quant.{table}")
        world.client.insert(f"quant.{table}", rows)
    world.tick()
    assert [row["position_after"] for row in world.ledger()] == [1, 3, 1]
    world.order(Order("sell", D(1), D(14), after(6)))
    world.batch()
    world.tick()
    assert [row["position_after"] for row in world.ledger()] == [1, 3, 1, 0]
    assert_heads_are_last_rows(world)
    assert state(world) == rebuilt(world)


def test_only_the_suffix_of_each_changed_key_is_written_again(world: World) -> None:
    for account in ("paper", "other", "idle"):
        trade(world, [("buy", 1, "10"), ("buy", 2, "11"), ("sell", 1, "12")], account)
    world.batch()
    world.tick()
    first = world.client.command("select max(revision) from quant.position_ledger final")
    world.order(Order("buy", D(5), D(9), after(0.5)))
    world.order(Order("buy", D(5), D(9), after(1.5), account="other"))
    world.batch()
    world.tick()
    rows = world.client.query(
        "select account, toInt64(position_after), revision > {first:UInt64} from quant.position_ledger final"
        " order by account, ordinal",
        parameters={"first": first},
    ).result_rows
    written: dict[str, list[tuple[int, bool]]] = {}
    for account, position, is_new in rows:
        written.setdefault(account, []).append((position, bool(is_new)))
    assert written == {
        "idle": [(1, False), (3, False), (2, False)],
        "other": [(1, False), (3, False), (8, True), (7, True)],
        "paper": [(1, False), (6, True), (8, True), (7, True)],
    }


def test_a_mass_update_without_change_writes_nothing(world: World) -> None:
    decision = world.decision(world.strategy("only"))
    orders = [
        world.order(Order(side, quantity, price, after(number), decision=decision, fee=fee))
        for number, (side, quantity, price, fee) in enumerate(random_fills(5, 20))
    ]
    world.batch()
    world.tick()
    before, revision = state(world), world.client.command("select max(revision) from quant.position_ledger final")
    for order in orders:
        world.order(order)
    world.batch()
    world.tick()
    assert state(world) == before
    assert world.client.command("select max(revision) from quant.position_ledger final") == revision


def test_ticks_without_news_and_after_a_restart_change_nothing(world: World) -> None:
    trade(world, random_fills(6, 10))
    world.batch()
    world.tick()
    before = world.client.query("select * from quant.position_ledger order by all").result_rows
    world.tick()
    world.batch()
    world.tick()
    assert world.client.query("select * from quant.position_ledger order by all").result_rows == before


def test_a_batch_whose_checkpoint_is_missing_waits(world: World) -> None:
    trade(world, [("buy", 1, "10")])
    world.batch()
    world.client.command("truncate table torghut_raw.mirror_checkpoint")
    world.tick()
    assert world.ledger() == []
    world.batch()
    world.tick()
    assert len(world.ledger()) == 1
