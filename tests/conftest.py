"""Real services for every test: a Postgres and a ClickHouse of the session, on free ports, in temporary places."""

import logging
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from xdist.scheduler import LoadFileScheduling

from orchestration.settings import get_settings
from orchestration.source.embedded import EmbeddedPostgres
from tests.databases import fresh_database
from tests.ports import free_port
from tests.waiting import wait_for

# A developer's own environment must not reach the tests.
_OWN = ("JANGAR_", "TORGHUT_", "CLICKHOUSE_")


class _ByFile(LoadFileScheduling):  # type: ignore[misc]
    """Tests of one file run on one worker; those of `tests/e2e` all on the same, so that they share the product: two of
    it at a time ask more than two cores have. Seeds of the crash test share nothing."""

    def _split_scope(self, nodeid: str) -> str:
        if "/test_crash.py::" in nodeid:
            return nodeid
        return "tests/e2e" if nodeid.startswith("tests/e2e/") else str(super()._split_scope(nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    """The scheduler of `-n`; the tests stay in their order, so that the long ones of e2e do not come last and alone."""
    return _ByFile(config, log)


@pytest.fixture(scope="session", autouse=True)
def _no_configuration_from_outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    patch = pytest.MonkeyPatch()
    for name in [n for n in os.environ if n.startswith(_OWN)]:
        patch.delenv(name)
    patch.setenv("JANGAR_QUANT_STATE_DIR", str(tmp_path_factory.mktemp("state")))
    get_settings.cache_clear()
    yield
    patch.undo()


@pytest.fixture(autouse=True)
def _log_of_its_own() -> Iterator[None]:
    """A command that a test calls sends the log to that test's standard error, which is closed after it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """An embedded Postgres that the whole session shares; see `source_dsn` for a database of one's own."""
    # No test ends it and nothing of it outlives them, so making and dropping their databases waits for no disk.
    options = {"fsync": "off", "full_page_writes": "off"}
    server = EmbeddedPostgres(tmp_path_factory.mktemp("postgres") / "data", free_port(), options=options)
    server.start(die_with_parent=True)
    yield server
    server.stop()


@pytest.fixture
def source_dsn(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """Connection string of an empty database that this test alone uses."""
    with fresh_database(postgres_server) as dsn:
        yield dsn


@dataclass(frozen=True)
class WarehouseServer:
    """A running embedded ClickHouse."""

    url: str
    port: int
    data_dir: Path


@pytest.fixture(scope="session")
def warehouse_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarehouseServer]:
    """An embedded ClickHouse that the whole session shares, as `jangar-quant warehouse` starts it."""
    state, port = tmp_path_factory.mktemp("warehouse"), free_port()
    log = state / "warehouse.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestration", "warehouse"],
            env={**os.environ, "JANGAR_QUANT_STATE_DIR": str(state), "JANGAR_QUANT_WAREHOUSE_PORT": str(port)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        if process.poll() is not None:
            pytest.fail(f"the warehouse did not start: {log.read_text()}")
        with urllib.request.urlopen(f"{url}/ping", timeout=2) as response:
            return bool(response.read() == b"Ok.\n")

    try:
        wait_for(answers, 60, "the warehouse answers")
        yield WarehouseServer(url, port, state / "warehouse")
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def clickhouse(warehouse_server: WarehouseServer) -> Iterator[Client]:
    """A client of the session's ClickHouse."""
    client = clickhouse_connect.get_client(host="127.0.0.1", port=warehouse_server.port, autogenerate_session_id=False)
    yield client
    client.close()
