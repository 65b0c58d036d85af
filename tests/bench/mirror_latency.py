"""Bench of the mirror: commit to visible at desk load, rows per second of stream, snapshot and one big transaction.

Runs its own Postgres and ClickHouse in a temporary directory: `python -m tests.bench.mirror_latency`.
"""

import argparse
import os
import select
import tempfile
import threading
import time
from pathlib import Path

import psutil
import psycopg
from rich.console import Console
from rich.table import Table

from orchestration.mirror import protocol
from orchestration.mirror.catalog import TypeResolver, find_table
from orchestration.mirror.layout import Layout, LayoutColumn
from orchestration.mirror.replication import ReplicationSession
from orchestration.mirror.schema import wanted_from_relation
from orchestration.mirror.session import replication_conninfo
from orchestration.source.embedded import EmbeddedPostgres
from orchestration.source.migrate import migrate
from tests.integration.mirror.harness import DATABASE, Lab, Warehouse
from tests.ports import free_port
from tests.waiting import wait_for

# A mirror that brings nothing for so long is not slow but dead.
STALL_SECONDS = 60.0

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


# A look at the mark takes the warehouse 7 ms: every 5 ms they took a third of a core from what they measured.
POLL_SECONDS = 0.02


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
    position, last_progress = 0, time.monotonic()
    query = f"SELECT lsn FROM {DATABASE}.mirror_checkpoint WHERE slot = '{lab.slot}' ORDER BY applied DESC LIMIT 1"
    while not done.is_set() or position < len(committed):
        mark = int(lab.client.query(query).result_rows[0][0])
        now = time.perf_counter()
        # The mark is the end of a commit: a row whose LSN was read after its own commit is at most one behind.
        while position < len(committed) and committed[position][0] <= mark:
            found.append(now - committed[position][1])
            position += 1
            last_progress = time.monotonic()
        if time.monotonic() - last_progress > STALL_SECONDS:
            raise TimeoutError(f"the mirror has brought nothing for {STALL_SECONDS:g} s")
        time.sleep(POLL_SECONDS)
        if done.is_set() and position < len(committed) and mark < committed[position][0]:
            lab.execute("select pg_logical_emit_message(true, 'bench', '')")
    writer.join()
    return sorted(found), len(found)


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


def parts(lab: Lab) -> dict[str, int]:
    """How many parts each table was ever given by inserts."""
    return dict(
        lab.query(f"SELECT table, max(max_block_number) FROM system.parts WHERE database = '{DATABASE}' GROUP BY table")  # type: ignore[arg-type]
    )


def stream(lab: Lab, total: int, per_transaction: int, table: Table) -> None:
    """Write rows while the mirror is away, then measure how fast it catches up, beside a reader that discards."""
    lab.execute("select pg_create_logical_replication_slot('ceiling', 'pgoutput')")
    started = time.perf_counter()
    for first in range(0, total, per_transaction):
        into = TABLES[first // per_transaction % 2]
        if first // per_transaction % 10 == 9:
            lab.execute(
                f"update trade_decisions set status = 'filled' where ctid = any (array(select ctid from "
                f"trade_decisions limit {per_transaction}))"
            )
        else:
            lab.source.execute(insert(into, f"generate_series({first}, {first + per_transaction - 1})"))
    wrote = time.perf_counter() - started
    lab.execute("select pg_logical_emit_message(true, 'bench', '')")
    seconds, messages = ceiling(lab, "ceiling", lab.wal_end() - 64)
    lab.execute("select pg_drop_replication_slot('ceiling')")
    table.add_row("walsender alone, same stream", f"{total / seconds:,.0f} rows/s")
    table.add_row("decode and render", f"{decode(lab, messages) * 1e6:.1f} us CPU/row")
    del messages
    with lab.mirror_process() as mirror:
        mirror.start()
        before = lab.mark()
        wait_for(lambda: lab.mark() != before, 60, "the mirror takes up the stream", interval=0.02)
        started, cpu = time.perf_counter(), cpu_seconds(mirror.pid)
        lab.catch_up(600)
        seconds, cpu = time.perf_counter() - started, cpu_seconds(mirror.pid) - cpu
        mirror.terminate()
    table.add_row(
        f"stream, {per_transaction} rows/tx, 10 % updates",
        f"{total / seconds:,.0f} rows/s, mirror {cpu / total * 1e6:.1f} us CPU/row; "
        f"written at {total / wrote:,.0f} rows/s",
    )


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


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
            os.environ["JANGAR_QUANT_STATE_DIR"] = str(Path(directory) / "state")
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
            # Also what was measured before a failure.
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
            before_parts, begun = parts(lab), time.perf_counter()
            found, count = latency(lab, load, seconds)
            took = time.perf_counter() - begun
            made = max((n - before_parts.get(name, 0)) / took for name, n in parts(lab).items())
            figures = ", ".join(f"p{int(p * 100)} {found[int(count * p)] * 1000:.0f} ms" for p in (0.5, 0.95, 0.99))
            table.add_row(
                f"commit to visible, {load:g} tx/s over {len(TABLES)} tables",
                f"{figures} (n={count}); at most {made:.1f} new parts/s per table",
            )
        process = psutil.Process(mirror.pid)
        before = cpu_seconds(mirror.pid)
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
        cpu = (cpu_seconds(mirror.pid) - before) / 500_000
        table.add_row(
            "one transaction of 500,000 rows",
            f"visible {took:.1f} s after COMMIT, mirror at most {peak / 1e6:.0f} MB, {cpu * 1e6:.1f} us CPU/row",
        )
        mirror.terminate()
    stream(lab, rows, 100, table)
    active = lab.query(
        f"SELECT max(n) FROM (SELECT count() AS n FROM system.parts WHERE active AND database = '{DATABASE}' "
        "GROUP BY table)"
    )
    table.add_row("active parts of the fullest table", str(active[0][0]))


if __name__ == "__main__":
    main()
