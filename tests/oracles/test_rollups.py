"""Windows put together from hours and rows, against a book that goes through all fills each time."""

import random
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from orchestration.transform.on_demand import FRAME_SETTINGS, VIEW_TEXT, frames_query, moment_of_frame
from tests.oracles.reference import Book
from tests.oracles.world import FACTS, Order, World, after

D = Decimal
ROLLUPS = ("strategy_hour_refresh", "strategy_day_refresh", "position_hour_refresh")
WINDOWS = ("1m", "15m", "1h", "1d", "5d")
ACCOUNTS = ("paper", "paper-crypto")
SYMBOLS = ("MU", "GLD")
METRICS = ("realized_pnl", "unrealized_pnl", "net_pnl", "trade_count", "win_rate", "gross_exposure")


@dataclass
class Fill:
    """A fill as the book sees it."""

    key: tuple[str, str, str]
    order: uuid.UUID
    at: datetime
    side: str
    quantity: Decimal
    price: Decimal


class Desk:
    """Orders of two strategies on two accounts, some filled over hours, over three days."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.random = random.Random(seed)
        self.strategies = [world.strategy(name) for name in ("first", "second")]
        self.fills: list[Fill] = []

    def trade(self, begins: float, ends: float) -> None:
        """An order between two moments, in up to three fills."""
        rng = self.random
        account, strategy, symbol = rng.choice(ACCOUNTS), rng.choice(self.strategies), rng.choice(SYMBOLS)
        moments = sorted(after(round(rng.uniform(begins, ends), 3)) for _ in range(rng.choice([1, 1, 2, 3])))
        side, lot = rng.choice(["buy", "sell"]), D(rng.randint(1, 20))
        decision = self.world.decision(strategy, moments[0], alpaca_account_label=account, symbol=symbol)
        order = self.world.order(
            Order(side, lot * len(moments), None, moments[-1], account, symbol, decision, filled=D(0), status="new")
        )
        cost = D(0)
        for number, at in enumerate(moments, start=1):
            price = D(rng.randint(900, 1100)) / 10
            cost += lot * price
            self.world.event(
                order,
                at,
                lot * number,
                cost / (lot * number),
                filled_qty_delta=str(lot),
                filled_notional_delta=str(lot * price),
            )
            self.fills.append(Fill((account, str(strategy), symbol), order.id, at, side, lot, price))

    def frames(self, moments: list[datetime]) -> dict[tuple[Any, ...], Any]:
        """Values of all frames at these moments, with the start of their window."""
        found = {}
        known_at = datetime.now(UTC)
        for moment in moments:
            rows = self.world.client.query(
                "select strategy_id, account, window, metric_name, value, window_start, last_event_at"
                f" from ({frames_query(self.world.client, moment, known_at)})"
                " where window in {windows:Array(String)} and metric_name in {metrics:Array(String)}",
                parameters={
                    **moment_of_frame(moment, known_at),
                    "windows": list(WINDOWS),
                    "metrics": list(METRICS),
                },
                settings=FRAME_SETTINGS,
            ).result_rows
            found |= {(moment, *row[:4]): tuple(row[4:]) for row in rows}
        return found

    def sums(self, strategy: str, account: str, start: datetime, end: datetime) -> Counter[str]:
        """The same of one account, from all its fills up to `end`, one after the other."""
        books: dict[tuple[str, str, str], Book] = defaultdict(Book)
        prices: dict[str, Decimal] = {}
        trades: dict[uuid.UUID, tuple[datetime, Decimal]] = {}
        realized, opening = D(0), None

        def unrealized(value: Callable[[Decimal, Decimal, Decimal], Decimal]) -> Decimal:
            mine = [(key[2], book) for key, book in books.items() if strategy in ("", key[1])]
            return sum((value(book.position, prices[symbol], book.average) for symbol, book in mine), D(0))

        def profit(position: Decimal, price: Decimal, average: Decimal) -> Decimal:
            return position * (price - average)

        def gross() -> Decimal:
            # What strategies hold of an instrument on one account adds up, as it does for the broker.
            held: dict[str, Decimal] = defaultdict(Decimal)
            for key, book in books.items():
                if strategy in ("", key[1]):
                    held[key[2]] += book.position
            return sum((abs(position * prices[symbol]) for symbol, position in held.items()), D(0))

        for fill in sorted(self.fills, key=lambda fill: fill.at):
            if fill.at > end or fill.key[0] != account:
                continue
            if fill.at > start and opening is None:
                opening = unrealized(profit)
            book = books[fill.key]
            is_closing = book.position * (1 if fill.side == "buy" else -1) < 0
            book.fill(fill.side, fill.quantity, fill.price)
            prices[fill.key[2]] = fill.price
            if strategy in ("", fill.key[1]):
                realized += book.realized[-1] if fill.at > start else 0
                if is_closing:
                    trades[fill.order] = (fill.at, trades.get(fill.order, (fill.at, D(0)))[1] + book.realized[-1])
        profits = [gained for at, gained in trades.values() if at > start]
        closing = unrealized(profit)
        return Counter(
            {
                "realized_pnl": realized,
                "unrealized_pnl": closing,
                "net_pnl": realized + closing - (closing if opening is None else opening),
                "trade_count": len(profits),
                "wins": sum(gained > 0 for gained in profits),
                "gross_exposure": gross(),
            }
        )

    def assert_frames(self, frames: dict[tuple[Any, ...], Any]) -> None:
        """Every value equals the book's."""
        # Windows of several days begin at different moments in different calendars.
        starts = {key[0:1] + key[2:4]: start for key, (_, start, _) in frames.items() if key[2]}
        wanted: dict[tuple[Any, ...], Counter[str]] = {}
        for (moment, strategy, account, window, metric), (value, _, _) in frames.items():
            scope = (moment, strategy, account, window)
            if scope not in wanted:
                wanted[scope] = Counter()
                for member in [account] if account else [one for one in ACCOUNTS if (moment, one, window) in starts]:
                    wanted[scope].update(self.sums(strategy, member, starts[moment, member, window], moment))
            sums = wanted[scope]
            if metric != "win_rate":
                assert value == pytest.approx(float(sums[metric]), rel=1e-9, abs=1e-6), (scope, metric)
            elif sums["trade_count"]:
                assert value == pytest.approx(float(sums["wins"] / sums["trade_count"])), (scope, metric)
            else:
                assert value is None, (scope, metric)


