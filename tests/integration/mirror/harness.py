"""Runs a mirror between a database and a ClickHouse of the test's own, and compares the two sides row by row."""

import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import clickhouse_connect
import psycopg
import pytest
from clickhouse_connect.driver.client import Client

from orchestration.errors import UserError
from orchestration.mirror.replication import ReplicationSession
from orchestration.mirror.service import Service
from orchestration.mirror.session import replication_conninfo
from orchestration.settings import Settings
from tests.ports import free_port
from tests.waiting import wait_for

DATABASE = "torghut_raw"

# For the traps that depend on the server: 18 and 16 are in the wheel, 15 has to be the operating system's.
every_server = pytest.mark.parametrize(
    "major", [18, *(pytest.param(major, marks=pytest.mark.slow) for major in (16, 15))]
)


class Warehouse:
    """An embedded ClickHouse in a process that a test may kill and start again on the same data."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and wait until it answers."""
        environment = {
            **os.environ,
            "JANGAR_QUANT_STATE_DIR": str(self.state_dir),
            "JANGAR_QUANT_WAREHOUSE_PORT": str(self.port),
        }
        command = [sys.executable, "-m", "orchestration", "warehouse"]
        with (self.state_dir / "warehouse.log").open("ab") as log:
            self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        wait_for(self._answers, 60, "the warehouse answers")

    @property
    def pid(self) -> int:
        """Process id."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """End the server as a crash does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End the server in order."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()

    def client(self) -> Client:
        """Open a client."""
        return clickhouse_connect.get_client(host="127.0.0.1", port=self.port, autogenerate_session_id=False)

    def _answers(self) -> bool:
        with urllib.request.urlopen(f"{self.url}/ping", timeout=2) as response:
            return bool(response.read() == b"Ok.\n")


