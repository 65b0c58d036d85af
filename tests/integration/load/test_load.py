"""Loading files: counts, identity of rows, refusals, both shapes of the schema, equity and positions."""

import csv
import gzip
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from rich.console import Console
from rich.progress import Progress

from orchestration.errors import UserError
from orchestration.load.fills import FillDefaults
from orchestration.load.loader import LoadRequest, load_files
from orchestration.load.report import LoadReport, Rejects
from orchestration.load.values import TimeRules, parse_close, parse_zone
from orchestration.source.migrate import migrate

RULES = TimeRules(parse_zone("UTC"), *parse_close("16:00 America/New_York"))
FILLS = """time,symbol,side,qty,price,fee
2024-01-02T15:00:00Z,AAPL,buy,10,185.50,0.35
2024-01-02T15:00:00Z,AAPL,buy,10,185.50,0.35
2024-01-02T15:30:00Z,MSFT,sell,2.5,370.123456789,
2024-01-03T16:00:00.250Z,AAPL,sell,20,186,0.70
"""
ORDERS = """time,symbol,side,qty,price,fee,order_id,decision_time,submit_time,arrival_price
2024-01-02T15:00:01Z,AAPL,buy,10,185.50,0.10,A1,2024-01-02T15:00:00Z,2024-01-02T15:00:00.5Z,185.4
2024-01-02T15:00:02Z,AAPL,buy,30,185.70,0.30,A1,2024-01-02T15:00:00Z,2024-01-02T15:00:00.5Z,185.4
2024-01-02T15:01:00Z,MSFT,sell,5,370,,B1,,,
"""


class Source:
    """A source at one version of the schema, with what the tests ask of it."""

    def __init__(self, dsn: str, directory: Path) -> None:
        self.dsn = dsn
        self.directory = directory
        self.rejects = Rejects(100)

    def file(self, name: str, text: str) -> Path:
        path = self.directory / name
        path.write_text(text, encoding="utf-8")
        return path

    def load(self, limit: int = 100, **request: Any) -> LoadReport:
        self.rejects = Rejects(limit)
        quiet = Progress(console=Console(file=io.StringIO()))
        request.setdefault("times", RULES)
        request.setdefault("defaults", FillDefaults(strategy="s", account="a"))
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            return load_files(connection, LoadRequest(**request), self.rejects, quiet)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn) as connection:
            return connection.execute(query.encode()).fetchall()


@pytest.fixture
def source(source_dsn: str, tmp_path: Path) -> Source:
    migrate(source_dsn)
    return Source(source_dsn, tmp_path)


@pytest.fixture
def early_source(source_dsn: str, tmp_path: Path) -> Source:
    migrate(source_dsn, "0005")
    return Source(source_dsn, tmp_path)


def _counts(report: LoadReport) -> tuple[int, int, int]:
    assert report.fills is not None
    return report.fills.accepted, report.fills.new, report.fills.already_there


@pytest.fixture(params=["0005", "0013", "latest"])
def any_source(request: pytest.FixtureRequest, source_dsn: str, tmp_path: Path) -> Iterator[Source]:
    migrate(source_dsn, request.param)
    return Source(source_dsn, tmp_path)


def test_fills_become_filled_orders_once_however_often_they_are_loaded(any_source: Source) -> None:
    path = any_source.file("fills.csv", FILLS)
    report = any_source.load(fills=path)
    assert _counts(report) == (4, 4, 0)
    assert report.fills is not None
    assert (report.fills.rounded, report.fills.symbols, report.fills.fees) == (1, 2, Decimal("1.40"))
    before = any_source.rows("select e, d from executions e join trade_decisions d on d.id = e.trade_decision_id")
    assert len(before) == 4
    assert _counts(any_source.load(fills=path)) == (4, 0, 4)
    after = any_source.rows("select e, d from executions e join trade_decisions d on d.id = e.trade_decision_id")
    assert sorted(map(str, after)) == sorted(map(str, before))


