"""From a fill's COMMIT in Postgres to the changed value in `snapshot`, in the product as `make up` starts it: with the
simulated desk, its month of history, and Dagster.

The baseline of the same run is the age of the frame when nothing is written: the part that the one-second cadence of
the light tier costs by itself. Half a second of it is unavoidable on average.
"""

import argparse
import random
import statistics
import tempfile
import time
import uuid
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench.large_desk import start_large_desk
from tests.e2e.running import RunningUp

SAMPLES = 60
TIMEOUT_SECONDS = 30.0


# A symbol without market data is marked at its last trade, so only fills change its exposure.
def _fill(up: RunningUp, strategy: str, account: str) -> None:
    with up.source() as source, source.transaction():
        decision = uuid.uuid4()
        source.execute(
            "insert into trade_decisions"
            " (id, strategy_id, alpaca_account_label, symbol, timeframe, decision_json, status)"
            " values (%s, %s, %s, 'BENCH', '1Min', '{}', 'filled')",
            (decision, strategy, account),
        )
        source.execute(
            "insert into executions (id, trade_decision_id, alpaca_account_label, alpaca_order_id, symbol, side,"
            " order_type, time_in_force, submitted_qty, filled_qty, avg_fill_price, status, last_update_at)"
            " values (%s, %s, %s, %s, 'BENCH', 'buy', 'market', 'day', 1, 1, 100, 'filled', now())",
            (uuid.uuid4(), decision, account, str(uuid.uuid4())),
        )


def _position(up: RunningUp, strategy: str, account: str) -> float:
    status, body = up.get(
        f"/api/torghut/trading/control-plane/quant/snapshot?strategy_id={strategy}&account={account}&window=1h"
    )
    if status != 200:
        return 0.0
    rows = {row["metric_name"]: row["value"] for row in body["frame"]["metrics"]}
    return float(rows["gross_exposure"] or 0.0)


def main() -> None:
    """Start everything in a temporary place, measure, stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--copies", type=int, default=1, help="of the desk: 34 are 204 strategy-accounts")
    parser.add_argument("--days", type=int, default=30, help="of history")
    given = parser.parse_args()
    environment = {"JANGAR_QUANT_DESK_HISTORY_DAYS": str(given.days)}
    with tempfile.TemporaryDirectory() as directory:
        up = RunningUp(Path(directory) / "state", environment=environment, arguments=())
        try:
            start_large_desk(up, given.copies)
            with up.source() as source:
                (strategy,) = source.execute("select id::text from strategies limit 1").fetchone() or ("",)
            account = "bench"
            phases = random.Random(1)
            first_minute, latencies, ages = [], [], []
            started, before = time.monotonic(), 0.0
            while len(latencies) < SAMPLES:
                # At any moment of the second, not always right behind a frame.
                time.sleep(phases.random())
                _fill(up, strategy, account)
                committed = time.monotonic()
                while (now := _position(up, strategy, account)) == before:
                    if time.monotonic() - committed > TIMEOUT_SECONDS:
                        raise TimeoutError("the fill did not show in the snapshot")
                    time.sleep(0.05)
                (first_minute if committed - started < 60 else latencies).append(time.monotonic() - committed)
                before = now
            for _ in range(SAMPLES):
                _, body = up.get("/api/torghut/trading/control-plane/quant/snapshot?account=paper-crypto&window=1m")
                ages.append(body["frame"]["frame_age_seconds"])
                time.sleep(0.05)
        finally:
            up.stop()
    table = Table("seconds", "p50", "p95", "max", title=f"commit to snapshot, {SAMPLES} fills, desk at 1 decision/s")
    for name, values in (
        ("commit to changed snapshot", latencies),
        ("the same in the first minute, while Dagster loads", first_minute),
        ("age of the served frame", ages),
    ):
        cuts = statistics.quantiles(values, n=20, method="inclusive")
        table.add_row(name, f"{cuts[9]:.2f}", f"{cuts[18]:.2f}", f"{max(values):.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
