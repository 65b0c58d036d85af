"""The embedded Postgres: starts anywhere, survives kill -9, stops in time, says what is wrong."""

import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from orchestration.errors import UserError
from orchestration.source import privileges
from orchestration.source.embedded import EmbeddedPostgres
from orchestration.source.postmaster import processes_of
from tests.ports import free_port
from tests.waiting import wait_for


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "state" / "postgres"
    yield path
    assert processes_of(path) == [], "a server was left running"


@pytest.mark.parametrize("major", [16, 18])
def test_starts_with_logical_wal_for_one_user_with_a_password_and_keeps_its_data(major: int, data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir, free_port(), major=major)
    server.start()
    try:
        with psycopg.connect(server.dsn()) as connection:
            row = connection.execute(
                "select current_setting('wal_level'), current_setting('listen_addresses'),"
                " current_setting('fsync'), current_setting('server_version_num')::int / 10000,"
                " (select rolsuper from pg_roles where rolname = current_user)"
            ).fetchone()
            assert row == ("logical", "127.0.0.1", "on", major, True)
            connection.execute("create table kept as select 42 as answer")
        assert "@127.0.0.1" in server.dsn()
        without_password = server.dsn().partition("?")[0]
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(without_password, passfile="/dev/null")
        assert stat.S_IMODE((data_dir / "client.pgpass").stat().st_mode) == 0o600
    finally:
        server.stop()
    server.start()
    try:
        with psycopg.connect(server.dsn()) as connection:
            assert connection.execute("select answer from kept").fetchone() == (42,)
    finally:
        server.stop()
    assert not (data_dir / "postmaster.pid").exists()


def test_recovers_after_kill_9_of_the_postmaster_while_a_client_is_connected(data_dir: Path) -> None:
    first = EmbeddedPostgres(data_dir, free_port())
    first.start()
    client = psycopg.connect(first.dsn(), autocommit=True)
    client.execute("create table kept (n int)")
    client.execute("insert into kept select generate_series(1, 1000)")
    postmaster = int((data_dir / "postmaster.pid").read_text().split("\n")[0])
    os.kill(postmaster, signal.SIGKILL)
    assert (data_dir / "postmaster.pid").exists()
    # The starter process is gone as well: its lock is free, and nobody waits for the postmaster.
    assert first._lock is not None
    first._lock.close()
    second = EmbeddedPostgres(data_dir, first.port)
    second.start()
    try:
        with psycopg.connect(second.dsn()) as connection:
            assert connection.execute("select count(*) from kept").fetchone() == (1000,)
    finally:
        second.stop()
        client.close()


def test_a_stale_pid_file_with_the_pid_of_another_process_does_not_stop_it(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir, free_port())
    server.start()
    server.stop()
    (data_dir / "postmaster.pid").write_text(f"{os.getpid()}\n{data_dir}\n")
    server.start()
    server.stop()


def test_stops_soon_although_a_replication_client_reads_nothing(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir, free_port())
    server.start()
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute("create table t (n int primary key, filler text)")
        connection.execute("create publication p for table t")
        connection.execute("select pg_create_logical_replication_slot('s', 'pgoutput')")
    reader = psycopg.pq.PGconn.connect(f"{server.dsn()}&replication=database".encode())
    assert reader.status == psycopg.pq.ConnStatus.OK, reader.error_message
    reader.exec_(b"START_REPLICATION SLOT s LOGICAL 0/0 (proto_version '1', publication_names 'p')")
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        # More than the socket's buffers hold, so that the sender blocks.
        connection.execute("insert into t select g, repeat(md5(g::text), 100) from generate_series(1, 20000) g")
    process = server._process
    assert process is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("orchestration.source.postmaster.FAST_SHUTDOWN_SECONDS", 1.0)
        server.stop()
    assert process.poll() is not None
    reader.finish()


def test_only_one_starter_uses_a_directory(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir, free_port())
    server.start()
    try:
        with pytest.raises(UserError, match="Another process already runs"):
            EmbeddedPostgres(data_dir, free_port()).start()
        with psycopg.connect(server.dsn()) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
    finally:
        server.stop()