def test_an_order_carries_what_the_file_said(source: Source) -> None:
    source.load(fills=source.file("fills.csv", FILLS))
    ((filled, price, status, label, raw, created, last, seq, decision, hashed),) = source.rows(
        """
        select
            e.filled_qty, e.avg_fill_price, e.status, e.alpaca_account_label, e.raw_order, e.created_at,
            e.last_update_at, e.order_feed_last_seq, d.decision_json, d.decision_hash = e.client_order_id
        from executions as e
        join trade_decisions as d on d.id = e.trade_decision_id
        where e.symbol = 'MSFT'
        """
    )
    moment = datetime(2024, 1, 2, 15, 30, tzinfo=UTC)
    assert (filled, price, status, label) == (Decimal("2.5"), Decimal("370.12345679"), "filled", "a")
    assert (created, last, seq, hashed) == (moment, moment, 3, True)
    assert raw["filled_at"] == "2024-01-02T15:30:00.000000Z"
    assert (raw["filled_qty"], raw["filled_avg_price"], raw["submitted_at"]) == ("2.5", "370.12345679", None)
    assert (raw["side"], raw["_seq"]) == ("sell", 3)
    assert "cost_amount" not in raw
    assert (decision["action"], decision["qty"], decision["params"]) == ("sell", "2.5", {})
    fees = source.rows("select raw_order ->> 'cost_amount', raw_order ->> 'cost_basis' from executions order by 1")
    assert fees[-2:] == [("0.7", "broker_reported_commission"), (None, None)]


def test_equal_fills_of_one_file_are_all_kept_and_a_longer_file_adds_only_the_rest(source: Source) -> None:
    lines = FILLS.splitlines()
    source.load(fills=source.file("first.csv", "\n".join(lines[:2])))
    assert _counts(source.load(fills=source.file("all.csv", FILLS))) == (4, 3, 1)
    reordered = [lines[0], *reversed(lines[1:])]
    assert _counts(source.load(fills=source.file("reordered.csv", "\n".join(reordered)))) == (4, 0, 4)


def test_fills_of_one_order_become_events_and_their_sum(source: Source) -> None:
    report = source.load(fills=source.file("orders.csv", ORDERS))
    assert _counts(report) == (3, 3, 0)
    ((qty, price, raw, created, executed, decided),) = source.rows(
        """
        select e.filled_qty, e.avg_fill_price, e.raw_order, e.created_at, d.executed_at, d.created_at
        from executions as e
        join trade_decisions as d on d.id = e.trade_decision_id
        where e.alpaca_order_id = 'A1'
        """
    )
    assert (qty, price, raw["cost_amount"]) == (40, Decimal("185.65"), "0.4")
    assert created == executed == datetime(2024, 1, 2, 15, 0, 0, 500_000, tzinfo=UTC)
    assert decided == datetime(2024, 1, 2, 15, tzinfo=UTC)
    events = source.rows(
        "select event_type, filled_qty, avg_fill_price, filled_qty_delta, raw_event -> 'payload' ->> 'price'"
        " from execution_order_events where alpaca_order_id = 'A1' order by event_ts"
    )
    assert events == [
        ("partial_fill", 10, Decimal("185.5"), 10, "185.5"),
        ("fill", 40, Decimal("185.65"), 30, "185.7"),
    ]


def test_an_order_grows_by_the_fills_of_a_later_file(source: Source) -> None:
    lines = ORDERS.splitlines()
    source.load(fills=source.file("monday.csv", "\n".join(lines[:2])))
    report = source.load(fills=source.file("tuesday.csv", "\n".join([lines[0], lines[2]])))
    assert _counts(report) == (1, 1, 0)
    assert source.rows("select filled_qty, avg_fill_price from executions") == [(40, Decimal("185.65"))]
    assert source.rows("select decision_json ->> 'qty' from trade_decisions") == [("40",)]
    assert _counts(source.load(fills=source.file("both.csv", ORDERS))) == (3, 1, 2)
    assert source.rows("select count(*) from execution_order_events") == [(3,)]


