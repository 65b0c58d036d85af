"""Bench of the position ledger: fills per second of a rebuild, and seconds of an increment, beside a ledger in Python.

Runs its own ClickHouse in a temporary directory: `python -m tests.bench.ledger --fills 5000000 --keys 20000`.
"""

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import psutil
from clickhouse_connect.driver.client import Client
from rich.console import Console
from rich.table import Table

from orchestration.settings import Settings
from orchestration.transform.dbt import run_dbt
from tests.bench._labs import cpu_seconds
from tests.integration.mirror.harness import Warehouse
from tests.waiting import wait_for

MODELS = ("+position_ledger_refresh", "+scope_evidence_of_fills")
# Fills that one refresh of the facts leaves at most.
BATCH = 500_000
LONG_KEY = 200_000
INCREMENT = 1_000
INCREMENTS = 9
PYTHON_FILLS = 200_000

_BEHIND = (
    "SELECT (SELECT max(revision) + 1 FROM quant.trade_execution_fact WHERE account = '') "
    "- (SELECT max(ordinal) FROM quant.position_ledger WHERE toStartOfHour(executed_at) = toDateTime(0, 'UTC') "
    "AND account = '' AND fill_id = 'fills')"
)
FILL_COLUMNS = (
    "fill_id, order_id, broker_order_id, account, strategy_id, symbol, side, executed_at, sequence, quantity, price, "
    "notional, fee, fill_source, is_deleted, revision, applied"
)


def add_fills(client: Client, first: int, count: int, symbol: str, revision: int) -> None:
    """Add `count` fills behind number `first`, and the cursor that makes them known. `symbol` is SQL over `number`."""
    client.command(
        f"INSERT INTO quant.trade_execution_fact ({FILL_COLUMNS}) "
        "WITH toDecimal128(1 + cityHash64(number, 'q') % 900, 9) AS qty, "
        "toDecimal128(10 + (cityHash64(number, 'p') % 100000) / 1000, 12) AS paid "
        "SELECT leftPad(toString(number), 12, '0'), generateUUIDv4(number), toString(number), 'bench', 's', "
        f"{symbol}, if(cityHash64(number, 's') % 2 = 0, 'buy', 'sell'), "
        "toDateTime64('2026-01-01 00:00:00', 6, 'UTC') + toIntervalMillisecond(number), number, qty, paid, "
        f"toDecimal128(qty * paid, 12), toDecimal128(0.01, 12), 'order', 0, {2 * revision + 1}, number "
        f"FROM numbers({first}, {count})",
        settings={"max_insert_threads": 2},
    )
    client.command(
        f"INSERT INTO quant.trade_execution_fact ({FILL_COLUMNS}) SELECT 'cursor', toUUIDOrZero(''), '', '', '', '', "
        f"'', toDateTime64(0, 6, 'UTC'), 0, 0, 0, 0, NULL, '', 1, {2 * revision}, 0"
    )


def extend(client: Client) -> float:
    """Run the refresh of the ledger until it has every fill; returns seconds."""
    started = time.perf_counter()
    while True:
        client.command("SYSTEM REFRESH VIEW quant.position_ledger_refresh")
        client.command("SYSTEM WAIT VIEW quant.position_ledger_refresh")
        if client.command(_BEHIND) == 0:
            return time.perf_counter() - started


def settle(client: Client) -> None:
    """Wait for the merges of what was loaded at once, which would take one of two cores from what is measured next."""
    wait_for(lambda: client.command("SELECT count() FROM system.merges") == 0, 600, "the merges to end", interval=0.5)