def test_an_occupied_port_names_the_setting_and_leaves_nothing(data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        with pytest.raises(UserError) as caught:
            EmbeddedPostgres(data_dir, holder.getsockname()[1]).start()
        assert "JANGAR_QUANT_SOURCE_PORT" in caught.value.remedy
    assert not data_dir.exists()


def test_a_directory_of_another_major_version_is_refused(data_dir: Path) -> None:
    data_dir.mkdir(parents=True)
    (data_dir / "PG_VERSION").write_text("13\n")
    with pytest.raises(UserError, match="made by Postgres 13"):
        EmbeddedPostgres(data_dir, free_port()).start()


def test_a_directory_of_something_else_is_refused_untouched(data_dir: Path) -> None:
    data_dir.mkdir(parents=True)
    (data_dir / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="neither empty nor"):
        EmbeddedPostgres(data_dir, free_port()).start()
    assert [path.name for path in data_dir.iterdir()] == ["thesis.txt"]


def test_an_impossible_state_directory_is_explained(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    with pytest.raises(UserError, match="cannot use"):
        EmbeddedPostgres(blocked / "postgres", free_port()).start()


def test_a_killed_first_start_leaves_nothing_half_made(data_dir: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from orchestration.source.embedded import EmbeddedPostgres;"
        "EmbeddedPostgres(Path(sys.argv[1]), int(sys.argv[2])).start()"
    )
    port = free_port()
    starter = subprocess.Popen([sys.executable, "-c", code, str(data_dir), str(port)])
    wait_for(lambda: list(data_dir.parent.glob("postgres.new-*/data/base")), 20, "initdb is at work")
    starter.kill()
    starter.wait()
    assert not data_dir.exists()
    server = EmbeddedPostgres(data_dir, port)
    server.start()
    server.stop()
    assert not list(data_dir.parent.glob("postgres.new-*"))


def test_the_command_is_ready_stops_on_sigterm_and_dies_with_its_postmaster(data_dir: Path) -> None:
    port = free_port()
    environment = {
        **os.environ,
        "JANGAR_QUANT_STATE_DIR": str(data_dir.parent),
        "JANGAR_QUANT_SOURCE_PORT": str(port),
    }
    command = [sys.executable, "-m", "orchestration", "postgres"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"ready: postgres 18 on 127.0.0.1:{port}\n"
        process.terminate()
        assert process.wait(15) == 0
    assert processes_of(data_dir) == []
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready")
        # Nobody can clean up after this; the postmaster has to see it by itself.
        process.kill()
    wait_for(lambda: processes_of(data_dir) == [], 15, "the orphaned server ends")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_root_without_user_namespaces_becomes_an_unprivileged_user(monkeypatch: pytest.MonkeyPatch) -> None:
    obstacle = privileges._obstacle
    monkeypatch.setattr(
        privileges,
        "_obstacle",
        lambda identity, *paths: "not allowed" if identity.mode == "namespace" else obstacle(identity, *paths),
    )
    # Not under tmp_path, which other users cannot enter.
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        Path(directory).chmod(0o755)
        data_dir = Path(directory) / "postgres"
        server = EmbeddedPostgres(data_dir, free_port())
        try:
            server.start()
        except UserError as error:
            if "no other identity works here" in error.message:
                pytest.skip("the environment itself cannot be reached by another user")
            raise
        try:
            assert data_dir.stat().st_uid != 0
        finally:
            server.stop()
        monkeypatch.undo()
        # The same directory under a user namespace again: its files change hands.
        server.start()
        server.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user needs no other identity")
def test_root_without_any_other_identity_is_told_what_to_do(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privileges, "_obstacle", lambda *_: "not allowed")
    with pytest.raises(UserError, match="cannot run as root") as caught:
        EmbeddedPostgres(data_dir, free_port()).start()
    assert "ordinary user" in caught.value.remedy
