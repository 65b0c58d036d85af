"""Fixtures of the mirror's tests: a warehouse that can be killed, and a lab per test."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from orchestration.source.embedded import EmbeddedPostgres
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
def lab(source_dsn: str, mirror_warehouse: Warehouse) -> Iterator[Lab]:
    """An empty database, an empty `torghut_raw`, and a slot name of the test's own."""
    lab = Lab(source_dsn, mirror_warehouse, f"m_{uuid.uuid4().hex[:12]}")
    yield lab
    lab.close()


@pytest.fixture
def own_postgres(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A Postgres that a test may stop and start."""
    server = EmbeddedPostgres(tmp_path / "postgres", free_port())
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
