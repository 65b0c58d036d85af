"""`jangar-quant up` as a person runs it: in its own directory, on free ports, ended by a signal."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import clickhouse_connect
import psycopg

from orchestration.source.embedded import dsn_for
from tests.ports import free_ports
from tests.waiting import wait_for

HISTORY_DAYS = 3
# The tests that run beside it need the cores, too.
IS_CROWDED = "PYTEST_XDIST_WORKER" in os.environ
SLOW_PACE = {
    "JANGAR_TORGHUT_QUANT_COMPUTE_INTERVAL_MS": "4000",
    "JANGAR_TORGHUT_QUANT_MEDIUM_COMPUTE_INTERVAL_MS": "15000",
    "JANGAR_TORGHUT_QUANT_HEAVY_COMPUTE_INTERVAL_MS": "60000",
}
# Keys of every error, by RFC 9457 and beyond.
PROBLEM = {"type", "title", "status", "detail", "ok", "message", "remedy"}
QUANT = "/api/torghut/trading/control-plane/quant"


@dataclass(eq=False)
class RunningUp:
    """A run of `jangar-quant up` on its own state directory."""

    state_dir: Path
    environment: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ("--no-dagster",)
    pace: dict[str, str] = field(default_factory=lambda: SLOW_PACE if IS_CROWDED else {})
    process: subprocess.Popen[bytes] | None = None
    offset: int = 0

    def __post_init__(self) -> None:
        api, source, warehouse, dagster, code = free_ports(5)
        self.ports = {
            "JANGAR_QUANT_API_PORT": str(api),
            "JANGAR_QUANT_SOURCE_PORT": str(source),
            "JANGAR_QUANT_WAREHOUSE_PORT": str(warehouse),
            "JANGAR_QUANT_DAGSTER_PORT": str(dagster),
            "JANGAR_QUANT_DAGSTER_CODE_PORT": str(code),
        }
        self.output = self.state_dir.parent / f"{self.state_dir.name}.out"

    def _environment(self) -> dict[str, str]:
        own = ("JANGAR_", "TORGHUT_", "CLICKHOUSE_")
        return {
            **{k: v for k, v in os.environ.items() if not k.startswith(own)},
            "JANGAR_QUANT_STATE_DIR": str(self.state_dir),
            "JANGAR_QUANT_DESK_HISTORY_DAYS": str(HISTORY_DAYS),
            **self.pace,
            **self.ports,
            **self.environment,
        }

    def cli(self, *arguments: str) -> str:
        """Run a `jangar-quant` command against it; returns what it printed."""
        run = subprocess.run(
            [sys.executable, "-m", "orchestration", *arguments],
            env={**self._environment(), "NO_COLOR": "1", "COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert run.returncode == 0, run.stdout + run.stderr
        return run.stdout

    def start(self) -> None:
        """Start it; returns at once."""
        self.offset = self.output.stat().st_size if self.output.exists() else 0
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "orchestration", "up", *self.arguments],
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def wait_until_up(self, timeout: float = 150) -> None:
        """Wait for the line that tells the URLs."""

        def told() -> bool:
            assert self.process is not None
            return "Ctrl-C stops everything" in self.text() or self.process.poll() is not None

        wait_for(told, timeout, "`up` is up", interval=0.2)
        assert "Ctrl-C stops everything" in self.text(), self.text()

    def wait_until_history_is_in(self, timeout: float = 150) -> None:
        """Wait until nothing of the past is on its way any more: orders and snapshots that are in the source by now are
        in the ledger and in their fact, and the desk has written the market of its first day, which comes last.
        """
        first_day = (datetime.now(UTC) - timedelta(days=HISTORY_DAYS)).date()
        with self.source() as source:
            expected = source.execute(
                "select (select count(*) from executions where filled_qty > 0), (select count(*) from (select distinct"
                " alpaca_account_label, as_of from position_snapshots) as s)"
            ).fetchone()
        assert expected is not None
        with self.warehouse() as warehouse:

            def is_in() -> bool:
                orders, snapshots, market_from = warehouse.query(
                    "select (select uniqExact(order_id) from quant.position_ledger final),"
                    " (select uniqExact(account, snapshot_at) from quant.position_snapshot_fact),"
                    " (select toDate(min(event_ts)) from torghut.ta_signals)"
                ).result_rows[0]
                return bool(orders >= expected[0] and snapshots >= expected[1] and market_from <= first_day)

            wait_for(
                is_in, timeout, f"{expected} orders and snapshots of history and their market are in", interval=0.5
            )

    def stop(self, signum: int = signal.SIGINT, timeout: float = 60) -> int:
        """Send the signal and wait for the end; returns the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signum)
        return self.process.wait(timeout)

    def text(self) -> str:
        """Everything it printed since it was started."""
        return self.output.read_bytes()[self.offset :].decode(errors="replace") if self.output.exists() else ""

    def children(self) -> dict[str, int]:
        """Process ids of the children that it recorded, by name."""
        rows = json.loads((self.state_dir / "children.json").read_text())
        return {name: row["pid"] for name, row in rows.items()}

    def get(self, path: str) -> tuple[int, Any]:
        """GET from the API: status and decoded body."""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.ports['JANGAR_QUANT_API_PORT']}{path}", timeout=60
            ) as r:
                return r.status, json.load(r)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def snapshot(self, **parameters: str) -> dict[str, Any]:
        """The metrics of a snapshot by name, with everything that a row carries."""
        query = "&".join(f"{k}={v}" for k, v in parameters.items())
        status, body = self.get(f"{QUANT}/snapshot?{query}")
        assert status == 200, body
        return {row["metric_name"]: row for row in body["frame"]["metrics"]}

    def source(self) -> psycopg.Connection[tuple[Any, ...]]:
        """A connection to its Postgres."""
        dsn = dsn_for(self.state_dir / "postgres", int(self.ports["JANGAR_QUANT_SOURCE_PORT"]))
        return psycopg.connect(dsn, autocommit=True, connect_timeout=5)

    def warehouse(self) -> clickhouse_connect.driver.Client:
        """A client of its ClickHouse."""
        return clickhouse_connect.get_client(
            host="127.0.0.1", port=int(self.ports["JANGAR_QUANT_WAREHOUSE_PORT"]), autogenerate_session_id=False
        )
