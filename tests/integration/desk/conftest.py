"""Sources of both schema heads and a desk process for the desk's integration tests."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from orchestration.settings import Settings
from orchestration.source.migrate import migrate
from tests.ports import free_port


@pytest.fixture(params=["0005", "latest"])
def source(request: pytest.FixtureRequest, source_dsn: str) -> str:
    """A migrated source, at the early and at the latest head."""
    migrate(source_dsn, request.param)
    return source_dsn


@pytest.fixture
def latest_source(source_dsn: str) -> str:
    """A source at the latest head."""
    migrate(source_dsn)
    return source_dsn


@pytest.fixture
def connection(source_dsn: str) -> Iterator[psycopg.Connection]:
    """A connection to the test's source."""
    with psycopg.connect(source_dsn, autocommit=True) as opened:
        yield opened


def settings_for(dsn: str, days: int = 3) -> Settings:
    """Settings of a desk that writes to `dsn`."""
    return Settings(torghut_db_dsn=SecretStr(dsn), desk_history_days=days)


StartDesk = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start_desk(source_dsn: str, tmp_path: Path) -> Iterator[StartDesk]:
    """Start desk processes on the test's source; none outlives the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str, days: int = 0) -> "subprocess.Popen[bytes]":
        environment = {
            **os.environ,
            "TORGHUT_DB_DSN": source_dsn,
            "JANGAR_QUANT_DESK_HISTORY_DAYS": str(days),
            # Nothing listens there: the desk must trade without its warehouse.
            "JANGAR_QUANT_WAREHOUSE_PORT": str(free_port()),
        }
        with (tmp_path / "desk.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "orchestration", "desk", "--allow-external", *arguments],
                env=environment,
                stdout=log,
                stderr=log,
            )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait()
