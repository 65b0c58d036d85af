"""Bench of the rollups: what valuing all windows reads and takes from the hours, beside the same from the ledger alone.

Runs its own ClickHouse in a temporary directory: `python -m tests.bench.rollups --fills 5000000 --accounts 200`. Each
account has one strategy and 100 instruments; the fills are spread over the last 20 sessions.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from clickhouse_connect.driver.client import Client
from rich.console import Console
from rich.table import Table

from orchestration.settings import Settings
from orchestration.transform.dbt import run_dbt
from tests.bench.ledger import BATCH, FILL_COLUMNS, extend
from tests.integration.mirror.harness import Warehouse
from tests.oracles.world import REPLACED

SYMBOLS = 100
SESSIONS = 20
STAGES = ("live_position_refresh", "live_flow_refresh")
HOURS = ("strategy_hour_refresh", "strategy_day_refresh", "position_hour_refresh", "holding_hour_refresh")
_HOURS_ARE_BEHIND = (
    "SELECT (SELECT argMax((ledger_revision, toDateTime(last_fill_at)), revision) FROM quant.strategy_hour"
    " WHERE account = '') < (SELECT (intDiv(max(revision), 2), toStartOfHour(now())) FROM quant.trade"
    " WHERE account = '')"
)
BEFORE = (
    "live_edge_refresh",
    "live_market_refresh",
    "live_holding_refresh",
    "live_scope_refresh",
)


def refresh(client: Client, view: str) -> tuple[float, int]:
    """Run a view once; returns its seconds and the rows that it read."""
    client.command(f"SYSTEM REFRESH VIEW quant.{view}")
    client.command(f"SYSTEM WAIT VIEW quant.{view}")
    milliseconds, rows = client.query(
        f"SELECT last_success_duration_ms, read_rows FROM system.view_refreshes WHERE view = '{view}'"
    ).result_rows[0]
    return milliseconds / 1000, rows


def sum_up(client: Client) -> dict[str, float]:
    """Run the views of the hours until all are there, some hours at a time; returns the seconds of each."""
    seconds = dict.fromkeys(HOURS, 0.0)
    # The build left cursors at the present: what is new behind them is told by the revision of the ledger.
    while client.command(_HOURS_ARE_BEHIND) == 1:
        for view in HOURS:
            seconds[view] += refresh(client, view)[0]
    return seconds


def add_fills(client: Client, fills: int, accounts: int, calendar: str = "XNYS", instruments: int = SYMBOLS) -> None:
    """Fills of all accounts, each in that many instruments, evenly over the trading time of the last sessions."""
    opens, lengths = client.query(
        "SELECT toUnixTimestamp(opens_at), toUnixTimestamp64Milli(closes_at) - toUnixTimestamp64Milli(opens_at)"
        f" FROM quant.trading_session WHERE calendar = '{calendar}' AND closes_at < now()"
        f" ORDER BY opens_at DESC LIMIT {SESSIONS}"
    ).result_columns
    for revision, first in enumerate(range(0, fills, BATCH), start=1):
        client.command(
            f"INSERT INTO quant.trade_execution_fact ({FILL_COLUMNS}) "
            f"WITH {sorted(opens)} AS opens, number * {SESSIONS} / {fills} AS place, "
            f"toString(cityHash64(number, 'a') % {accounts}) AS owner, "
            "toDecimal128(1 + cityHash64(number, 'q') % 900, 9) AS qty, "
            "toDecimal128(10 + (cityHash64(number, 'p') % 100000) / 1000, 12) AS paid "
            "SELECT leftPad(toString(number), 12, '0'), generateUUIDv4(number), toString(number), concat('a', owner), "
            "concat('s', owner), concat('K', toString("
            f"(cityHash64(owner) + cityHash64(number, 'k') % {instruments}) % {SYMBOLS})), "
            "if(cityHash64(number, 's') % 2 = 0, 'buy', 'sell'), "
            "toDateTime64(opens[1 + toUInt32(floor(place))], 6, 'UTC') "
            f"+ toIntervalMillisecond(toInt64((place - floor(place)) * {max(lengths)})), number, qty, paid, "
            f"toDecimal128(qty * paid, 12), toDecimal128(0.01, 12), 'order', 0, {2 * revision + 1}, number "
            f"FROM numbers({first}, {min(BATCH, fills - first)})"
        )
        client.command(
            f"INSERT INTO quant.trade_execution_fact ({FILL_COLUMNS}) SELECT 'cursor', toUUIDOrZero(''), '', '', '', "
            f"'', '', toDateTime64(0, 6, 'UTC'), 0, 0, 0, 0, NULL, '', 1, {2 * revision}, 0"
        )


def repeat(client: Client, view: str, behind: Callable[[], bool]) -> float:
    """Run a view until it has caught up; returns seconds."""
    started = time.perf_counter()
    while behind():
        refresh(client, view)
    return time.perf_counter() - started


def measure(client: Client, fills: int, accounts: int, table: Table) -> None:
    """Fill the ledger, evaluate the windows from it alone, and from the rollups; a row of the table each."""
    add_fills(client, fills, accounts)
    table.add_row("ledger", f"{extend(client):.1f} s", "")
    trades = (
        "SELECT (SELECT intDiv(max(revision), 2) FROM quant.trade WHERE account = '') "
        "< (SELECT max(revision) FROM quant.position_ledger WHERE account = '')"
    )
    table.add_row("trades", f"{repeat(client, 'trade_refresh', lambda: client.command(trades) == 1):.1f} s", "")
    client.command(
        "INSERT INTO torghut_raw.mirror_checkpoint (slot, applied, lsn, watermark, recorded_at) "
        "VALUES ('bench', 1, 1, now64(6), now64(6))"
    )
    for view in BEFORE:
        refresh(client, view)
    for view in STAGES:
        seconds, rows = refresh(client, view)
        table.add_row(f"{view}, from the ledger alone", f"{seconds:.2f} s", f"{rows / accounts:,.0f}")
    for view, taken in sum_up(client).items():
        table.add_row(f"{view}, all hours", f"{taken:.2f} s", "")
    for view in STAGES:
        seconds, rows = refresh(client, view)
        table.add_row(f"{view}, with the hours", f"{seconds:.2f} s", f"{rows / accounts:,.0f}")
    for view in HOURS:
        seconds, rows = refresh(client, view)
        table.add_row(f"{view}, nothing new", f"{seconds:.2f} s", "")


def main() -> None:
    """Print one table with all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fills", type=int, default=500_000)
    parser.add_argument("--accounts", type=int, default=100)
    arguments = parser.parse_args()
    table = Table("what", "seconds", "rows read per account", title=f"{arguments.fills:,} fills")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        warehouse = Warehouse(Path(directory))
        warehouse.start()
        try:
            settings = {"CLICKHOUSE_URL": warehouse.url, "JANGAR_TORGHUT_QUANT_CONTROL_PLANE_ENABLED": True}
            run_dbt(Settings.model_validate(settings), ["build", "--exclude-resource-type", "unit_test"])
            client = warehouse.client()
            for (view,) in client.query("SELECT view FROM system.view_refreshes").result_rows:
                form = "" if view in REPLACED else " APPEND"
                client.command(f"ALTER TABLE quant.{view} MODIFY REFRESH EVERY 1 YEAR{form}")
            measure(client, arguments.fills, arguments.accounts, table)
            client.close()
        finally:
            warehouse.stop()
            # Also what was measured before a failure.
            Console().print(table)


if __name__ == "__main__":
    main()