@dataclass
class Lab:
    """One source database, one warehouse, and the mirror between them.

    `is_empty`: no copy is in the warehouse from before.
    """

    dsn: str
    warehouse: Warehouse
    slot: str
    is_empty: bool = True
    client: Client = field(init=False)
    source: psycopg.Connection = field(init=False)

    def __post_init__(self) -> None:
        self.client = self.warehouse.client()
        if self.is_empty:
            self.client.command(f"DROP DATABASE IF EXISTS {DATABASE} SYNC")
        self.source = self.connect()

    def close(self) -> None:
        """Close the connections."""
        self.source.close()
        self.client.close()

    def connect(self) -> psycopg.Connection:
        """Open a session on the source."""
        return psycopg.connect(self.dsn, autocommit=True)

    def settings(self, **changes: Any) -> Settings:
        """Return the mirror's settings: quick batches and heartbeats."""
        values = {
            "TORGHUT_DB_DSN": self.dsn,
            "CLICKHOUSE_URL": self.warehouse.url,
            "JANGAR_QUANT_MIRROR_SLOT": self.slot,
            "JANGAR_QUANT_MIRROR_PUBLICATION": self.slot,
            "JANGAR_QUANT_MIRROR_FLUSH_MS": 20,
            "JANGAR_QUANT_MIRROR_HEARTBEAT_SECONDS": 0.2,
            **changes,
        }
        return Settings.model_validate(values)

    def execute(self, *statements: str) -> None:
        """Run statements on the source, each in a transaction of its own."""
        for statement in statements:
            self.source.execute(statement.encode())

    def publish(self, *tables: str) -> None:
        """Publish tables that the models do not know."""
        self.execute(f"create publication {self.slot} for table {', '.join(tables)}")

    def alter_slot(self, option: str) -> None:
        """Change the slot, as an administrator of failover slots does."""
        session = ReplicationSession(replication_conninfo(self.settings()))
        try:
            session.pg.exec_(f'ALTER_REPLICATION_SLOT "{self.slot}" ({option})'.encode())
        finally:
            session.close()

    @contextmanager
    def mirror(self, *, resnapshot: bool = False, **changes: Any) -> Iterator["RunningMirror"]:
        """Run a mirror in this process until the block ends, then stop it in order."""
        running = RunningMirror(Service(self.settings(**changes), resnapshot=resnapshot))
        try:
            yield running
        finally:
            running.stop()

    @contextmanager
    def mirror_process(self) -> Iterator["MirrorProcess"]:
        """Run mirrors in processes that a test may kill."""
        process = MirrorProcess(self.settings())
        try:
            yield process
        finally:
            process.kill()

    def state(self) -> str:
        """Return the state that the mirror reports."""
        rows = self.query(f"SELECT state FROM {DATABASE}.mirror_status FINAL WHERE slot = '{self.slot}'")
        return str(rows[0][0]) if rows else ""

    def wait_until_streaming(self, timeout: float = 30) -> None:
        """Wait until the mirror reports that it streams."""
        wait_for(lambda: self.state() == "streaming", timeout, "the mirror streams")

    def catch_up(self, timeout: float = 30) -> None:
        """Wait until everything committed before this call is visible."""
        end = self.wal_end()
        wait_for(lambda: self.mark() >= end, timeout, "the mirror has caught up")

    def wal_end(self) -> int:
        """Return the end of the source's WAL."""
        row = self.source.execute("select (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint").fetchone()
        assert row is not None
        return int(row[0])

    def mark(self) -> int:
        """Return the LSN of the newest checkpoint."""
        rows = self.query(
            f"SELECT lsn FROM {DATABASE}.mirror_checkpoint WHERE slot = '{self.slot}' ORDER BY applied DESC LIMIT 1"
        )
        return int(rows[0][0]) if rows else 0

    def query(self, text: str) -> list[tuple[Any, ...]]:
        """Query the warehouse."""
        return [tuple(row) for row in self.client.query(text).result_rows]

    def copied(self, table: str, columns: str = "*", order: str = "id") -> list[tuple[Any, ...]]:
        """Return the current rows of a copy."""
        return self.query(f"SELECT {columns} FROM {DATABASE}.{table} FINAL ORDER BY {order}")

    def rows(self, table: str, columns: str = "*", order: str = "id") -> list[tuple[Any, ...]]:
        """Return the rows of a table of the source."""
        return self.source.execute(f"select {columns} from {table} order by {order}".encode()).fetchall()

    def assert_equal(self, table: str, columns: str, order: str = "id") -> int:
        """Compare all rows of both sides by value; returns how many there are."""
        expected, found = self.rows(table, columns, order), self.copied(table, columns, order)
        assert len(found) == len(expected)
        for left, right in zip(expected, found, strict=True):
            assert right == left, f"copied {right!s:.200} of {left!s:.200}"
        return len(expected)


class RunningMirror:
    """A mirror in a thread of this process."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop it and wait."""
        self._service.stop()
        self._thread.join(20)
        assert not self._thread.is_alive()

    def failure(self, timeout: float = 20) -> UserError:
        """Wait until it gives up, and return why."""
        self._thread.join(timeout)
        assert isinstance(self.error, UserError), self.error
        return self.error

    def _run(self) -> None:
        try:
            self._service.run()
        except BaseException as error:
            self.error = error


class MirrorProcess:
    """`jangar-quant mirror` as a process."""

    def __init__(self, settings: Settings, log: Path | None = None) -> None:
        self._log = log
        named = settings.model_dump(by_alias=True, include={"mirror_slot", "mirror_publication", "mirror_flush_ms"})
        self._environment = {
            **os.environ,
            **{name: str(value) for name, value in named.items()},
            "JANGAR_QUANT_MIRROR_HEARTBEAT_SECONDS": str(settings.mirror_heartbeat_seconds),
            "TORGHUT_DB_DSN": settings.source_dsn(),
            "CLICKHOUSE_URL": settings.warehouse_url(),
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it; returns at once."""
        command = [sys.executable, "-m", "orchestration", "mirror"]
        if self._log is None:
            self._process = subprocess.Popen(command, env=self._environment)
            return
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)

    @property
    def exit_code(self) -> int | None:
        """What it ended with, None while it runs."""
        assert self._process is not None
        return self._process.poll()

    def kill(self) -> None:
        """End it as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def terminate(self, timeout: float = 10) -> int:
        """Ask it to end, and return its exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(timeout)
