"""A trader's own files, loaded, mirrored and read at past moments, against pandas and empyrical on the same files."""

import csv
import json
import random
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import empyrical
import pandas
import pytest

from tests.e2e.running import RunningUp
from tests.waiting import wait_for

ACCOUNT = "loaded-test"
STRATEGY = "loaded-strategy"
SYMBOLS = ("AAA", "BBB", "CCC")
HOLIDAYS = {date(2024, 2, 19), date(2024, 3, 29)}
SESSIONS = [
    day
    for day in (date(2024, 2, 1) + timedelta(days=n) for n in range(75))
    if day.weekday() < 5 and day not in HOLIDAYS
]
# The newest session, one in the middle, and one right after a holiday.
MOMENTS = (SESSIONS[-1], SESSIONS[30], date(2024, 4, 1))


def _close(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 16, tzinfo=ZoneInfo("America/New_York"))


class Book:
    """The independent computation: average cost, long and short, in Decimal, one fill after the other."""

    def __init__(self) -> None:
        self.position: dict[str, Decimal] = dict.fromkeys(SYMBOLS, Decimal(0))
        self.cost: dict[str, Decimal] = dict.fromkeys(SYMBOLS, Decimal(0))
        self.cash = Decimal(100_000)
        self.last: dict[str, Decimal] = {}
        self.closed: list[tuple[date, Decimal]] = []
        self.fees: list[tuple[date, Decimal]] = []
        self.unrealized: dict[date, Decimal] = {}

    def trade(self, day: date, symbol: str, quantity: Decimal, price: Decimal, fee: Decimal) -> None:
        held = self.position[symbol]
        closing = min(abs(held), abs(quantity)) if held * quantity < 0 else Decimal(0)
        if closing:
            sign = 1 if held > 0 else -1
            self.closed.append((day, closing * (price - self.cost[symbol]) * sign))
        new = held + quantity
        if held * quantity >= 0 and new:
            self.cost[symbol] = (self.cost[symbol] * abs(held) + price * abs(quantity)) / abs(new)
        elif abs(quantity) > abs(held):
            self.cost[symbol] = price
        self.position[symbol] = new
        self.last[symbol] = price
        self.fees.append((day, fee))
        self.cash -= quantity * price + fee

    def close_day(self, day: date) -> None:
        """Mark open positions at their last trade: the files carry no other price."""
        self.unrealized[day] = sum(
            (self.position[s] * (self.last[s] - self.cost[s]) for s in SYMBOLS if self.position[s]), Decimal(0)
        )


