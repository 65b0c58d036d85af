"""Bench of backfills: twenty sessions of many strategy-accounts, beside a loop that computes each account by itself.

Runs its own ClickHouse in a temporary directory: `python -m tests.bench.backfill --fills 500000 --accounts 200`. The
same backfill runs twice, by the command that people use: undisturbed, and killed in the middle twice.
"""

import argparse
import random
import subprocess
import sys
import time
from datetime import timedelta

from clickhouse_connect.driver.client import Client
from rich.console import Console
from rich.table import Table

from orchestration.replay.backfill import FRAME_SETTINGS
from orchestration.transform.on_demand import frames_query, moment_of_frame, sql_moment
from tests.bench.rollups import refresh
from tests.bench.tiers import HEAVY, LIGHT, MEDIUM, SERIES, built_warehouse, fill, quote, tick
from tests.integration.mirror.harness import Warehouse

SESSIONS = 20
SERIES_ROWS = "FROM quant.quant_metrics_series FINAL WHERE as_of < {until:String}"
CONTENT = (
    "SELECT count(), uniqExact(as_of), groupBitXor(cityHash64(tuple(strategy_id, account, window, metric_name, as_of,"
    f" value, status, quality, reason, sample_count))) {SERIES_ROWS}"
)
DONE = "SELECT count() FROM (SELECT DISTINCT as_of FROM quant.quant_metrics_series WHERE as_of < {until:String})"


def start(warehouse: Warehouse, until: str, first: str, step: str) -> subprocess.Popen[bytes]:
    """The command, in a process of its own."""
    arguments = ["backfill", "--from", first, "--to", until, "--step", step]
    return subprocess.Popen(
        [sys.executable, "-m", "orchestration", *arguments],
        env={"CLICKHOUSE_URL": warehouse.url, "PATH": "/usr/bin:/bin", "NO_COLOR": "1", "TERM": "dumb"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def finish(process: subprocess.Popen[bytes]) -> None:
    """Wait for the command.

    Raises:
        RuntimeError: it failed, with what it says.
    """
    _, errors = process.communicate()
    if process.returncode != 0:
        raise RuntimeError(errors.decode()[-2000:])


def kill_after(client: Client, process: subprocess.Popen[bytes], moments: int, until: str) -> int:
    """Kill the command when that many moments are in the series; returns how many there are."""
    while process.poll() is None:
        done = int(client.command(DONE, parameters={"until": until}))
        if done >= moments:
            process.kill()
            process.wait()
            return done
        time.sleep(0.2)
    raise RuntimeError("the backfill ended before it could be killed")


def one_by_one(client: Client, moment: object, accounts: int) -> tuple[float, int]:
    """Seconds and rows of one moment of some accounts, each by a query of its own."""
    started, rows = time.perf_counter(), 0
    for number in range(accounts):
        query = frames_query(client, moment, moment, f"a{number}")  # type: ignore[arg-type]
        rows += client.query(
            f"SELECT count() FROM ({query})",
            parameters=moment_of_frame(moment, moment, f"a{number}"),  # type: ignore[arg-type]
            settings=FRAME_SETTINGS,
        ).result_rows[0][0]
    return time.perf_counter() - started, rows


def measure(warehouse: Warehouse, client: Client, fills: int, accounts: int, step: str, table: Table) -> None:
    """Run both backfills and the loop; a row of the table each."""
    fill(client, fills, accounts)
    quote(client, 2)
    for tier, views in (("light", LIGHT), ("medium", MEDIUM), ("heavy", HEAVY)):
        tick(client, views)
        refresh(client, SERIES[tier])
    newest = client.query(
        "SELECT min(newest) FROM (SELECT max(as_of) AS newest FROM quant.quant_metrics_series GROUP BY tier)"
    ).result_rows[0][0]
    until = newest.replace(hour=0, minute=0, second=0, microsecond=0)
    first, last = f"{until - timedelta(days=SESSIONS):%Y-%m-%dT%H:%M:%SZ}", f"{until:%Y-%m-%dT%H:%M:%SZ}"
    bound = sql_moment(until + timedelta(seconds=1))

    began = time.perf_counter()
    finish(start(warehouse, last, first, step))
    seconds = time.perf_counter() - began
    rows, moments, content = client.query(CONTENT, parameters={"until": bound}).result_rows[0]
    table.add_row(
        f"{SESSIONS} sessions, {moments} moments", f"{seconds:.0f} s, {rows:,} rows, {rows / seconds:,.0f} rows/s"
    )

    taken, some = one_by_one(client, until - timedelta(days=1), min(5, accounts))
    table.add_row(
        "account by account (from 5 of one moment)",
        f"{some / taken:,.0f} rows/s, {rows / seconds / (some / taken):.1f} times slower",
    )

    client.command("TRUNCATE TABLE quant.backfill_progress")
    client.command("DELETE FROM quant.quant_metrics_series WHERE as_of < {until:String}", parameters={"until": bound})
    chance = random.Random(0)
    stops = sorted(chance.sample(range(2, moments - 1), 2))
    killed = [kill_after(client, start(warehouse, last, first, step), stop, bound) for stop in stops]
    finish(start(warehouse, last, first, step))
    again = client.query(CONTENT, parameters={"until": bound}).result_rows[0]
    verdict = "the same rows" if again == (rows, moments, content) else f"DIFFERENT: {again[:2]}"
    table.add_row(f"killed with {killed[0]} and {killed[1]} moments done", verdict)


def main() -> None:
    """Print one table with all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fills", type=int, default=500_000)
    parser.add_argument("--accounts", type=int, default=200)
    parser.add_argument("--step", default="12h")
    arguments = parser.parse_args()
    table = Table("what", "measured", title=f"{arguments.fills:,} fills, {arguments.accounts} strategy-accounts")
    try:
        with built_warehouse() as warehouse, warehouse.client() as client:
            measure(warehouse, client, arguments.fills, arguments.accounts, arguments.step, table)
    finally:
        # Also what was measured before a failure.
        Console().print(table)


if __name__ == "__main__":
    main()
