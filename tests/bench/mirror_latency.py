"""Bench of the mirror: seconds from COMMIT to visible, and new parts per second, at 20 and at 500 transactions/s.

Runs its own Postgres and ClickHouse in a temporary directory: `python -m tests.bench.mirror_latency`. `--flush-ms 20
--seconds 900` shows whether anything grows: each run tells its first and its last third apart.
"""

import argparse
import threading
import time

import psutil
import psycopg
from rich.console import Console
from rich.table import Table

from tests.bench._labs import DESK, bench_lab, cpu_seconds, parts
from tests.integration.mirror.harness import DATABASE, Lab, MirrorProcess
from tests.waiting import wait_for

# A mirror that brings nothing for so long is not slow but dead.
STALL_SECONDS = 60.0
# A look at the mark takes the warehouse 5 ms: every 5 ms they took a third of a core from what they measured.
POLL_SECONDS = 0.02
# (transactions/s, None for --rate; JANGAR_QUANT_MIRROR_FLUSH_MS): as soon as possible, and for few parts.
RUNS = ((20.0, 20), (None, 20), (None, 500))


def latency(lab: Lab, rate: float, seconds: float) -> list[float]:
    """Commit single-row transactions at `rate`; return the seconds from COMMIT to visible, in order of commit."""
    committed: list[tuple[int, float]] = []
    done = threading.Event()

    def write() -> None:
        with psycopg.connect(lab.dsn, autocommit=True) as connection:
            start = time.perf_counter()
            for number in range(int(rate * seconds)):
                time.sleep(max(0.0, start + number / rate - time.perf_counter()))
                connection.execute(DESK[number % len(DESK)].insert(number, number))
                row = connection.execute("select (pg_current_wal_insert_lsn() - '0/0')::bigint").fetchone()
                committed.append((row[0] if row else 0, time.perf_counter()))
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    found: list[float] = []
    last_progress = time.monotonic()
    query = f"SELECT max(lsn) FROM {DATABASE}.mirror_checkpoint WHERE slot = '{lab.slot}'"
    while not done.is_set() or len(found) < len(committed):
        mark = int(lab.client.query(query).result_rows[0][0])
        now = time.perf_counter()
        # The mark is the end of a commit: a row whose LSN was read after its own commit is at most one behind.
        while len(found) < len(committed) and committed[len(found)][0] <= mark:
            found.append(now - committed[len(found)][1])
            last_progress = time.monotonic()
        if time.monotonic() - last_progress > STALL_SECONDS:
            raise TimeoutError(f"the mirror has brought nothing for {STALL_SECONDS:g} s")
        time.sleep(POLL_SECONDS)
        if done.is_set() and len(found) < len(committed) and mark < committed[len(found)][0]:
            lab.execute("select pg_logical_emit_message(true, 'bench', '')")
    writer.join()
    return found


def percentiles(seconds: list[float]) -> str:
    """Describe latencies in milliseconds."""
    ordered = sorted(seconds)
    return " / ".join(f"{ordered[int(len(ordered) * p)] * 1000:.0f}" for p in (0.5, 0.95, 0.99))


def measure(lab: Lab, rate: float, flush_ms: int, seconds: float, table: Table) -> None:
    """Run one load against a mirror of its own; a row of the table."""
    mirror = MirrorProcess(lab.settings(JANGAR_QUANT_MIRROR_FLUSH_MS=flush_ms))
    mirror.start()
    try:
        before_mark = lab.mark() if lab.query(f"EXISTS {DATABASE}.mirror_checkpoint") == [(1,)] else 0
        lab.wait_until_streaming(60)
        lab.execute("select pg_logical_emit_message(true, 'bench', '')")
        wait_for(lambda: lab.mark() > before_mark, 60, "the mirror moves", interval=POLL_SECONDS)
        # The first batches ask for the layout of each table.
        latency(lab, rate, 2)
        before, begun, cpu = parts(lab), time.perf_counter(), cpu_seconds(lab.warehouse.pid)
        memory = psutil.Process(mirror.pid).memory_info().rss
        found = latency(lab, rate, seconds)
        took = time.perf_counter() - begun
        cpu = (cpu_seconds(lab.warehouse.pid) - cpu) / took
        made = {name: (count - before.get(name, 0)) / took for name, count in parts(lab).items()}
        grown = psutil.Process(mirror.pid).memory_info().rss
        third = len(found) // 3
        table.add_row(
            f"{rate:g}",
            f"{flush_ms}",
            percentiles(found),
            f"{percentiles(found[:third])}, {percentiles(found[-third:])}",
            f"{max(count for name, count in made.items() if not name.startswith('mirror_')):.1f}",
            f"{cpu:.2f}",
            f"{memory / 1e6:.0f}, {grown / 1e6:.0f}",
        )
    finally:
        mirror.terminate()


def main() -> None:
    """Print a table with a row for each load."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=500.0, help="single-row transactions per second")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each run")
    parser.add_argument("--flush-ms", type=int, default=None, help="only one run, at --rate, with this flush time")
    arguments = parser.parse_args()
    table = Table(
        "tx/s", "flush ms", "p50 / p95 / p99 ms", "first third, last third", "parts/s", "CPU of warehouse", "mirror MB"
    )
    table.title = f"Commit to visible, single-row transactions over {len(DESK)} tables"
    table.caption = "parts/s: of the fullest table. MB: resident at the beginning, at the end."
    with bench_lab() as lab:
        try:
            for rate, flush_ms in ((None, arguments.flush_ms),) if arguments.flush_ms else RUNS:
                measure(lab, rate or arguments.rate, flush_ms, arguments.seconds, table)
        finally:
            # Also what was measured before a failure.
            Console().print(table)


if __name__ == "__main__":
    main()
