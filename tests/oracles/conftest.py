"""A warehouse with the dbt project built in it, advanced tick by tick, and rows written as the mirror writes them."""

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client

from orchestration.settings import Settings, get_settings
from orchestration.transform.build import build
from tests.oracles.world import REPLACED, VIEWS, World
from tests.ports import free_port
from tests.waiting import wait_for


@pytest.fixture(scope="session")
def warehouse_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of an embedded warehouse of these tests alone: they write into the databases of the mirror."""
    state, port = tmp_path_factory.mktemp("oracles"), free_port()
    patch = pytest.MonkeyPatch()
    patch.setenv("JANGAR_QUANT_STATE_DIR", str(state))
    patch.setenv("JANGAR_QUANT_WAREHOUSE_PORT", str(port))
    patch.setenv("JANGAR_TORGHUT_QUANT_CONTROL_PLANE_ENABLED", "true")
    get_settings.cache_clear()
    with (state / "warehouse.log").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestration", "warehouse"],
            env=dict(os.environ),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(
            lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=1).status == 200,
            60,
            "the warehouse answers",
        )
        yield get_settings()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
        patch.undo()
        get_settings.cache_clear()


@pytest.fixture(scope="session")
def built(warehouse_settings: Settings) -> Iterator[Client]:
    """A client of the warehouse after `dbt build`, whose views refresh only when a test asks for it."""
    build(warehouse_settings)
    client = clickhouse_connect.get_client(
        host="127.0.0.1", port=warehouse_settings.warehouse_port, autogenerate_session_id=False, tz_mode="aware"
    )
    for view in VIEWS:
        form = "" if view in REPLACED else " append"
        client.command(f"alter table quant.{view} modify refresh every 1 year{form}")
    yield client
    client.close()


@pytest.fixture
def world(built: Client) -> World:
    """An empty source: no rows, no facts, no ledger."""
    world = World(built)
    world.clear()
    return world
