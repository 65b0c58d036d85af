"""Bench of the mirror: commit to visible at desk load, rows per second of stream, snapshot and one big transaction.

Runs its own Postgres and ClickHouse in a temporary directory: `python -m tests.bench.mirror_latency`.
"""

import argparse
import tempfile
import threading
import time
from pathlib import Path

import psutil
import psycopg
from rich.console import Console
from rich.table import Table

from orchestration.source.embedded import EmbeddedPostgres
from orchestration.source.migrate import migrate
from tests.integration.mirror.harness import DATABASE, Lab, Warehouse
from tests.ports import free_port
from tests.waiting import wait_for

# (table, columns, values) of one row in each of five tables of the schema.
TABLES = (
    (
        "trade_decisions",
        "id, strategy_id, alpaca_account_label, symbol, timeframe, decision_json, status",
        "gen_random_uuid(), '00000000-0000-0000-0000-000000000001', 'paper', 'AAPL', '1Min', "
        "jsonb_build_object('qty', g, 'action', 'buy', 'params', repeat('x', 200)), 'planned'",
    ),
    (
        "executions",
        "id, alpaca_order_id, client_order_id, symbol, side, order_type, time_in_force, submitted_qty, filled_qty, "
        "avg_fill_price, status, raw_order, last_update_at",
        "gen_random_uuid(), gen_random_uuid()::text, gen_random_uuid()::text, 'AAPL', 'buy', 'limit', 'day', g, g, "
        "random() * 100, 'filled', jsonb_build_object('id', g, 'cost_amount', '0.01'), now()",
    ),
    (
        "position_snapshots",
        "id, alpaca_account_label, as_of, equity, cash, buying_power, positions",
        "gen_random_uuid(), 'paper', now(), 100000 + g, 1000, 2000, '[]'",
    ),
    (
        "llm_decision_reviews",
        "id, trade_decision_id, model, prompt_version, input_json, response_json, verdict",
        "gen_random_uuid(), '00000000-0000-0000-0000-000000000002', 'm', '1', '{}', '{}', 'approve'",
    ),
    (
        "execution_order_events",
        "id, event_fingerprint, source_topic, event_ts, symbol, event_type, qty, filled_qty, raw_event",
        "gen_random_uuid(), gen_random_uuid()::text, 't', now(), 'AAPL', 'fill', g, g, '{}'",
    ),
)


def insert(table: tuple[str, str, str], rows: str) -> bytes:
    """Return an INSERT of `rows` (a FROM item named g) into one of the tables."""
    name, columns, values = table
    return f"insert into {name} ({columns}) select {values} from {rows} g".encode()


def latency(lab: Lab, rate: float, seconds: float) -> tuple[list[float], int]:
    """Commit single-row transactions at `rate`; return the seconds from COMMIT to visible, sorted, and how many."""
    committed: list[tuple[int, float]] = []
    done = threading.Event()

    def write() -> None:
        with psycopg.connect(lab.dsn, autocommit=True) as connection:
            start = time.perf_counter()
            for number in range(int(rate * seconds)):
                time.sleep(max(0.0, start + number / rate - time.perf_counter()))
                connection.execute(insert(TABLES[number % len(TABLES)], f"generate_series({number}, {number})"))
                row = connection.execute("select (pg_current_wal_insert_lsn() - '0/0')::bigint").fetchone()
                committed.append((row[0] if row else 0, time.perf_counter()))
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    found: list[float] = []
    position = 0
    query = f"SELECT lsn FROM {DATABASE}.mirror_checkpoint WHERE slot = '{lab.slot}' ORDER BY applied DESC LIMIT 1"
    while not done.is_set() or position < len(committed):
        mark = int(lab.client.query(query).result_rows[0][0])
        now = time.perf_counter()
        # The mark is the end of a commit: a row whose LSN was read after its own commit is at most one behind.
        while position < len(committed) and committed[position][0] <= mark:
            found.append(now - committed[position][1])
            position += 1
        time.sleep(0.005)
        if done.is_set() and position < len(committed) and mark < committed[position][0]:
            lab.execute("select pg_logical_emit_message(true, 'bench', '')")
    writer.join()
    return sorted(found), len(found)


