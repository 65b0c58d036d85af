"""Traps of logical replication that no other file of these tests is about; docs/mirror.md lists them all."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest

from orchestration.doctor.source import check_source
from orchestration.mirror.resync import Resyncer
from orchestration.source.embedded import EmbeddedPostgres
from orchestration.source.migrate import migrate
from tests.integration.mirror.conftest import require_postgres
from tests.integration.mirror.harness import DATABASE, Lab, Warehouse, every_server
from tests.ports import free_port
from tests.waiting import wait_for

BIG = "(select string_agg(md5(g::text || random()::text), '') from generate_series(1, 400) g)"


@pytest.fixture
def streaming(lab: Lab) -> Iterator[Lab]:
    lab.execute("create table t (id int primary key, a text, b text)")
    lab.publish("t")
    with lab.mirror():
        lab.wait_until_streaming()
        yield lab


@pytest.fixture
def server_with(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., EmbeddedPostgres]]:
    """Start servers with settings of the test's own."""
    started: list[EmbeddedPostgres] = []

    def start(major: int, **options: str) -> EmbeddedPostgres:
        require_postgres(major)
        directory = tmp_path_factory.mktemp("own") / "postgres"
        server = EmbeddedPostgres(directory, free_port(), major=major, options=options)
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.stop()


def test_statements_that_change_nothing(streaming: Lab) -> None:
    """T9: an update without a change is sent, `do nothing` is not."""
    streaming.execute(
        "insert into t values (1, 'a', 'b')",
        "update t set b = b",
        "insert into t values (1, 'x', 'x') on conflict do nothing",
        "insert into t values (1, 'x', 'x') on conflict (id) do update set a = excluded.a",
    )
    streaming.catch_up()
    history = streaming.query(f"SELECT _op, a, b FROM {DATABASE}.t__history FINAL ORDER BY _version")
    assert history == [("insert", "a", "b"), ("update", "a", "b"), ("update", "x", "b")]


@every_server
def test_truncate_cascades(lab: Lab) -> None:
    """T13: one message for several tables, with identities restarted."""
    lab.execute(
        "create table p (id int generated always as identity primary key, a text)",
        "create table q (id int primary key, p_id int references p, a text)",
        "insert into p (a) values ('1'), ('2')",
        "insert into q values (1, 1, 'x'), (2, 2, 'y')",
    )
    lab.publish("p", "q")
    with lab.mirror():
        lab.wait_until_streaming()
        lab.execute("truncate p restart identity cascade", "insert into p (a) values ('again')")
        lab.catch_up()
        assert lab.assert_equal("p", "id, a") == 1
        assert lab.assert_equal("q", "id, a") == 0
        ended = lab.query(f"SELECT id, _op FROM {DATABASE}.q__history FINAL WHERE _deleted ORDER BY id")
        assert ended == [(1, "delete"), (2, "delete")]