@pytest.fixture(scope="module")
def desk_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path, Book, pandas.Series]:
    """Fills, equity and positions files of 52 sessions, and what a plain program makes of them."""
    directory, rng, book = tmp_path_factory.mktemp("files"), random.Random(11), Book()
    prices = {symbol: Decimal(50 + 25 * n) for n, symbol in enumerate(SYMBOLS)}
    equity: dict[date, float] = {}
    fills, fill_rows = directory / "fills.csv", []
    position_rows = []
    for day in SESSIONS:
        for symbol in SYMBOLS:
            prices[symbol] = (prices[symbol] * Decimal(str(round(rng.gauss(1.0005, 0.02), 6)))).quantize(
                Decimal("0.01")
            )
            if rng.random() < 0.6:
                quantity = Decimal(rng.choice((-30, -20, -10, 10, 20, 30)))
                book.trade(day, symbol, quantity, prices[symbol], Decimal("0.50"))
                fill_rows.append([day.isoformat(), symbol, str(quantity), str(prices[symbol]), "0.50"])
        book.close_day(day)
        values = {symbol: book.position[symbol] * prices[symbol] for symbol in SYMBOLS}
        equity[day] = float(book.cash + sum(values.values()))
        position_rows.append([day.isoformat(), *(str(values[s]) for s in SYMBOLS), str(book.cash)])
    with fills.open("w", newline="") as file:
        csv.writer(file).writerows([["date", "symbol", "qty", "price", "fee"], *fill_rows])
    with (directory / "equity.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["date", "equity"], *([d.isoformat(), repr(v)] for d, v in equity.items())])
    with (directory / "positions.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["date", *SYMBOLS, "cash"], *position_rows])
    return fills, directory / "equity.csv", directory / "positions.csv", book, pandas.Series(equity)


@pytest.fixture(scope="module")
def loaded(
    up: RunningUp, desk_files: tuple[Path, Path, Path, Book, pandas.Series]
) -> tuple[RunningUp, Book, pandas.Series, Path]:
    fills, equity, positions, book, series = desk_files
    arguments = ["load", "--fills", str(fills), "--equity", str(equity), "--positions", str(positions)]
    arguments += ["--strategy", STRATEGY, "--account", ACCOUNT]
    up.cli(*arguments)
    up.cli(*arguments)
    with fills.open() as file:
        expected = sum(1 for _ in file) - 1

    def arrived() -> bool:
        with up.warehouse() as warehouse:
            (count,) = warehouse.query(
                "select count() from quant.trade_execution_fact final where account = {a:String}", {"a": ACCOUNT}
            ).first_row
        return bool(count == expected)

    wait_for(arrived, 30, "the loaded fills are facts, once each though loaded twice")
    return up, book, series, fills


@cache
def _frame(up: RunningUp, day: date, strategy: str) -> dict[str, dict[str, Any]]:
    """What `jangar-quant frame` prints, by metric; asked once for all tests."""
    arguments = [
        "frame",
        "--account",
        ACCOUNT,
        "--window",
        "20d",
        "--format",
        "json",
        "--as-of",
        _close(day).isoformat(),
    ]
    body = json.loads(up.cli(*arguments, *(["--strategy", strategy] if strategy else [])))
    return {row["metric_name"]: row for row in body["metrics"]}


@pytest.mark.parametrize("day", MOMENTS)
def test_returns_and_drawdown_agree_with_empyrical(
    loaded: tuple[RunningUp, Book, pandas.Series, Path], day: date
) -> None:
    up, _, equity, _ = loaded
    # Twenty sessions end at the close; their first return starts at the close before them.
    until = equity.loc[:day].iloc[-21:]
    returns = until.pct_change().dropna()
    frame = _frame(up, day, "")
    assert frame["cumulative_return"]["value"] == pytest.approx(empyrical.cum_returns_final(returns), rel=1e-9)
    assert frame["max_drawdown"]["value"] == pytest.approx(empyrical.max_drawdown(returns), rel=1e-9)


def test_a_window_that_begins_before_the_data_has_no_return(
    loaded: tuple[RunningUp, Book, pandas.Series, Path],
) -> None:
    up, _, _, _ = loaded
    row = _frame(up, date(2024, 2, 20), "")["cumulative_return"]
    assert (row["value"], row["status"], row["reason"]) == (None, "insufficient_data", "no_opening_state")


@pytest.mark.parametrize(("strategy", "day"), [("", MOMENTS[0]), (STRATEGY, MOMENTS[1]), ("", MOMENTS[2])])
def test_trades_and_realized_pnl_agree_with_a_plain_ledger(
    loaded: tuple[RunningUp, Book, pandas.Series, Path], day: date, strategy: str
) -> None:
    up, book, equity, _ = loaded
    first = equity.loc[:day].index[-20:][0]
    window = [gross for traded, gross in book.closed if first <= traded <= day]
    frame = _frame(up, day, strategy)
    assert frame["realized_pnl"]["value"] == pytest.approx(float(sum(window)), abs=1e-6)
    assert frame["trade_count"]["value"] == len(window)


@pytest.mark.parametrize("day", MOMENTS)
def test_net_pnl_is_realized_and_unrealized_after_fees(
    loaded: tuple[RunningUp, Book, pandas.Series, Path], day: date
) -> None:
    up, book, equity, _ = loaded
    before, first = equity.loc[:day].index[-21:][:2]
    realized = sum(gross for traded, gross in book.closed if first <= traded <= day)
    fees = sum(fee for traded, fee in book.fees if first <= traded <= day)
    frame = _frame(up, day, "")
    assert frame["unrealized_pnl"]["value"] == pytest.approx(float(book.unrealized[day]), abs=1e-6)
    expected = realized + book.unrealized[day] - book.unrealized[before] - fees
    assert frame["net_pnl"]["value"] == pytest.approx(float(expected), abs=1e-6)


def test_exposure_agrees_with_the_positions_file(loaded: tuple[RunningUp, Book, pandas.Series, Path]) -> None:
    up, _, equity, fills = loaded
    with (fills.parent / "positions.csv").open() as file:
        rows = {row["date"]: row for row in csv.DictReader(file)}
    for day in MOMENTS:
        values = [Decimal(rows[day.isoformat()][symbol]) for symbol in SYMBOLS]
        frame = _frame(up, day, "")
        gross = float(sum(abs(v) for v in values))
        assert frame["gross_exposure"]["value"] == pytest.approx(gross, abs=1e-6)
        assert frame["net_exposure"]["value"] == pytest.approx(float(sum(values)), abs=1e-6)
        assert frame["leverage_gross_over_equity"]["value"] == pytest.approx(gross / equity[day], rel=1e-9)