def stream(lab: Lab, total: int, per_transaction: int) -> float:
    """Write rows while the mirror is away, then measure how fast it catches up; returns rows per second."""
    started = time.perf_counter()
    for first in range(0, total, per_transaction):
        table = TABLES[first // per_transaction % 2]
        if first // per_transaction % 10 == 9:
            lab.execute(
                f"update trade_decisions set status = 'filled' where ctid = any (array(select ctid from "
                f"trade_decisions limit {per_transaction}))"
            )
        else:
            lab.source.execute(insert(table, f"generate_series({first}, {first + per_transaction - 1})"))
    wrote = time.perf_counter() - started
    print(f"  wrote {total:,} rows in {wrote:.1f} s")
    with lab.mirror_process() as mirror:
        mirror.start()
        before = lab.mark()
        wait_for(lambda: lab.mark() != before, 60, "the mirror takes up the stream", interval=0.02)
        started = time.perf_counter()
        lab.catch_up(600)
        seconds = time.perf_counter() - started
        mirror.terminate()
    return total / seconds


def main() -> None:
    """Print one table with all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=500.0, help="single-row transactions per second")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rows", type=int, default=300_000, help="rows of the stream and of the snapshot")
    arguments = parser.parse_args()
    table = Table("what", "figure")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        postgres = EmbeddedPostgres(Path(directory) / "postgres", free_port())
        warehouse = Warehouse(Path(directory) / "warehouse")
        warehouse.state_dir.mkdir()
        postgres.start()
        try:
            warehouse.start()
            migrate(postgres.dsn())
            lab = Lab(postgres.dsn(), warehouse, "bench")
            lab.execute(
                "insert into strategies (id, name, enabled, base_timeframe, universe_type) "
                "values ('00000000-0000-0000-0000-000000000001', 's', true, '1Min', 'static')",
                "insert into trade_decisions (id, strategy_id, alpaca_account_label, symbol, timeframe, decision_json, "
                "status) values ('00000000-0000-0000-0000-000000000002', '00000000-0000-0000-0000-000000000001', "
                "'paper', 'AAPL', '1Min', '{}', 'planned')",
            )
            measure(lab, arguments.rate, arguments.seconds, arguments.rows, table)
            lab.close()
        finally:
            warehouse.stop()
            postgres.stop()
    Console().print(table)


def measure(lab: Lab, rate: float, seconds: float, rows: int, table: Table) -> None:
    """Run all parts, one row of the table each."""
    for number in range(0, rows, 50_000):
        lab.source.execute(insert(TABLES[1], f"generate_series({number}, {number + 49_999})"))
    started = time.perf_counter()
    with lab.mirror_process() as mirror:
        mirror.start()
        lab.wait_until_streaming(600)
        took = time.perf_counter() - started
        table.add_row("snapshot, start included", f"{rows / took:,.0f} executions/s ({took:.1f} s)")
        for load in (20.0, rate):
            found, count = latency(lab, load, seconds)
            figures = ", ".join(f"p{int(p * 100)} {found[int(count * p)] * 1000:.0f} ms" for p in (0.5, 0.95, 0.99))
            table.add_row(f"commit to visible, {load:g} tx/s over {len(TABLES)} tables", f"{figures} (n={count})")
        process = psutil.Process(mirror.pid)
        before = process.cpu_times()
        started = time.perf_counter()
        lab.execute(insert(TABLES[1], "generate_series(1, 500000)").decode())
        committed = time.perf_counter()
        peak, end = 0, lab.wal_end()

        def is_visible() -> bool:
            nonlocal peak
            peak = max(peak, process.memory_info().rss)
            return lab.mark() >= end

        wait_for(is_visible, 300, "the transaction is visible")
        took = time.perf_counter() - committed
        after = process.cpu_times()
        cpu = (after.user + after.system - before.user - before.system) / 500_000
        table.add_row(
            "one transaction of 500,000 rows",
            f"visible {took:.1f} s after COMMIT, mirror at most {peak / 1e6:.0f} MB, {cpu * 1e6:.1f} us CPU/row",
        )
        mirror.terminate()
    table.add_row("stream, 100 rows/tx, 10 % updates", f"{stream(lab, rows, 100):,.0f} rows/s")
    parts = lab.query(
        f"SELECT max(n) FROM (SELECT count() AS n FROM system.parts WHERE active AND database = '{DATABASE}' "
        "GROUP BY table)"
    )
    table.add_row("active parts of the fullest table", str(parts[0][0]))


if __name__ == "__main__":
    main()