def test_truncate_that_arrives_behind_a_newer_copy_is_in_the_history(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """T13: TRUNCATE gives a table new storage, so it is copied again, and the copy may overtake the stream."""
    lab.execute("create table t (id int primary key, n int)", "insert into t values (1, 0), (2, 0)")
    lab.publish("t")
    request = Resyncer.request
    behind = ["truncate t", "insert into t values (1, 2)"]

    def request_behind(self: Resyncer, *arguments: str) -> None:
        # The stream is at the first TRUNCATE; the copy will be of what is after the second.
        while behind:
            lab.execute(behind.pop(0))
        request(self, *arguments)

    monkeypatch.setattr(Resyncer, "request", request_behind)
    with lab.mirror():
        lab.wait_until_streaming()
        lab.execute("truncate t", "insert into t values (1, 1), (3, 1)")
        wait_for(lambda: not behind, 20, "the table is to be copied again")
        lab.catch_up()
        lab.wait_until_streaming()
        assert lab.copied("t", "id, n") == [(1, 2)]
    copies = f"(SELECT _version FROM {DATABASE}.t__history WHERE _op = 'snapshot')"
    ended = lab.query(
        f"SELECT id, count() FROM {DATABASE}.t__history FINAL WHERE _deleted AND _version NOT IN {copies} "
        "GROUP BY id ORDER BY id"
    )
    assert ended == [(1, 2), (2, 1), (3, 1)]


@every_server
def test_open_writer_delays_the_slot_and_is_named(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    """T23: the source makes a slot only when the transactions that run have ended."""
    lab.execute("create table t (id int primary key)")
    lab.publish("t")
    with lab.connect() as writer:
        writer.execute("begin")
        writer.execute("insert into t values (1)")
        pid = writer.info.backend_pid
        with caplog.at_level("INFO"), lab.mirror():
            named = f"open transaction of pid {pid} "
            wait_for(lambda: named in caplog.text, 20, "the log names the writer")
            assert lab.state() == "starting"
            writer.execute("commit")
            lab.wait_until_streaming()
            assert lab.assert_equal("t", "id") == 1


@every_server
def test_prepared_transactions_count_when_they_are_committed(
    server_with: Callable[..., EmbeddedPostgres], mirror_warehouse: Warehouse, major: int
) -> None:
    """T24: nothing at PREPARE, all at COMMIT PREPARED, nothing for ROLLBACK PREPARED."""
    lab = Lab(server_with(major, max_prepared_transactions="5").dsn(), mirror_warehouse, "m_prepared")
    try:
        lab.execute("create table t (id int primary key)")
        lab.publish("t")
        with lab.mirror():
            lab.wait_until_streaming()
            for name, row in (("one", 1), ("two", 2)):
                lab.execute("begin", f"insert into t values ({row})", f"prepare transaction '{name}'")
            lab.execute("insert into t values (3)")
            lab.catch_up()
            assert lab.copied("t", "id") == [(3,)]
            lab.execute("commit prepared 'one'", "rollback prepared 'two'")
            lab.catch_up()
            assert lab.copied("t", "id") == [(1,), (3,)]
    finally:
        lab.close()


@every_server
def test_nothing_is_acknowledged_before_the_warehouse_has_it(lab: Lab, own_warehouse: Warehouse) -> None:
    """T31, T32: the warehouse hangs for longer than the server waits for a silent client."""
    lab = Lab(lab.dsn, own_warehouse, lab.slot)
    lab.execute("create table t (id int primary key, doc text)")
    lab.publish("t")

    def slot() -> tuple[int, int]:
        row = lab.source.execute(
            "select active_pid, (confirmed_flush_lsn - '0/0'::pg_lsn)::bigint from pg_replication_slots "
            "where slot_name = %s",
            (lab.slot,),
        ).fetchone()
        assert row is not None
        return row[0], row[1]

    with lab.mirror():
        lab.wait_until_streaming()
        walsender = slot()[0]
        os.kill(own_warehouse.pid, signal.SIGSTOP)
        try:
            before = lab.wal_end()
            lab.execute(f"insert into t select g, {BIG} from generate_series(1, 3000) g")
            reports = "select reply_time from pg_stat_replication where pid = %s"
            started = lab.source.execute("select clock_timestamp()").fetchone()
            assert started is not None
            # The server would have given up after ten seconds without a word.
            wait_for(
                lambda: lab.source.execute(
                    f"{reports} and reply_time > %s + interval '12 s'".encode(), (walsender, started[0])
                ).fetchone(),
                30,
                "the mirror reports while it cannot insert",
            )
            assert slot()[1] <= before
        finally:
            os.kill(own_warehouse.pid, signal.SIGCONT)
        lab.catch_up()
        assert slot()[0] == walsender
        assert lab.assert_equal("t", "id, doc") == 3000
        wait_for(lambda: slot()[1] > before, 20, "the slot moves when the rows are on disk")


def test_acknowledged_never_runs_ahead_of_the_mark(streaming: Lab) -> None:
    """T27, T31: transactions that began earlier and commit later carry lower positions than what is here already."""
    lab = streaming
    stop = threading.Event()

    def write(first: int) -> None:
        with lab.connect() as connection:
            row = first
            while not stop.is_set():
                with connection.transaction():
                    for _ in range(20):
                        row += 1
                        connection.execute("insert into t values (%s, 'x', 'y')", (row,))

    writers = [threading.Thread(target=write, args=(first,)) for first in (1_000_000, 2_000_000)]
    for writer in writers:
        writer.start()
    try:
        moved = set()

        def acknowledged() -> bool:
            row = lab.source.execute(
                "select (confirmed_flush_lsn - '0/0'::pg_lsn)::bigint from pg_replication_slots where slot_name = %s",
                (lab.slot,),
            ).fetchone()
            assert row is not None
            assert row[0] <= max(lab.mark(), *moved, row[0] if not moved else 0)
            moved.add(row[0])
            return len(moved) > 3

        wait_for(acknowledged, 60, "the slot has moved three times")
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    lab.catch_up()
    lab.assert_equal("t", "id, a, b")


@contextmanager
def encoded(server: EmbeddedPostgres, warehouse: Warehouse, encoding: str) -> Iterator[Lab]:
    """Give a lab on a database of another encoding."""
    name = f"m_{encoding.lower()}"
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as connection:
        connection.execute(f"create database {name} template template0 encoding '{encoding}'".encode())
        lab = Lab(server.dsn(name), warehouse, name)
        try:
            lab.execute("create table t (id int primary key, a text, b text)")
            yield lab
        finally:
            lab.execute(
                f"select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = '{name}'"
            )
            lab.close()
            connection.execute(f"drop database {name} with (force)".encode())


def test_text_that_is_not_utf8(postgres_server: EmbeddedPostgres, mirror_warehouse: Warehouse) -> None:
    """T42: a database without encoding holds any bytes."""
    with encoded(postgres_server, mirror_warehouse, "SQL_ASCII") as lab:
        lab.execute(rf"insert into t values (1, E'ok\377\376bad', {BIG} || E'\377')")
        lab.publish("t")
        with lab.mirror():
            lab.wait_until_streaming()
            lab.execute(r"insert into t values (2, E'\303\050')", r"update t set a = E'\376' where id = 1")
            lab.catch_up()
        found = lab.query(f"SELECT id, hex(a), endsWith(hex(b), 'FF') FROM {DATABASE}.t FINAL ORDER BY id")
        assert found == [(1, "FE", True), (2, "C328", None)]


def test_text_of_another_encoding(postgres_server: EmbeddedPostgres, mirror_warehouse: Warehouse) -> None:
    """T42: ClickHouse holds UTF-8, so that is asked for."""
    with encoded(postgres_server, mirror_warehouse, "LATIN1") as lab:
        lab.execute("insert into t values (1, chr(233), 'snapshot')")
        lab.publish("t")
        with lab.mirror():
            lab.wait_until_streaming()
            lab.execute("insert into t values (2, chr(252), 'stream')")
            lab.catch_up()
        assert lab.copied("t", "id, a") == [(1, "é"), (2, "ü")]


@every_server
def test_enum_values_that_are_added_and_renamed(lab: Lab) -> None:
    """T45: Postgres does not tell; a table of a renamed value is copied again, one of an added value is not."""
    lab.execute("create type mood as enum ('new')", "create table t (id int primary key, m mood)")
    lab.publish("t")
    with lab.mirror():
        lab.wait_until_streaming()
        lab.execute("insert into t values (1, 'new'), (2, 'new')", "alter type mood add value 'done'")
        lab.catch_up()
        assert lab.copied("t", "id, m") == [(1, "new"), (2, "new")]
        lab.execute("alter type mood rename value 'new' to 'NEW'", "insert into t values (3, 'NEW'), (4, 'done')")
        expected = [(1, "NEW"), (2, "NEW"), (3, "NEW"), (4, "done")]
        wait_for(lambda: lab.copied("t", "id, m") == expected, 30, "the renamed value is copied again")
        names = "arraySort(mapValues(JSONExtract(labels, 'Map(String, String)')))"
        known = f"SELECT {names} FROM {DATABASE}.mirror_table FINAL"
        wait_for(lambda: lab.query(known) == [(["NEW", "done"],)], 30, "the added value is known")
    lab.execute("alter type mood rename value 'done' to 'DONE'")
    with lab.mirror():
        wait_for(lambda: lab.copied("t", "id, m")[3] == (4, "DONE"), 30, "so is one renamed meanwhile")
        copies = f"SELECT countIf(_op = 'snapshot') FROM {DATABASE}.t__history"
        before = lab.query(copies)
        lab.execute("alter type mood add value 'more'")
        wait_for(lambda: lab.query(known) == [(["DONE", "NEW", "more"],)], 30, "the mirror has seen the added value")
        assert lab.query(copies) == before


@every_server
def test_generated_columns(lab: Lab) -> None:
    """T47: they are not sent, so the copy does not have them; a key of them is no identity."""
    lab.execute(
        "create table t (id int primary key, a int, twice int generated always as (a * 2) stored)",
        "insert into t (id, a) values (1, 1)",
    )
    lab.publish("t")
    with lab.mirror():
        lab.wait_until_streaming()
        lab.execute("insert into t (id, a) values (2, 2)", "update t set a = 5 where id = 1")
        lab.catch_up()
        assert lab.assert_equal("t", "id, a") == 2
    columns = lab.query(f"SELECT name FROM system.columns WHERE database = '{DATABASE}' AND table = 't'")
    assert ("twice",) not in columns
    migrate(lab.dsn)
    lab.execute(
        "alter table lean_canary_incidents drop constraint lean_canary_incidents_pkey",
        "alter table lean_canary_incidents add k text generated always as ('x') stored",
        "alter table lean_canary_incidents add primary key (k)",
    )
    found = next(f for f in check_source(lab.settings()) if f.check == "replica identity")
    assert "its key has a generated column" in found.detail


def test_many_columns(lab: Lab) -> None:
    """T49."""
    names = [f"c{number}" for number in range(1000)]
    lab.execute(f"create table t (id int primary key, {', '.join(f'{name} int' for name in names)})")
    lab.execute("insert into t (id, c0, c999) values (1, 1, 999)")
    lab.publish("t")
    with lab.mirror():
        lab.wait_until_streaming()
        lab.execute("insert into t (id, c1, c998) values (2, 1, 998)")
        lab.catch_up(60)
        assert lab.assert_equal("t", "id, c0, c1, c998, c999") == 2


@every_server
def test_row_filter_and_column_list(lab: Lab) -> None:
    """T51: a row that leaves the filter arrives as its end, one that enters as new; hidden columns are not copied."""
    lab.execute(
        "create table t (id int primary key, a int, secret text)",
        "alter table t replica identity full",
        "create table c (id int primary key, a int, secret text)",
        "insert into t values (1, 1, 's'), (2, 200, 's')",
        "insert into c values (1, 1, 's')",
    )
    lab.publish("t where (a > 100)", "c (id, a)")
    with lab.mirror():
        lab.wait_until_streaming()
        assert lab.copied("t", "id, a, secret") == [(2, 200, "s")]
        lab.execute(
            "update t set a = 300 where id = 1",
            "update t set a = 1 where id = 2",
            "insert into t values (3, 5, 's'), (4, 500, 's')",
            "update c set secret = 'other'",
        )
        lab.catch_up()
        assert lab.copied("t", "id, a, secret") == [(1, 300, "s"), (4, 500, "s")]
        assert lab.copied("c", "id, a") == [(1, 1)]
    columns = lab.query(f"SELECT name FROM system.columns WHERE database = '{DATABASE}' AND table = 'c'")
    assert ("secret",) not in columns


def test_clock_that_was_set_back(lab: Lab) -> None:
    """T53: what an earlier mirror wrote with a clock that was an hour ahead does not win over what comes after."""
    lab.execute("create table t (id int primary key, a text)", "insert into t values (1, 'a')")
    lab.publish("t")
    with lab.mirror():
        lab.wait_until_streaming()
    moments = {"mirror_position": "recorded_at", "mirror_table": "recorded_at", "mirror_status": "updated_at"}
    for table, column in moments.items():
        lab.client.command(
            f"INSERT INTO {DATABASE}.{table} SELECT * REPLACE ({column} + INTERVAL 1 HOUR AS {column}) "
            f"FROM {DATABASE}.{table}"
        )
    lab.execute(f"select pg_drop_replication_slot('{lab.slot}')")
    with lab.mirror(resnapshot=True):
        lab.wait_until_streaming()
    # This start would find the old slot's position, and the tables of the old generation.
    with lab.mirror():
        lab.wait_until_streaming()
        lab.execute("update t set a = 'b'")
        lab.catch_up()
        assert lab.assert_equal("t", "id, a") == 1
    assert lab.state() == "stopped"
    copies = lab.query(f"SELECT count() FROM {DATABASE}.t__history WHERE _op = 'snapshot'")
    assert copies == [(2,)]
