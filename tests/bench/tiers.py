"""Bench of the tiers: what a tick of each costs at many strategy-accounts, beside peers that loop over the same series.

Runs its own ClickHouse in a temporary directory: `python -m tests.bench.tiers --fills 5000000 --accounts 200`. Each
account has one strategy and 100 instruments, or `--instruments`, on a market that is always open, its fills and a
snapshot every five minutes over the last 20 days, and every instrument is quoted every second.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import empyrical
import numpy as np
import pandas as pd
import quantstats
from clickhouse_connect.driver.client import Client
from rich.console import Console
from rich.table import Table

from orchestration.settings import Settings
from orchestration.transform.dbt import run_dbt
from tests.bench.ledger import extend
from tests.bench.rollups import SESSIONS, SYMBOLS, add_fills, refresh, repeat, sum_up
from tests.integration.mirror.harness import Warehouse
from tests.oracles.world import REPLACED

LIGHT = (
    "live_edge_refresh",
    "live_market_refresh",
    "live_holding_refresh",
    "live_scope_refresh",
    "live_position_refresh",
    "live_flow_refresh",
    "known_state_refresh",
    "latest_light_refresh",
)
MEDIUM = (
    "live_path_refresh",
    "live_feed_refresh",
    "live_order_refresh",
    "latest_medium_refresh",
)
HEAVY = ("live_coverage_refresh", "latest_heavy_refresh")
SERIES = {"light": "series_light_refresh", "medium": "series_medium_refresh", "heavy": "series_heavy_refresh"}
SNAPSHOT_SECONDS = 300
SNAPSHOTS_PER_BATCH = 500_000
# The functions that a notebook calls for the same risk set.
EMPYRICAL: tuple[Callable[[np.ndarray], float], ...] = (
    empyrical.annual_volatility,
    empyrical.downside_risk,
    empyrical.sharpe_ratio,
    empyrical.sortino_ratio,
    empyrical.calmar_ratio,
    empyrical.max_drawdown,
    empyrical.value_at_risk,
    empyrical.conditional_value_at_risk,
)
QUANTSTATS: tuple[Callable[[pd.Series], float], ...] = (
    quantstats.stats.volatility,
    quantstats.stats.sharpe,
    quantstats.stats.sortino,
    quantstats.stats.calmar,
    quantstats.stats.max_drawdown,
    quantstats.stats.value_at_risk,
    quantstats.stats.conditional_value_at_risk,
)


def add_market(client: Client, accounts: int) -> None:
    """Snapshots of all accounts over the last sessions, a mirror that is complete, an open market."""
    client.command("TRUNCATE TABLE quant.account_settings")
    client.command("INSERT INTO quant.account_settings (account, calendar, benchmark) VALUES ('*', '24/7', 'K0')")
    count = (SESSIONS + 1) * 86_400 // SNAPSHOT_SECONDS
    client.command(
        "INSERT INTO quant.position_snapshot_fact"
        " (snapshot_id, account, snapshot_at, equity, cash, trading_ms, applied)"
        f" SELECT generateUUIDv4(number), concat('a', toString(number % {accounts})) AS account,"
        f" toDateTime64(now(), 6, 'UTC') - toIntervalSecond({SNAPSHOT_SECONDS} * intDiv(number, {accounts})) AS at,"
        " toDecimal128(1e6 + 1e3 * sin(number) + cityHash64(number) % 10000, 12), toDecimal128(1e5, 12),"
        " toUnixTimestamp64Milli(toDateTime64(at, 3)) - toUnixTimestamp64Milli(toDateTime64('2000-01-01', 3, 'UTC')),"
        f" 1 + intDiv(number, {SNAPSHOTS_PER_BATCH})"
        f" FROM numbers({accounts * count})"
    )
    quote(client, 7200)


def quote(client: Client, seconds: int) -> None:
    """Quotes of all instruments for the last seconds, the mirror complete up to now."""
    client.command(
        "INSERT INTO torghut.ta_signals (symbol, event_ts, seq, ingest_ts, imbalance_bid_px, imbalance_ask_px)"
        f" SELECT concat('K', toString(number % {SYMBOLS})),"
        f" now64(3) - toIntervalMillisecond(1000 + 1000 * intDiv(number, {SYMBOLS})) AS at, 1, at,"
        " 50 + cityHash64(at, number) % 1000 / 1000 AS bid, bid + 0.01"
        f" FROM numbers({SYMBOLS * seconds})"
    )
    client.command(
        "INSERT INTO torghut_raw.mirror_checkpoint (slot, applied, lsn, watermark, recorded_at) "
        "VALUES ('bench', 1, 1, now64(6), now64(6))"
    )


def tick(client: Client, views: tuple[str, ...]) -> float:
    """Run the views of a tick one after the other, as the warehouse does; seconds that they say they took."""
    return sum(refresh(client, view)[0] for view in views)


def percentile(values: list[float], share: float) -> float:
    """The value below which that share of them lies."""
    return statistics.quantiles(values, n=100, method="inclusive")[int(share * 100) - 1]


def fill(client: Client, fills: int, accounts: int, instruments: int = SYMBOLS) -> None:
    """A ledger of that many fills, its rollups, and a market to value it by."""
    client.command("TRUNCATE TABLE quant.account_settings")
    client.command("INSERT INTO quant.account_settings (account, calendar, benchmark) VALUES ('*', '24/7', 'K0')")
    add_fills(client, fills, accounts, "24/7", instruments)
    extend(client)
    trades = (
        "SELECT (SELECT intDiv(max(revision), 2) FROM quant.trade WHERE account = '') "
        "< (SELECT max(revision) FROM quant.position_ledger WHERE account = '')"
    )
    repeat(client, "trade_refresh", lambda: client.command(trades) == 1)
    sum_up(client)
    add_market(client, accounts)
    behind = (
        "SELECT (SELECT max(revision) FROM quant.equity_minute WHERE account = '')"
        " < (SELECT max(applied) FROM quant.position_snapshot_fact)"
    )
    repeat(client, "equity_minute_refresh", lambda: client.command(behind) == 1)
    refresh(client, "symbol_hour_refresh")


def measure(client: Client, fills: int, accounts: int, instruments: int, ticks: int, table: Table) -> None:
    """Fill the warehouse and time the tiers; a row of the table each."""
    fill(client, fills, accounts, instruments)
    light: list[float] = []
    rows: list[int] = []
    for _ in range(ticks):
        quote(client, 2)
        light.append(tick(client, LIGHT))
        before = client.command("SELECT count() FROM quant.quant_metrics_series")
        refresh(client, SERIES["light"])
        rows.append(client.command("SELECT count() FROM quant.quant_metrics_series") - before)
    medium = [tick(client, MEDIUM) for _ in range(3)]
    heavy = [tick(client, HEAVY) for _ in range(3)]
    scopes, values = client.query(
        "SELECT uniq(strategy_id, account), count() FROM quant.quant_metrics_latest"
    ).result_rows[0]
    table.add_row("scopes, values of a frame", f"{scopes:,}, {values:,}")
    table.add_row(
        f"light, p50 and p95 of {ticks} ticks", f"{percentile(light, 0.5):.2f}, {percentile(light, 0.95):.2f} s"
    )
    for view in LIGHT:
        seconds, read = refresh(client, view)
        table.add_row(f"  {view}", f"{seconds:.3f} s, {read:,} rows read")
    table.add_row("medium, longest of 3", f"{max(medium):.2f} s")
    for view in MEDIUM:
        seconds, read = refresh(client, view)
        table.add_row(f"  {view}", f"{seconds:.3f} s, {read:,} rows read")
    table.add_row("heavy, longest of 3", f"{max(heavy):.2f} s")
    for view in SERIES.values():
        refresh(client, view)
    table.add_row("rows to the series per light tick, first and rest", f"{rows[0]:,}, {statistics.mean(rows[1:]):,.0f}")
    client.command("OPTIMIZE TABLE quant.quant_metrics_series FINAL")
    size, stored = client.query(
        "SELECT sum(data_compressed_bytes), sum(rows) FROM system.parts WHERE table = 'quant_metrics_series' AND active"
    ).result_rows[0]
    table.add_row("series on disk", f"{size / stored:.1f} bytes per row of {stored:,}")
    compare(client, table)


def compare(client: Client, table: Table) -> None:
    """The risk set of all scopes and windows, from the paths on, beside peers over the same returns."""
    seconds = refresh(client, "latest_medium_refresh")[0] + refresh(client, "latest_heavy_refresh")[0]
    whole = seconds + refresh(client, "live_path_refresh")[0]
    returns = [
        np.array(row)
        for row in client.query(
            "SELECT returns FROM quant.live_path FINAL WHERE as_of = (SELECT max(as_of) FROM quant.live_path)"
            " AND account != '' AND strategy_id != '' AND edge <= 7 AND notEmpty(returns)"
        ).result_columns[0]
    ]
    table.add_row("risk set, with and without the paths", f"{whole:.2f}, {seconds:.2f} s")
    for name, functions in (("empyrical", EMPYRICAL), ("quantstats", QUANTSTATS)):
        sample = returns[:: max(1, len(returns) // 100)]
        started = time.perf_counter()
        for row in sample:
            series = row if name == "empyrical" else pd.Series(row, pd.date_range("2020", periods=len(row)))
            for function in functions:
                # quantstats divides by the drawdown also where there is none.
                with suppress(ZeroDivisionError):
                    function(series)
        taken = (time.perf_counter() - started) * len(returns) / len(sample)
        table.add_row(
            f"  {name}, {len(returns):,} series (from {len(sample)})", f"{taken:.1f} s, {taken / whole:.0f} times ours"
        )


@contextmanager
def built_warehouse() -> Iterator[Warehouse]:
    """A ClickHouse in a temporary directory with the project in it, whose views run only when told to."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        warehouse = Warehouse(Path(directory))
        warehouse.start()
        try:
            settings = {"CLICKHOUSE_URL": warehouse.url, "JANGAR_TORGHUT_QUANT_CONTROL_PLANE_ENABLED": True}
            run_dbt(Settings.model_validate(settings), ["build", "--exclude-resource-type", "unit_test"])
            with warehouse.client() as client:
                for (view,) in client.query("SELECT view FROM system.view_refreshes").result_rows:
                    form = "" if view in REPLACED else " APPEND"
                    client.command(f"ALTER TABLE quant.{view} MODIFY REFRESH EVERY 1 YEAR{form}")
            yield warehouse
        finally:
            warehouse.stop()


def main() -> None:
    """Print one table with all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fills", type=int, default=500_000)
    parser.add_argument("--accounts", type=int, default=100)
    parser.add_argument("--instruments", type=int, default=SYMBOLS, help=f"of each account, up to {SYMBOLS}")
    parser.add_argument("--ticks", type=int, default=20)
    arguments = parser.parse_args()
    table = Table(
        "what",
        "measured",
        title=f"{arguments.fills:,} fills, {arguments.accounts} strategy-accounts,"
        f" {arguments.instruments} instruments each",
    )
    try:
        with built_warehouse() as warehouse, warehouse.client() as client:
            measure(client, arguments.fills, arguments.accounts, arguments.instruments, arguments.ticks, table)
    finally:
        # Also what was measured before a failure.
        Console().print(table)


if __name__ == "__main__":
    main()