def _moments(seed: int) -> list[datetime]:
    rng = random.Random(seed)
    drawn = [after(round(rng.uniform(0, 76 * 3600), 3))]
    # At the seam of two hours, and when all is over.
    return [*drawn, after(10 * 3600), after(100 * 3600)]


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_frames_are_the_same_from_rows_and_from_hours_and_equal_a_book(world: World, seed: int) -> None:
    desk = Desk(world, seed)
    for number in range(60):
        desk.trade(number * 3600, (number + desk.random.choice([0.01, 0.5, 8])) * 3600)
    world.batch()
    world.tick(FACTS)
    frames = desk.frames(_moments(seed))
    desk.assert_frames(frames)
    world.tick(ROLLUPS)
    assert world.client.command("select count() from quant.strategy_hour final") > 50
    assert desk.frames(_moments(seed)) == frames

    # Late fills, in hours that are summed up and beyond, before the sums know of them and after.
    for number in (1.5, 20, 40, 70):
        desk.trade(number * 3600, (number + 3) * 3600)
    world.batch()
    world.tick(FACTS)
    # A moment costs seconds of planning: the first and the last one see all of them.
    moments = _moments(seed)[::2]
    late = desk.frames(moments)
    assert late != {key: values for key, values in frames.items() if key[0] in moments}
    desk.assert_frames(late)
    world.tick(ROLLUPS)
    assert desk.frames(moments) == late

    # Everything anew, in any order, leads to the same hours.
    hours = {
        table: world.client.query(
            f"select * except (revision, ledger_revision) from quant.{table} final order by all"
        ).result_rows
        for table in ("strategy_hour", "strategy_day", "position_hour")
    }
    for table in hours:
        world.client.command(f"truncate table quant.{table}")
    with some_hours_at_once(world):
        world.tick(ROLLUPS)
        first = world.client.command("select count() from quant.strategy_hour final where account != ''")
        assert 0 < first < len(hours["strategy_hour"]) / 2
        for _ in range(12):
            world.tick(ROLLUPS)
    for table, rows in hours.items():
        again = world.client.query(f"select * except (revision, ledger_revision) from quant.{table} final order by all")
        assert again.result_rows == rows, table


