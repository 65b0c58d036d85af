"""A warehouse with the dbt project built in it, advanced tick by tick, and rows written as the mirror writes them."""

import threading
from collections.abc import Iterator

import clickhouse_connect
import httpx
import pytest
import uvicorn
from clickhouse_connect.driver.client import Client

from api.app import TRADING, create_app
from orchestration.settings import Settings
from orchestration.transform.build import build
from tests.oracles.world import REPLACED, VIEWS, World
from tests.ports import free_port
from tests.template import copy_of_built_warehouse, running_warehouse
from tests.waiting import wait_for


@pytest.fixture(scope="session")
def warehouse_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of an embedded warehouse of these tests alone: they write into the databases of the mirror."""
    state = tmp_path_factory.mktemp("oracles") / "state"
    copy_of_built_warehouse(tmp_path_factory, state)
    with running_warehouse(state) as settings:
        yield settings


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


@pytest.fixture(scope="session")
def api(warehouse_settings: Settings, built: Client) -> Iterator[httpx.Client]:
    """A client of the API, which runs in a thread and tells every second that it is there."""
    port = free_port()
    settings = warehouse_settings.model_copy(update={"stream_heartbeat_ms": 1000})
    server = uvicorn.Server(
        uvicorn.Config(create_app(settings), port=port, log_config=None, timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    with httpx.Client(base_url=f"http://127.0.0.1:{port}{TRADING}", timeout=30) as client:
        wait_for(lambda: server.started, 30, "the API")
        yield client
    server.should_exit = True
    thread.join(30)