def python_ledger(client: Client, count: int) -> tuple[float, Decimal]:
    """Fold fills by average cost in a Python loop; returns seconds without reading them, and the realized profit."""
    rows = client.query(
        "SELECT symbol, side, quantity, price FROM quant.trade_execution_fact FINAL WHERE account = 'bench' "
        f"AND toUInt64(fill_id) < {count} ORDER BY executed_at, sequence, fill_id"
    ).result_rows
    positions: dict[str, Decimal] = defaultdict(Decimal)
    averages: dict[str, Decimal] = defaultdict(Decimal)
    realized = Decimal(0)
    started = time.perf_counter()
    for symbol, side, quantity, price in rows:
        signed = quantity if side == "buy" else -quantity
        held, average = positions[symbol], averages[symbol]
        after = held + signed
        if held * signed >= 0:
            averages[symbol] = (average * abs(held) + price * abs(signed)) / abs(after)
        else:
            closed = min(abs(held), abs(signed))
            realized += closed * (price - average) * (1 if held > 0 else -1)
            if held * after < 0:
                averages[symbol] = price
        positions[symbol] = after
    return time.perf_counter() - started, realized


def measure(client: Client, warehouse: Warehouse, fills: int, keys: int, table: Table) -> None:
    """Rebuild, extend, and rebuild one long key; a row of the table each."""
    revision = 0
    for first in range(0, fills, BATCH):
        revision += 1
        add_fills(client, first, min(BATCH, fills - first), f"concat('K', toString(number % {keys}))", revision)
    settle(client)
    cpu = cpu_seconds(warehouse.pid)
    seconds = extend(client)
    cpu = cpu_seconds(warehouse.pid) - cpu
    memory = psutil.Process(warehouse.pid).memory_info().rss / 1e6
    table.add_row(
        f"rebuild, {fills:,} fills of {keys:,} keys",
        f"{fills / seconds:,.0f} fills/s ({seconds:.1f} s, {cpu / fills * 1e6:.1f} us CPU/fill, {memory:,.0f} MB)",
    )
    settle(client)
    increments = []
    for first in range(fills, fills + INCREMENTS * INCREMENT, INCREMENT):
        revision += 1
        add_fills(client, first, INCREMENT, f"concat('K', toString(cityHash64(number) % {keys}))", revision)
        extend(client)
        increments.append(
            client.command(
                "SELECT last_success_duration_ms FROM system.view_refreshes WHERE view = 'position_ledger_refresh'"
            )
        )
    table.add_row(
        f"{INCREMENT:,} new fills, {fills:,} behind them",
        f"{statistics.median(increments):,.0f} ms, at most {max(increments):,.0f} of {INCREMENTS}",
    )
    revision += 1
    add_fills(client, 10 * fills, LONG_KEY, "'LONG'", revision)
    seconds = extend(client)
    table.add_row(f"one key, {LONG_KEY:,} fills", f"{LONG_KEY / seconds:,.0f} fills/s")
    seconds, realized = python_ledger(client, min(PYTHON_FILLS, fills))
    table.add_row("a loop in Python, Decimal", f"{min(PYTHON_FILLS, fills) / seconds:,.0f} fills/s")
    found = client.query(
        "SELECT sum(gross_realized_pnl) FROM quant.position_ledger FINAL "
        f"WHERE account = 'bench' AND symbol != 'LONG' AND toUInt64(fill_id) < {min(PYTHON_FILLS, fills)}"
    ).result_rows[0][0]
    assert abs(found - realized) <= abs(realized) * Decimal("1e-12") + Decimal("1e-6"), (found, realized)


def main() -> None:
    """Print one table with all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fills", type=int, default=1_000_000)
    parser.add_argument("--keys", type=int, default=4_000)
    arguments = parser.parse_args()
    table = Table("what", "figure")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        warehouse = Warehouse(Path(directory))
        warehouse.start()
        try:
            run_dbt(Settings.model_validate({"CLICKHOUSE_URL": warehouse.url}), ["build", "--select", *MODELS])
            client = warehouse.client()
            for (view,) in client.query("SELECT view FROM system.view_refreshes").result_rows:
                client.command(f"ALTER TABLE quant.{view} MODIFY REFRESH EVERY 1 YEAR APPEND")
            measure(client, warehouse, arguments.fills, arguments.keys, table)
            client.close()
        finally:
            warehouse.stop()
            # Also what was measured before a failure.
            Console().print(table)


if __name__ == "__main__":
    main()
