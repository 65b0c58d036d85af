"""Bench of the mirror: rows per second of first copy, stream and catch-up, and one big transaction, beside two limits.

The limits are a reader that discards what the source sends, and ClickHouse's own MaterializedPostgreSQL on the same
rows. Runs its own Postgres and ClickHouse in a temporary directory: `python -m tests.bench.mirror_throughput`.
"""

import argparse
import re
import select
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
from clickhouse_connect.driver.exceptions import DatabaseError
from rich.console import Console
from rich.table import Table

from orchestration.mirror import protocol
from orchestration.mirror.catalog import TypeResolver, find_table
from orchestration.mirror.layout import Layout, LayoutColumn
from orchestration.mirror.replication import ReplicationSession
from orchestration.mirror.schema import wanted_from_relation
from orchestration.mirror.session import replication_conninfo
from tests.bench._labs import DESK, ORDERS, Rows, bench_lab, cpu_seconds
from tests.integration.mirror.harness import DATABASE, Lab, MirrorProcess, Warehouse
from tests.waiting import wait_for

EXECUTIONS = next(rows for rows in DESK if rows.table == "executions")
ROWS_PER_TRANSACTION = 100
BIG_TRANSACTION = 500_000
# Input while the mirror is away, and while it catches up.
CATCH_UP_RATE, CATCH_UP_SECONDS = 5_000, 60.0


def fill(lab: Lab, rows: Rows, count: int) -> None:
    """Insert rows in transactions of 50 thousand."""
    for first in range(1, count + 1, 50_000):
        lab.source.execute(rows.insert(first, min(first + 49_999, count)))
    lab.execute(f"vacuum analyze {rows.table}")


def copy_alone(lab: Lab, rows: Rows) -> float:
    """Copy a table's text in two sessions and discard it; returns seconds."""
    row = lab.source.execute(f"select pg_relation_size('{rows.table}') / 8192".encode()).fetchone()
    half = int(row[0]) // 2 if row else 0

    def read(condition: str) -> None:
        with (
            lab.connect() as session,
            session.cursor().copy(f"copy (select * from {rows.table} where {condition}) to stdout".encode()) as copy,
        ):
            while copy.read():
                pass

    started = time.perf_counter()
    with ThreadPoolExecutor(2) as executor:
        list(executor.map(read, (f"ctid < '({half},0)'", f"ctid >= '({half},0)'")))
    return time.perf_counter() - started


def snapshot(lab: Lab, counts: dict[str, int], log: Path, table: Table) -> None:
    """Start a mirror on tables that are full; the rate of each copy is that of its own lines in the log."""
    started = time.perf_counter()
    mirror = MirrorProcess(lab.settings(), log)
    mirror.start()
    lab.wait_until_streaming(600)
    took = time.perf_counter() - started
    assert mirror.terminate() == 0
    for name, seconds in re.findall(r"table (\w+) copied: [\d.]+ MB in ([\d.]+) s", log.read_text(encoding="utf-8")):
        if name in counts:
            table.add_row(f"first copy of {name}", f"{counts[name] / float(seconds):,.0f} rows/s")
    total = sum(counts.values())
    table.add_row("first copy, start included", f"{total / took:,.0f} rows/s ({total:,} rows in {took:.1f} s)")


def ceiling(lab: Lab, slot: str, end: int) -> tuple[float, list[bytes]]:
    """Read a slot up to an LSN and do nothing with it: the walsender's own limit. Returns seconds and messages."""
    session = ReplicationSession(replication_conninfo(lab.settings()))
    session.start(slot, lab.slot, early=True)
    messages: list[bytes] = []
    started = reported = time.perf_counter()
    while True:
        if time.perf_counter() - reported > 1:
            session.report(0, 0)
            reported = time.perf_counter()
        size, data = session.pg.get_copy_data(1)
        if size > 0 and data[0] == ord("w"):
            messages.append(bytes(data[25:]))
            if data[25] == protocol.COMMIT and protocol.decode_commit(messages[-1]) >= end:
                break
        elif size == 0:
            select.select([session.pg.socket], [], [], 1)
            session.pg.consume_input()
    seconds = time.perf_counter() - started
    session.close()
    return seconds, messages