def test_before_order_events_exist_each_fill_is_a_row_and_stays_one(early_source: Source) -> None:
    path = early_source.file("orders.csv", ORDERS)
    assert _counts(early_source.load(fills=path)) == (3, 3, 0)
    assert early_source.rows("select count(*), count(distinct trade_decision_id) from executions") == [(3, 2)]
    assert _counts(early_source.load(fills=path)) == (3, 0, 3)
    migrate(early_source.dsn)
    # Loaded again under the later schema, the same orders may not appear a second time in its shape.
    early_source.load(fills=path)
    assert early_source.rows("select sum(filled_qty) from executions") == [(45,)]


def test_refused_rows_have_a_line_and_a_reason_and_the_rest_is_loaded(source: Source) -> None:
    path = source.file(
        "fills.csv",
        FILLS
        + "2024-01-04T15:00:00Z,AAPL,buy,0,185,\n"
        + '2024-01-04T15:00:00Z,"AA\nPL",buy,1,185,\n'
        + "2024-01-04T15:00:00Z,AAPL,hold,1,185,\n"
        + "2024-01-04T15:00:00Z,AAPL,buy,1,-185,\n"
        + "2024-01-04T15:00:00Z,AAPL,buy,-1,185,\n"
        + "2024-01-04T15:00:00Z,AAPL,buy,1,1000000000000,\n"
        + "soon,AAPL,buy,1,185,\n"
        + "2024-01-04T15:00:00Z,AAPL,buy,1\n"
        + f"2024-01-04T15:00:00Z,{'A' * 65},buy,1,185,\n"
        + "2024-01-04T15:00:00Z,AAPL,buy,1,nan,\n",
    )
    report = source.load(fills=path)
    assert (report.refused, _counts(report)) == (10, (4, 4, 0))
    # The quoted line end makes line 7 two lines long.
    assert [reject.line for reject in source.rejects.found] == [6, 7, 9, 10, 11, 12, 13, 14, 15, 16]
    reasons = [reject.reason for reject in source.rejects.found]
    for reason, part in zip(
        reasons,
        ("zero", "printed", "'hold'", "not positive", "contradicts", "12 digits", "'soon'", "cells", "longer", "'nan'"),
        strict=True,
    ):
        assert part in reason
    target = source.directory / "rejects.csv"
    source.rejects.write(target)
    with target.open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file))[1] == ["fills.csv", "6", "quantity is zero"]


def test_too_many_refused_rows_load_nothing(source: Source) -> None:
    path = source.file("fills.csv", FILLS + "soon,AAPL,buy,1,185,\n" * 3)
    with pytest.raises(UserError, match="More than 2 rows"):
        source.load(limit=2, fills=path)
    assert source.rows("select count(*) from executions") == [(0,)]
    assert len(source.rejects.found) == 3


def test_a_fill_id_that_comes_again_is_a_repeat_or_a_contradiction(source: Source) -> None:
    text = (
        "time,symbol,qty,price,fill_id\n"
        "2024-01-02T15:00:00Z,AAPL,1,185,x1\n"
        "2024-01-02T15:00:00Z,AAPL,1,185,x1\n"
        "2024-01-02T15:00:00Z,AAPL,2,185,x1\n"
    )
    report = source.load(fills=source.file("fills.csv", text))
    assert report.fills is not None
    assert (report.fills.repeated, report.refused, _counts(report)) == (1, 1, (1, 1, 0))
    assert source.rejects.found[0].line == 4


def test_an_order_of_two_symbols_is_refused(source: Source) -> None:
    text = ORDERS + "2024-01-02T15:02:00Z,TSLA,sell,5,370,,B1,,,\n"
    report = source.load(fills=source.file("orders.csv", text))
    assert sorted(reject.line for reject in source.rejects.found) == [4, 5]
    assert _counts(report) == (2, 2, 0)


