"""The live desk as a process: orders change while it runs; kill -9 and a lost Postgres leave nothing open or twice."""

import signal
import time
from pathlib import Path

import psycopg
import pytest

from orchestration.desk.clock import to_us
from orchestration.desk.history import scene
from orchestration.desk.resume import restore_book
from orchestration.desk.roster import PAPER_CRYPTO
from tests.integration.desk.conftest import StartDesk, settings_for
from tests.waiting import wait_for


def count(connection: psycopg.Connection, query: str) -> int:
    row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])


FINAL = "select count(*) from executions where status = 'filled'"
OPEN = "select count(*) from executions where status not in ('filled', 'canceled', 'rejected', 'expired')"


def test_orders_progress_in_place_and_sigterm_stops(
    source: str, connection: psycopg.Connection, start_desk: StartDesk
) -> None:
    desk = start_desk("--rate", "8")
    wait_for(lambda: count(connection, "select count(*) from trade_decisions where status = 'submitted'"), 30, "orders")
    seen: set[tuple[str, ...]] = set()
    paths: dict[str, tuple[str, ...]] = {}

    def progressed() -> bool:
        for key, status in connection.execute("select id::text, status from executions"):
            path = paths.get(key, ())
            if not path or path[-1] != status:
                paths[key] = (*path, status)
        seen.update(paths.values())
        return any(len(path) > 1 and path[-1] == "filled" for path in seen)

    wait_for(progressed, 30, "an order that is first open and then filled", interval=0.01)
    assert count(connection, "select count(*) from position_snapshots") >= 1, "one at the start, then every 15 seconds"
    asked = time.monotonic()
    desk.send_signal(signal.SIGTERM)
    assert desk.wait(5) == 0
    assert time.monotonic() - asked < 2


def test_kill_and_restart_continues_without_doubles(
    latest_source: str, connection: psycopg.Connection, start_desk: StartDesk
) -> None:
    desk = start_desk("--rate", "15")
    wait_for(lambda: count(connection, FINAL) >= 10 and count(connection, OPEN) >= 3, 30, "open and filled orders")
    desk.kill()
    desk.wait()
    left = [
        key for (key,) in connection.execute("select id from executions where status in ('new', 'partially_filled')")
    ]
    filled = count(connection, FINAL)
    start_desk("--rate", "15")
    wait_for(lambda: count(connection, FINAL) > filled + 5, 30, "new fills after the restart")
    ended = connection.execute("select status from executions where id = any(%s)", (left,)).fetchall()
    assert {status for (status,) in ended} <= {"canceled"}
    assert len(ended) == len(left)
    _check_snapshot(connection, latest_source)
    doubled = count(
        connection,
        "select count(*) from (select execution_id from execution_order_events"
        " where event_type in ('fill', 'canceled', 'rejected', 'expired') group by 1 having count(*) > 1) t",
    )
    assert doubled == 0


def test_a_lost_connection_is_opened_again(
    latest_source: str, connection: psycopg.Connection, start_desk: StartDesk, tmp_path: Path
) -> None:
    desk = start_desk("--rate", "15")
    wait_for(lambda: count(connection, FINAL) >= 5, 30, "fills")
    connection.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid()"
    )
    filled = count(connection, FINAL)
    wait_for(lambda: count(connection, FINAL) > filled + 5, 30, "fills on a new connection")
    assert desk.poll() is None
    log = (tmp_path / "desk.log").read_text()
    assert log.count("the source is gone") == 1
    assert log.count("TA rows wait for the warehouse") == 1, (
        "an absent warehouse is told once and does not stop trading"
    )
    _check_snapshot(connection, latest_source)


@pytest.mark.parametrize("rate", ["15", "300"])
def test_sigterm_stops_at_any_moment(
    latest_source: str, connection: psycopg.Connection, start_desk: StartDesk, rate: str
) -> None:
    desk = start_desk("--rate", rate)
    wait_for(lambda: count(connection, FINAL) >= 5, 30, "fills")
    # The desk waits for a lock in the middle of a transaction.
    with connection.transaction():
        connection.execute("lock table executions in access exclusive mode")
        wait_for(
            lambda: count(connection, "select count(*) from pg_locks where not granted"), 10, "the desk to wait for us"
        )
        asked = time.monotonic()
        desk.send_signal(signal.SIGTERM)
        assert desk.wait(5) == 0
        assert time.monotonic() - asked < 2


def test_load_mode_writes_hundreds_a_second(
    latest_source: str, connection: psycopg.Connection, start_desk: StartDesk
) -> None:
    start_desk("--rate", "200")
    wait_for(lambda: count(connection, "select count(*) from trade_decisions") > 1000, 60, "a thousand decisions")
    wait_for(lambda: count(connection, FINAL) > 300, 30, "fills under load")


def test_a_real_source_is_refused(latest_source: str, connection: psycopg.Connection, start_desk: StartDesk) -> None:
    from typer.testing import CliRunner

    from orchestration.cli import app
    from orchestration.errors import UserError
    from orchestration.settings import get_settings

    get_settings.cache_clear()
    result = CliRunner().invoke(app, ["desk"], env={"TORGHUT_DB_DSN": latest_source})
    get_settings.cache_clear()
    assert isinstance(result.exception, UserError)
    assert "real Torghut" in result.exception.message
    assert count(connection, "select count(*) from strategies") == 0


def _check_snapshot(connection: psycopg.Connection, dsn: str) -> None:
    """A snapshot's cash follows from the orders that were filled by then."""
    market = scene(settings_for(dsn)).market
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read")
        row = connection.execute(
            "select as_of, cash from position_snapshots where alpaca_account_label = 'paper-crypto'"
            " order by as_of desc limit 1"
        ).fetchone()
        assert row is not None
        book = restore_book(connection, PAPER_CRYPTO, market, to_us(row[0]))
        flows = connection.execute(
            "select coalesce(sum(case e.side when 'buy' then -1 else 1 end * v.filled_notional_delta), 0)"
            " from execution_order_events v join executions e on e.id = v.execution_id"
            " where e.alpaca_account_label = 'paper-crypto' and v.event_ts > %s",
            (row[0],),
        ).fetchone()
    assert flows is not None
    fees_since = row[1] + flows[0] - book.cash
    assert 0 <= fees_since < 1, "cash at the snapshot, plus flows since, less fees since, is the cash of all orders"
