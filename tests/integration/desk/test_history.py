"""History in a real Postgres: shapes at both heads, repeatable, restartable, books that reconcile."""

from datetime import UTC, datetime
from decimal import Decimal

import psycopg
import pytest

from orchestration.desk.clock import DAY, to_datetime, to_us
from orchestration.desk.history import Scene, catch_up, only_desk, scene, write_history
from orchestration.desk.instruments import INSTRUMENTS
from orchestration.desk.resume import last_activity, restore_book
from orchestration.desk.roster import PAPER, PAPER_CRYPTO, copies
from orchestration.desk.writer import Writer
from orchestration.errors import UserError
from orchestration.settings import Settings
from tests.integration.desk.conftest import settings_for

# A Saturday behind a holiday and an early close.
NOW = to_us(datetime(2025, 11, 29, 12, 0, tzinfo=UTC))
_TABLES = (
    "strategies",
    "trade_decisions",
    "executions",
    "llm_decision_reviews",
    "position_snapshots",
    "execution_order_events",
    "execution_tca_metrics",
)


class Interrupted(Exception):
    """Stands for the end of the process in the middle of history."""


def fill(connection: psycopg.Connection, stage: Scene, now: int = NOW, interrupt_at: int | None = None) -> int:
    def on_progress(done: int, total: int, what: str) -> None:
        if done == interrupt_at:
            raise Interrupted

    return catch_up(connection, Writer(connection), stage, 3, on_progress, lambda: now)


def digests(connection: psycopg.Connection) -> dict[str, tuple[int, str]]:
    present = {name for (name,) in connection.execute("select table_name from information_schema.tables")}
    found = {}
    for table in _TABLES:
        if table in present:
            row = connection.execute(
                f"select count(*), md5(string_agg(t::text, ',' order by id)) from {table} t"
            ).fetchone()
            assert row is not None
            found[table] = row
    return found


def test_history_is_repeatable_restartable_and_reconciles(source: str, connection: psycopg.Connection) -> None:
    settings = settings_for(source)
    with pytest.raises(Interrupted):
        fill(connection, scene(settings), interrupt_at=4)
    halfway = digests(connection)
    assert halfway["executions"][0] > 0, "complete sessions stay"
    orders = fill(connection, scene(settings))
    assert orders > 0
    once = digests(connection)
    assert once["executions"][0] > halfway["executions"][0] + 100
    assert fill(connection, scene(settings)) == 0
    assert digests(connection) == once, "a second start adds nothing"

    names = ", ".join(table for table in _TABLES if table in once)
    connection.execute(f"truncate {names} cascade")
    fill(connection, scene(settings))
    assert digests(connection) == once, "without an interruption the same rows"

    _check_sessions(connection)
    _check_books(connection, scene(settings))
    statuses = {status for (status,) in connection.execute("select distinct status from executions")}
    assert statuses == {"filled", "canceled", "expired", "rejected"}, "nothing is left open"
    if "execution_order_events" in once:
        _check_events(connection)


def _check_sessions(connection: psycopg.Connection) -> None:
    days = connection.execute(
        "select created_at::date::text, min(created_at)::time::text, max(created_at)::time::text from trade_decisions"
        " where alpaca_account_label = 'paper' group by 1 order by 1"
    ).fetchall()
    assert [day for day, _, _ in days] == ["2025-11-26", "2025-11-28"], "no holiday, no weekend"
    assert all(first >= "14:30" for _, first, _ in days)
    assert days[1][2] < "18:00", "an early close"
    count = connection.execute(
        "select count(distinct created_at::date) from trade_decisions where alpaca_account_label = 'paper-crypto'"
    ).fetchone()
    assert count == (4,)


def _check_books(connection: psycopg.Connection, stage: Scene) -> None:
    """The last snapshot of each account follows from capital, orders and fees alone, to the last decimal."""
    for account in stage.accounts:
        row = connection.execute(
            "select as_of, equity, cash, positions from position_snapshots where alpaca_account_label = %s"
            " order by as_of desc limit 1",
            (account.label,),
        ).fetchone()
        assert row is not None
        as_of, equity, cash, positions = row
        book = restore_book(connection, account, stage.market, to_us(as_of))
        assert book.cash == cash
        assert book.cash != account.capital
        marks = {p["symbol"]: Decimal(p["current_price"]) for p in positions}
        assert book.equity(marks) == equity
        assert {s: (p.qty, p.average_price) for s, p in book.open_positions()} == {
            p["symbol"]: (Decimal(p["qty"]), Decimal(p["avg_entry_price"])) for p in positions
        }


def _check_events(connection: psycopg.Connection) -> None:
    """Between any two snapshots the cash moves by fills and fees; the deltas of an order's events are the order."""
    wrong = connection.execute(
        "select count(*) from executions e left join lateral ("
        "  select sum(filled_qty_delta) as qty, sum(filled_notional_delta) as notional, max(source_offset) as seq"
        "  from execution_order_events v where v.execution_id = e.id) v on true"
        " where e.filled_qty <> coalesce(v.qty, 0) or e.order_feed_last_seq <> v.seq"
        "  or (e.filled_qty > 0 and e.avg_fill_price <> round(v.notional / v.qty, 8))"
    ).fetchone()
    assert wrong == (0,)
    worst = connection.execute(
        "with fills as ("
        "  select d.alpaca_account_label as account, v.event_ts as ts,"
        "    case e.side when 'buy' then -1 else 1 end * v.filled_notional_delta as flow"
        "  from execution_order_events v join executions e on e.id = v.execution_id"
        "  join trade_decisions d on d.id = e.trade_decision_id where v.filled_qty_delta > 0"
        "), snapshots as ("
        "  select alpaca_account_label as account, as_of as ts, cash,"
        "    cash - lag(cash) over (partition by alpaca_account_label order by as_of) as change,"
        "    lag(as_of) over (partition by alpaca_account_label order by as_of) as before from position_snapshots"
        ") select min(flow - change), max(flow - change) from ("
        "  select s.account, s.ts, s.change, coalesce(sum(f.flow), 0) as flow from snapshots s"
        "  left join fills f on f.account = s.account and f.ts > s.before and f.ts <= s.ts"
        "  where s.change is not null group by 1, 2, 3) t"
    ).fetchone()
    assert worst is not None
    assert worst[0] >= 0, "what is missing from the cash is the fee, never less"
    assert 0 < worst[1] < 100