@contextmanager
def some_hours_at_once(world: World) -> Iterator[None]:
    """A refresh takes in some hours, as it does of the history of a hundred thousand positions."""
    name = "pending_strategy_hour"
    text = world.client.query(VIEW_TEXT, parameters={"view": name, "database": "quant"}).result_rows[0][0]
    few = text.replace("960000", "100")
    assert few != text
    world.client.command(f"create or replace view quant.{name} as {few}")
    yield
    world.client.command(f"create or replace view quant.{name} as {text}")


def test_a_history_that_comes_late_is_summed_up_some_hours_at_a_time(world: World) -> None:
    """As when a source of years is mirrored into a warehouse that stands, whose cursors are at the present."""
    world.order(Order("buy", D(1), D(10), after(100 * 3600)))
    world.batch()
    world.tick(FACTS)
    world.tick(ROLLUPS)
    for hour in range(60):
        world.order(Order("buy", D(1), D(10), after(hour * 3600)))
    world.batch()
    world.tick(FACTS)
    query = "select toInt64(quantity) from quant.position_hour final where account != '' order by hour_at"
    days = "select sum(bitCount(active_hours)) from quant.strategy_day final"
    steps: list[int] = []
    with some_hours_at_once(world):
        while len(steps) < 20 and steps[-1:] != [61]:
            world.tick(ROLLUPS)
            positions = world.client.query(query).result_rows
            # Behind the last of these hours only the one that was there before, as it was then.
            steps.append(len(positions) if positions[-1] == (len(positions),) else len(positions) - 1)
            assert positions[: steps[-1]] == [(hour + 1,) for hour in range(steps[-1])]
    assert 2 < len(steps) < 20
    assert 0 < steps[0] < 30
    assert world.client.command(days) == 61
    # And nothing goes on forever.
    before = world.client.query("select * from quant.position_hour order by all").result_rows
    world.tick(ROLLUPS)
    assert world.client.query("select * from quant.position_hour order by all").result_rows == before


def test_hours_without_fills_any_more_are_gone(world: World) -> None:
    kept, gone = (world.order(Order("buy", D(1), D(10), after(hour * 3600))) for hour in (0, 2))
    world.batch()
    world.tick(FACTS)
    world.tick(ROLLUPS)
    query = "select toHour(hour_at), fills from quant.strategy_hour final order by hour_at"
    positions = "select toHour(hour_at), toInt64(quantity) from quant.position_hour final order by hour_at"
    assert world.client.query(query).result_rows == [(15, 1), (17, 1)]
    assert world.client.query(positions).result_rows == [(15, 1), (17, 2)]
    world.order(gone, deleted=True)
    world.batch()
    world.tick(FACTS)
    world.tick(ROLLUPS)
    assert world.client.query(query).result_rows == [(15, 1)]
    assert world.client.query(positions).result_rows == [(15, 1)]
    world.order(kept, deleted=True)
    world.batch()
    world.tick(FACTS)
    world.tick(ROLLUPS)
    assert world.client.query(query).result_rows == []
    assert world.client.query(positions).result_rows == []


def test_rollups_without_news_write_nothing(world: World) -> None:
    world.order(Order("buy", D(1), D(10), after(0)))
    world.batch()
    world.tick(FACTS)
    world.tick(ROLLUPS)
    tables = ("trade", "strategy_hour", "strategy_day", "position_hour")
    before = [world.client.query(f"select * from quant.{table} order by all").result_rows for table in tables]
    world.tick(FACTS)
    world.tick(ROLLUPS)
    assert [world.client.query(f"select * from quant.{table} order by all").result_rows for table in tables] == before


def test_a_trade_moves_with_its_last_fill_and_goes_with_its_order(world: World) -> None:
    world.order(Order("buy", D(10), D(10), after(0)))
    order = world.order(Order("sell", D(6), None, after(60), filled=D(0), status="new"))
    world.event(order, after(60), D(2), D(11), filled_qty_delta="2", filled_notional_delta="22")
    world.batch()
    world.tick(FACTS)
    query = "select traded_at, fills, toInt64(quantity), toInt64(gross_pnl) from quant.trade final"
    assert world.client.query(query).result_rows == [(after(60), 1, 2, 2)]
    later = after(60) + timedelta(hours=30)
    world.event(order, later, D(6), D("11.5"), filled_qty_delta="4", filled_notional_delta="47")
    world.batch()
    world.tick(FACTS)
    assert world.client.query(query).result_rows == [(later, 2, 6, 9)]
    world.order(order, deleted=True)
    world.batch()
    world.tick(FACTS)
    # Its events stay and belong to no order.
    assert world.client.query(query).result_rows == []
