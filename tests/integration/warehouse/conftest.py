"""Fixtures of the warehouse tests."""

import uuid
from collections.abc import Iterator

import pytest

from tests.conftest import WarehouseServer
from tests.integration.warehouse.processes import Http, Process

OWNER, OWNER_PASSWORD = "owner", "own:er/päss"
READER, READER_PASSWORD = "reader", "read-only"


@pytest.fixture
def http(warehouse_server: WarehouseServer) -> Http:
    """Raw HTTP to the session's server."""
    return Http(warehouse_server.port)


@pytest.fixture
def database(http: Http) -> Iterator[str]:
    """A database of this test's own."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    http.sql(f"CREATE DATABASE {name}")
    yield name
    http.sql(f"DROP DATABASE {name} SYNC")


@pytest.fixture(scope="package")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A server with an owner's and a reader's password, and a table `default.facts` of three rows."""
    process = Process(
        tmp_path_factory.mktemp("secured"),
        CLICKHOUSE_USER=OWNER,
        CLICKHOUSE_PASSWORD=OWNER_PASSWORD,
        JANGAR_QUANT_WAREHOUSE_READONLY_USER=READER,
        JANGAR_QUANT_WAREHOUSE_READONLY_PASSWORD=READER_PASSWORD,
    )
    with process:
        owner = Http(process.port, {"X-ClickHouse-User": OWNER, "X-ClickHouse-Key": OWNER_PASSWORD})
        process.http = owner
        owner.sql("CREATE TABLE facts (a Int32) ENGINE = MergeTree ORDER BY a")
        owner.sql("INSERT INTO facts VALUES (1), (2), (3)")
        yield process


@pytest.fixture
def reader(secured: Process) -> Http:
    """Raw HTTP as the read-only user."""
    return Http(secured.port, {"X-ClickHouse-User": READER, "X-ClickHouse-Key": READER_PASSWORD})