def test_a_gap_is_filled_from_the_newest_row_on(latest_source: str, connection: psycopg.Connection) -> None:
    settings = settings_for(latest_source)
    fill(connection, scene(settings), now=NOW - DAY)
    before = digests(connection)
    newest = last_activity(connection, PAPER_CRYPTO)
    assert newest == NOW - DAY
    fill(connection, scene(settings))
    after = digests(connection)
    assert after["trade_decisions"][0] > before["trade_decisions"][0]
    gaps = connection.execute(
        "select max(gap) from (select as_of - lag(as_of) over (order by as_of) as gap from position_snapshots"
        " where alpaca_account_label = 'paper-crypto') t"
    ).fetchone()
    assert gaps is not None
    assert gaps[0].total_seconds() == PAPER_CRYPTO.history_snapshot_seconds
    _check_books(connection, scene(settings))


def test_copies_of_the_desk_trade_on_accounts_of_their_own(latest_source: str, connection: psycopg.Connection) -> None:
    stage = scene(settings_for(latest_source).model_copy(update={"desk_copies": 2}))
    fill(connection, stage)
    _check_books(connection, stage)
    assert connection.execute(
        "select alpaca_account_label, count(distinct strategy_id) from trade_decisions group by 1 order by 1"
    ).fetchall() == [("paper", 3), ("paper-2", 3), ("paper-crypto", 3), ("paper-crypto-2", 3)]
    assert connection.execute(
        "select count(distinct cash), count(*) from (select distinct on (alpaca_account_label) cash"
        " from position_snapshots order by alpaca_account_label, as_of desc) as newest"
    ).fetchone() == (4, 4), "no copy trades like another"


def test_the_copies_have_names_and_partitions_of_their_own() -> None:
    assert copies(1) == (PAPER, PAPER_CRYPTO)
    found = copies(34)
    assert sum(len(account.strategies) for account in found) == 204
    assert len({account.label for account in found}) == len({account.partition for account in found}) == 68


def test_what_a_crash_left_open_is_closed(source: str, connection: psycopg.Connection) -> None:
    settings = settings_for(source)
    fill(connection, scene(settings))
    for account in (PAPER, PAPER_CRYPTO):
        connection.execute(
            "update executions set status = 'partially_filled' where id = (select e.id from executions e"
            " join trade_decisions d on d.id = e.trade_decision_id where d.alpaca_account_label = %s"
            " and e.status = 'canceled' and e.filled_qty > 0 order by e.created_at desc limit 1)",
            (account.label,),
        )
    connection.execute(
        "update trade_decisions set status = 'planned' where id = (select id from trade_decisions limit 1)"
    )
    fill(connection, scene(settings), now=NOW + DAY)
    closed = connection.execute(
        "select e.status, d.status, e.raw_order ->> 'status', e.last_update_at from executions e"
        " join trade_decisions d on d.id = e.trade_decision_id"
        " where (e.raw_order ->> '_seq')::bigint % 1000 = 1 order by e.status"
    ).fetchall()
    statuses = {tuple(row[:3]) for row in closed}
    assert ("canceled", "canceled", "canceled") in statuses
    assert ("expired", "expired", "expired") in statuses, "a day order of a closed exchange"
    opened = connection.execute(
        "select count(*) from executions where status in ('new', 'accepted', 'partially_filled')"
    ).fetchone()
    assert opened == (0,)
    planned = connection.execute("select count(*) from trade_decisions where status = 'planned'").fetchone()
    assert planned == (0,)


def test_one_desk_per_source(latest_source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestration.desk.history._LOCK_SECONDS", 0.1)
    with (
        psycopg.connect(latest_source, autocommit=True) as other,
        only_desk(other),
        pytest.raises(UserError, match="Another desk"),
    ):
        write_history(settings_for(latest_source))


def test_a_source_without_schema_is_explained(source_dsn: str) -> None:
    with pytest.raises(UserError, match="no table strategies"):
        write_history(settings_for(source_dsn))


def test_history_reaches_up_to_the_present(latest_source: str, connection: psycopg.Connection) -> None:
    told: list[tuple[int, int, str]] = []
    orders = write_history(
        Settings(**{**settings_for(latest_source).model_dump(), "desk_history_days": 2}),
        lambda done, total, what: told.append((done, total, what)),
    )
    assert orders > 500
    assert told[0][0] == 0
    assert "paper-crypto" in told[0][2]
    newest = last_activity(connection, PAPER_CRYPTO)
    assert newest is not None
    row = connection.execute("select now()").fetchone()
    assert row is not None
    assert (row[0] - to_datetime(newest)).total_seconds() < 180
    symbols = {symbol for (symbol,) in connection.execute("select distinct symbol from executions")}
    assert {"BTC/USD", "ETH/USD", "SOL/USD"} <= symbols <= set(INSTRUMENTS)