def test_a_dry_run_writes_nothing_and_says_what_is_there(source: Source) -> None:
    path = source.file("fills.csv", FILLS)
    equity = source.file("equity.csv", "date,equity\n2024-01-02,1000\n")
    report = source.load(fills=path, equity=equity, dry_run=True)
    assert _counts(report) == (4, 4, 0)
    assert source.rows("select (select count(*) from executions), (select count(*) from strategies)") == [(0, 0)]
    source.load(fills=path)
    assert _counts(source.load(fills=path, dry_run=True)) == (4, 0, 4)


def test_an_interrupted_load_goes_on_where_it_stopped(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestration.load.write_fills.BATCH_ORDERS", 3)
    path = source.file("fills.csv", FILLS)

    def interrupt(progress: Progress, task: int, completed: int) -> None:
        if completed == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("orchestration.load.loader.Progress.update", interrupt)
        with pytest.raises(KeyboardInterrupt):
            source.load(fills=path)
    assert source.rows("select count(*) from executions") == [(3,)]
    assert _counts(source.load(fills=path)) == (4, 1, 3)


def test_times_and_signs_of_other_peoples_files(source: Source) -> None:
    text = "Date;Ticker;Shares;T. Price;Comm/Fee\n2024-07-02;AAPL;-1,500;$185.5;-1.25\n"
    defaults = FillDefaults(strategy="s", account="a", negative_fees=True)
    source.load(fills=source.file("statement.csv", text), defaults=defaults)
    assert source.rows(
        "select side, filled_qty, avg_fill_price, last_update_at, raw_order ->> 'cost_amount' from executions"
    ) == [("sell", 1500, Decimal("185.5"), datetime(2024, 7, 2, 20, tzinfo=UTC), "1.25")]


def test_columns_name_the_strategy_and_the_account_unless_the_caller_does(source: Source) -> None:
    text = "time,symbol,qty,price,strategy,account\n2024-01-02T15:00:00Z,AAPL,1,185,mine,live\n"
    path = source.file("fills.csv", text)
    source.load(fills=path, defaults=FillDefaults())
    source.load(fills=path, defaults=FillDefaults(account="paper"))
    assert source.rows("select name from strategies") == [("mine",)]
    assert source.rows("select alpaca_account_label from executions order by 1") == [("live",), ("paper",)]


def test_an_existing_strategy_of_that_name_is_used(source: Source) -> None:
    with psycopg.connect(source.dsn) as connection:
        connection.execute(
            "insert into strategies (id, name, base_timeframe, universe_type)"
            " values ('00000000-0000-0000-0000-000000000001', 's', '1Min', 'static')"
        )
    source.load(fills=source.file("fills.csv", FILLS))
    assert source.rows("select count(*), count(distinct strategy_id) from strategies, trade_decisions") == [(4, 1)]


def test_compressed_and_parquet_files_load_like_plain_ones(source: Source) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    source.load(fills=source.file("fills.csv", FILLS))
    zipped = source.directory / "fills.csv.gz"
    zipped.write_bytes(gzip.compress(FILLS.encode()))
    assert _counts(source.load(fills=zipped)) == (4, 0, 4)
    rows = list(csv.DictReader(io.StringIO(FILLS)))
    table = pyarrow.table(
        {
            "time": [datetime.fromisoformat(row["time"]) for row in rows],
            "symbol": [row["symbol"] for row in rows],
            "side": [row["side"] for row in rows],
            "qty": [float(row["qty"]) for row in rows],
            "price": [Decimal(row["price"]) for row in rows],
            "fee": [float(row["fee"]) if row["fee"] else None for row in rows],
        }
    )
    parquet.write_table(table, source.directory / "fills.parquet")
    assert _counts(source.load(fills=source.directory / "fills.parquet")) == (4, 0, 4)


def test_returns_compound_from_the_capital_and_positions_add_what_was_held(source: Source) -> None:
    returns = source.file("returns.csv", "date,ret\n2024-01-02,0\n2024-01-03,0.01\n2024-01-04,-0.5\n")
    positions = source.file("positions.csv", "date,AAPL,MSFT,cash\n2024-01-03,300,-100,810\n2024-01-09,1,1,1\n")
    report = source.load(equity=returns, positions=positions, initial_capital=Decimal(1000))
    assert report.snapshots is not None
    assert (report.snapshots.new, report.snapshots.positions_without_equity) == (4, 1)
    assert report.snapshots.difference == 0
    rows = source.rows("select as_of, equity, cash, positions from position_snapshots order by as_of")
    assert [(row[0].day, row[1], row[2]) for row in rows] == [
        (1, 1000, 1000),
        (2, 1000, 1000),
        (3, 1010, 810),
        (4, 505, 505),
    ]
    held = {position["symbol"]: position for position in rows[2][3]}
    assert held["MSFT"] == {
        "symbol": "MSFT",
        "asset_class": "us_equity",
        "side": "short",
        "qty": None,
        "market_value": "-100",
        "current_price": None,
    }
    assert rows[3][3] == []


def test_positions_alone_give_the_equity_and_a_correction_is_a_change(source: Source) -> None:
    text = "date,symbol,qty,price\n2024-01-02,AAPL,2,100\n2024-01-02,MSFT,-1,50\n2024-01-02,cash,1,500\n"
    report = source.load(positions=source.file("positions.csv", text))
    assert report.snapshots is not None
    assert source.rows("select equity, cash, jsonb_array_length(positions) from position_snapshots") == [(650, 500, 2)]
    assert source.rows("select positions -> 0 ->> 'qty' from position_snapshots") == [("2",)]
    report = source.load(positions=source.file("positions.csv", text.replace("2,100", "3,100")))
    assert report.snapshots is not None
    assert (report.snapshots.new, report.snapshots.changed) == (0, 1)
    assert source.rows("select equity from position_snapshots") == [(750,)]


def test_equity_rows_that_cannot_be_are_refused(source: Source) -> None:
    path = source.file("equity.csv", "date,equity\n2024-01-02,1000\n2024-01-02,1001\n2024-01-03,much\n")
    report = source.load(equity=path)
    assert report.snapshots is not None
    assert (report.snapshots.new, report.refused) == (1, 2)
    with pytest.raises(UserError, match="--initial-capital"):
        source.load(equity=source.file("returns.csv", "date,ret\n2024-01-02,0\n"))
    with pytest.raises(UserError, match="no column of cash"):
        source.load(positions=source.file("positions.csv", "date,AAPL\n2024-01-02,5\n"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.csv", None, "no file"),
        ("empty.csv", b"", "no header"),
        ("latin.csv", b"time,symbol,qty,price\n2024-01-02,\xff,1,1\n", "not UTF-8"),
        ("broken.parquet", b"not parquet", "not a Parquet file"),
        ("header.csv", b"time,symbol,qty,price\n", "no row that can be loaded"),
        ("other.csv", b"a,b\n1,2\n", "its columns are: a, b"),
    ],
)
def test_files_that_are_none(source: Source, name: str, content: bytes | None, message: str) -> None:
    path = source.directory / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        source.load(fills=path)


def test_values_the_database_would_misread_are_kept_as_they_are(source: Source) -> None:
    text = "time,symbol,qty,price,strategy\n2024-01-02T15:00:00Z,A\\N,1,185,\\.\n2024-01-02T15:00:00Z,\\N,1,1,é''%s\n"
    source.load(fills=source.file("fills.csv", text), defaults=FillDefaults(account="a"))
    assert source.rows("select symbol from executions order by 1") == [("A\\N",), ("\\N",)]
    assert json.dumps(source.rows("select name from strategies order by 1")) == json.dumps([["\\."], ["é''%s"]])
