"""A warehouse with the dbt project built in it, advanced tick by tick, and rows written as the mirror writes them."""

from collections.abc import Iterator

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client

from orchestration.settings import Settings
from orchestration.transform.build import build
from tests.oracles.world import REPLACED, VIEWS, World
from tests.template import copy_of_built_warehouse, running_warehouse


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
