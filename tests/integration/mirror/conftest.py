"""Fixtures of the mirror's tests: a warehouse that can be killed, a lab per test, and Postgres of several versions."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from orchestration.errors import UserError
from orchestration.source.binaries import find_binaries
from orchestration.source.embedded import DEFAULT_MAJOR, EmbeddedPostgres
from tests.databases import fresh_database
from tests.integration.mirror.harness import Lab, Warehouse
from tests.ports import free_port


@pytest.fixture(scope="session")
def mirror_warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    """A warehouse for all tests of the mirror; each starts with an empty `torghut_raw`."""
    warehouse = Warehouse(tmp_path_factory.mktemp("mirror-warehouse"))
    warehouse.start()
    yield warehouse
    warehouse.stop()


@pytest.fixture
def own_warehouse(tmp_path: Path) -> Iterator[Warehouse]:
    """A warehouse that a test may stop or hang without harm to the lab's client."""
    warehouse = Warehouse(tmp_path)
    warehouse.start()
    yield warehouse
    warehouse.stop()


@pytest.fixture
def major() -> int:
    """Major version of the source; a test marked `every_server` runs once on each."""
    return DEFAULT_MAJOR


@pytest.fixture(scope="session")
def server_of(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: EmbeddedPostgres
) -> Iterator[Callable[[int], EmbeddedPostgres]]:
    """Give the server of a major version that the whole session shares, started when it is first asked for."""
    servers = {postgres_server.major: postgres_server}

    def give(major: int) -> EmbeddedPostgres:
        if major not in servers:
            require_postgres(major)
            server = EmbeddedPostgres(tmp_path_factory.mktemp(f"postgres-{major}") / "data", free_port(), major=major)
            server.start(die_with_parent=True)
            servers[major] = server
        return servers[major]

    yield give
    for server in servers.values():
        if server is not postgres_server:
            server.stop()


def require_postgres(major: int) -> None:
    """Skip the test, with the reason, on a machine without this Postgres."""
    try:
        find_binaries(major)
    except UserError as error:
        pytest.skip(error.message)


@pytest.fixture
def source_dsn(server_of: Callable[[int], EmbeddedPostgres], major: int) -> Iterator[str]:
    """Connection string of an empty database that this test alone uses."""
    with fresh_database(server_of(major)) as dsn:
        yield dsn


@pytest.fixture
def lab(source_dsn: str, mirror_warehouse: Warehouse) -> Iterator[Lab]:
    """An empty database, an empty `torghut_raw`, and a slot name of the test's own."""
    lab = Lab(source_dsn, mirror_warehouse, f"m_{uuid.uuid4().hex[:12]}")
    yield lab
    lab.close()


@pytest.fixture
def own_postgres(tmp_path: Path, major: int) -> Iterator[EmbeddedPostgres]:
    """A Postgres that a test may stop and start."""
    require_postgres(major)
    server = EmbeddedPostgres(tmp_path / "postgres", free_port(), major=major)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def restartable_lab(own_postgres: EmbeddedPostgres, mirror_warehouse: Warehouse) -> Iterator[Lab]:
    """A lab on a Postgres of the test's own."""
    with psycopg.connect(own_postgres.dsn("postgres"), autocommit=True):
        lab = Lab(own_postgres.dsn("torghut"), mirror_warehouse, "m_restart")
    yield lab
    lab.close()