def decode(lab: Lab, messages: list[bytes]) -> float:
    """Decode messages and render their rows as the applier does; returns CPU seconds per row."""
    layouts: dict[int, Layout] = {}
    resolver = TypeResolver(lab.source)
    for payload in messages:
        if payload[0] == protocol.RELATION:
            relation = protocol.decode_relation(payload)
            wanted = wanted_from_relation(relation, find_table(lab.source, relation.oid), resolver)
            columns = tuple(LayoutColumn(column.name, column.mapping, False) for column in wanted)
            layouts[relation.oid] = Layout(relation.name, (relation.schema, relation.name), columns, (0,), ())
    rows, started = 0, time.process_time()
    for payload in messages:
        if payload[0] == protocol.INSERT:
            oid, values = protocol.decode_insert(payload)
        elif payload[0] == protocol.UPDATE:
            oid, _, _, values = protocol.decode_update(payload)
        else:
            continue
        layouts[oid].render(values, lambda *_: None)
        rows += 1
    return (time.process_time() - started) / rows


def write_stream(lab: Lab, rows: Rows, count: int) -> None:
    """Write rows in small transactions, every tenth of which updates instead."""
    update = (
        f"update {rows.table} set status = 'filled' "
        f"where ctid = any (array(select ctid from {rows.table} limit {ROWS_PER_TRANSACTION}))"
    )
    for number in range(count // ROWS_PER_TRANSACTION):
        first = number * ROWS_PER_TRANSACTION + 1
        if number % 10 == 9:
            lab.execute(update)
        else:
            lab.source.execute(rows.insert(first, first + ROWS_PER_TRANSACTION - 1))


def stream(lab: Lab, rows: Rows, count: int, table: Table) -> None:
    """Write rows while the mirror is away, then measure how fast it takes them, beside a reader that discards."""
    lab.execute("select pg_create_logical_replication_slot('ceiling', 'pgoutput')")
    write_stream(lab, rows, count)
    lab.execute("select pg_logical_emit_message(true, 'bench', '')")
    seconds, messages = ceiling(lab, "ceiling", lab.wal_end() - 64)
    gone = "select count(pg_drop_replication_slot(slot_name)) from pg_replication_slots where slot_name = 'ceiling' "
    wait_for(lambda: lab.source.execute(f"{gone} and not active".encode()).fetchone() == (1,), 30, "the slot is free")
    table.add_row(f"stream of {rows.table}, read and discarded", f"{count / seconds:,.0f} rows/s")
    table.add_row(f"stream of {rows.table}, decode and render", f"{decode(lab, messages) * 1e6:.1f} us CPU/row")
    del messages
    with lab.mirror_process() as mirror:
        mirror.start()
        before = lab.mark()
        wait_for(lambda: lab.mark() != before, 60, "the mirror takes up the stream", interval=0.02)
        started, cpu, server = time.perf_counter(), cpu_seconds(mirror.pid), cpu_seconds(lab.warehouse.pid)
        lab.catch_up(600)
        seconds = time.perf_counter() - started
        cpu, server = cpu_seconds(mirror.pid) - cpu, cpu_seconds(lab.warehouse.pid) - server
        mirror.terminate()
    table.add_row(
        f"stream of {rows.table}, {ROWS_PER_TRANSACTION} rows/tx, 10 % updates",
        f"{count / seconds:,.0f} rows/s; us CPU/row: mirror {cpu / count * 1e6:.1f}, "
        f"warehouse {server / count * 1e6:.1f}",
    )


def big_transaction(lab: Lab, table: Table) -> None:
    """One transaction of half a million rows: how long after its COMMIT, and how much memory."""
    with lab.mirror_process() as mirror:
        mirror.start()
        lab.wait_until_streaming(60)
        process = psutil.Process(mirror.pid)
        lab.execute(ORDERS.insert(1, BIG_TRANSACTION).decode())
        committed = time.perf_counter()
        peak, end = 0, lab.wal_end()

        def is_visible() -> bool:
            nonlocal peak
            peak = max(peak, process.memory_info().rss)
            return lab.mark() >= end

        wait_for(is_visible, 300, "the transaction is visible")
        took = time.perf_counter() - committed
        mirror.terminate()
    table.add_row(
        f"one transaction of {BIG_TRANSACTION:,} rows",
        f"visible {took:.1f} s after COMMIT, mirror at most {peak / 1e6:.0f} MB",
    )


def catch_up(lab: Lab, table: Table) -> None:
    """Write at a steady rate while the mirror is away for a minute, and on while it makes up for it."""
    stop = threading.Event()
    written = 0

    def write() -> None:
        nonlocal written
        with lab.connect() as connection:
            start = time.perf_counter()
            while not stop.is_set():
                connection.execute(ORDERS.insert(written + 1, written + ROWS_PER_TRANSACTION))
                written += ROWS_PER_TRANSACTION
                time.sleep(max(0.0, start + written / CATCH_UP_RATE - time.perf_counter()))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        time.sleep(CATCH_UP_SECONDS)
        with lab.mirror_process() as mirror:
            missed, started = written, time.perf_counter()
            mirror.start()
            # Caught up: what is visible is not older than a second.
            fresh = (
                f"SELECT toUnixTimestamp64Milli(now64(3)) - max(watermark_ms) < 1000 FROM (SELECT "
                f"toUnixTimestamp64Milli(watermark) AS watermark_ms FROM {DATABASE}.mirror_checkpoint "
                f"WHERE slot = '{lab.slot}')"
            )
            wait_for(lambda: lab.query(fresh) == [(1,)], 600, "the mirror has made up for its absence")
            seconds, taken = time.perf_counter() - started, written
            mirror.terminate()
    finally:
        stop.set()
        writer.join()
    table.add_row(
        f"catch-up after {CATCH_UP_SECONDS:.0f} s away, input {written / (CATCH_UP_SECONDS + seconds):,.0f} rows/s",
        f"{taken / seconds:,.0f} rows/s ({missed:,} missed, {seconds:.1f} s, start included)",
    )


def materialized_postgresql(lab: Lab, count: int, table: Table) -> None:
    """ClickHouse's own replication of the ten-column table: first copy, then a stream that it was away for."""
    lab.execute(f"truncate {ORDERS.table}")
    fill(lab, ORDERS, count)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        warehouse = Warehouse(Path(directory))
        warehouse.start()
        try:
            info = lab.source.info
            client = warehouse.client()

            def rows_are(expected: int) -> bool:
                try:
                    query = f"SELECT count(), countIf(status = 'filled') FROM peer.{ORDERS.table}"
                    return tuple(client.query(query).result_rows[0]) == (expected, filled)
                except DatabaseError:
                    # Not there yet: it makes its tables in the background.
                    return False

            filled = 0
            started = time.perf_counter()
            client.command(
                f"CREATE DATABASE peer ENGINE = MaterializedPostgreSQL('127.0.0.1:{info.port}', '{info.dbname}', "
                f"'{info.user}', '{info.password}') SETTINGS materialized_postgresql_tables_list = '{ORDERS.table}'",
                settings={"allow_experimental_database_materialized_postgresql": 1},
            )
            wait_for(lambda: rows_are(count), 300, "MaterializedPostgreSQL has the first copy", interval=0.05)
            table.add_row(
                "MaterializedPostgreSQL, first copy, start included",
                f"{count / (time.perf_counter() - started):,.0f} rows/s",
            )
            client.close()
            warehouse.stop()
            write_stream(lab, ORDERS, count)
            row = lab.source.execute(
                f"select count(*), count(*) filter (where status = 'filled') from {ORDERS.table}".encode()
            ).fetchone()
            assert row is not None
            expected, filled = int(row[0]), int(row[1])
            warehouse.start()
            client = warehouse.client()
            started = time.perf_counter()
            wait_for(lambda: rows_are(expected), 600, "MaterializedPostgreSQL has the stream", interval=0.05)
            table.add_row(
                f"MaterializedPostgreSQL, stream of {ORDERS.table}",
                f"{count / (time.perf_counter() - started):,.0f} rows/s",
            )
            client.close()
        finally:
            warehouse.stop()


def main() -> None:
    """Print one table with all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=300_000, help="rows of each first copy and stream")
    rows = parser.parse_args().rows
    table = Table("what", "figure")
    with bench_lab() as lab, tempfile.TemporaryDirectory() as directory:
        try:
            for shape in (ORDERS, EXECUTIONS):
                fill(lab, shape, rows)
                took = copy_alone(lab, shape)
                table.add_row(f"COPY of {shape.table}, two sessions, discarded", f"{rows / took:,.0f} rows/s")
            snapshot(lab, {ORDERS.table: rows, EXECUTIONS.table: rows}, Path(directory) / "mirror.log", table)
            for shape in (ORDERS, EXECUTIONS):
                stream(lab, shape, rows, table)
            big_transaction(lab, table)
            catch_up(lab, table)
            materialized_postgresql(lab, rows, table)
        finally:
            # Also what was measured before a failure.
            Console().print(table)


if __name__ == "__main__":
    main()
