"""Transactions that are sent while they are still open: nothing of them shows before their commit, nothing is lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.mirror.harness import DATABASE, Lab
from tests.waiting import wait_for

BIG = "(select string_agg(md5(g::text || random()::text), '') from generate_series(1, 400) g)"
COLUMNS = "id, status, doc"
TABLE = "create table t (id int primary key, status text, doc text)"


@pytest.fixture
def eager(lab: Lab) -> Lab:
    """A source that sends a transaction early: beyond 64 kB of changes."""
    name = lab.source.info.dbname
    lab.execute(f"alter database {name} set logical_decoding_work_mem = '64kB'", TABLE)
    lab.publish("t")
    return lab


@pytest.fixture
def streaming(eager: Lab) -> Iterator[Lab]:
    with eager.mirror():
        eager.wait_until_streaming()
        yield eager


def fill(first: int, count: int = 3000, status: str = "new") -> bytes:
    """An insert that is streamed by itself."""
    return (
        f"insert into t select g, '{status}', repeat('x', 50) from generate_series({first}, {first + count - 1}) g"
    ).encode()


def streamed_count(lab: Lab) -> int:
    """How many segments of open transactions the source has sent."""
    row = lab.source.execute(
        "select stream_count from pg_stat_replication_slots where slot_name = %s", (lab.slot,)
    ).fetchone()
    return int(row[0]) if row else 0


def wait_until_sent(lab: Lab, more_than: int = 0) -> int:
    """Wait until another segment of an open transaction was sent; returns how many there were."""
    wait_for(lambda: streamed_count(lab) > more_than, 20, "the open transaction is sent")
    return streamed_count(lab)


def test_open_transactions_show_nothing_until_their_commit(streaming: Lab) -> None:
    """Two open at once, their segments between each other and between small transactions; one is rolled back."""
    lab = streaming
    with lab.connect() as first, lab.connect() as second, lab.connect() as third:
        for connection, start in ((first, 1000), (second, 10_000), (third, 20_000)):
            connection.execute("begin")
            connection.execute(fill(start))
        sent = wait_until_sent(lab)
        lab.execute("insert into t values (1, 'small', 'between')")
        second.execute(fill(13_000))
        first.execute(fill(4000))
        wait_until_sent(lab, sent)
        lab.execute("insert into t values (2, 'small', 'between')")
        lab.catch_up()
        assert lab.copied("t", "id") == [(1,), (2,)]
        before = lab.query(f"SELECT max(applied) FROM {DATABASE}.mirror_checkpoint")[0][0]
        third.execute("rollback")
        second.execute("commit")
        lab.catch_up()
        assert lab.assert_equal("t", COLUMNS) == 6002
        first.execute("commit")
        lab.catch_up()
    assert lab.assert_equal("t", COLUMNS) == 12_002
    # The order of commits is that of batches; the order of versions is that of the changes themselves.
    order = f"SELECT max(_applied), min(_applied) > {before}, min(_version), max(_version) FROM {DATABASE}.t FINAL"
    (second_applied, second_late, second_low, _), (first_applied, first_late, first_low, first_high) = (
        lab.query(f"{order} WHERE id BETWEEN {start} AND {start + 5999}")[0] for start in (10_000, 1000)
    )
    assert second_late
    assert first_late
    assert second_applied < first_applied
    assert first_low < second_low < first_high


def test_versions_are_the_changes_own(streaming: Lab) -> None:
    """Streamed or sent after its end: a change has the same version, so what is sent again changes nothing."""
    lab = streaming
    lab.execute("select pg_create_logical_replication_slot('again_' || current_database(), 'pgoutput')")
    lab.execute(
        f"begin; {fill(1).decode()}; update t set status = 'x' where id <= 10; delete from t where id > 2900; commit"
    )
    lab.catch_up()
    assert streamed_count(lab) > 0
    expected = lab.source.execute(
        "select (lsn - '0/0')::bigint from pg_logical_slot_get_binary_changes('again_' || current_database(), null, "
        "null, 'proto_version', '1', 'publication_names', %s) where get_byte(data, 0) = any ('{73,85,68}')",
        (lab.slot,),
    ).fetchall()
    lab.execute("select pg_drop_replication_slot('again_' || current_database())")
    assert lab.query(f"SELECT _version FROM {DATABASE}.t__history ORDER BY _version") == expected
    assert len(expected) == 3110


def test_savepoints(streaming: Lab) -> None:
    """A part that is rolled back takes exactly its own rows with it, and those of parts within."""
    lab = streaming
    with lab.connect() as connection:
        for statement in (
            b"begin",
            fill(1),
            b"savepoint a",
            fill(10_000, status="released"),
            b"savepoint b",
            fill(20_000, status="never"),
            b"update t set status = 'never' where id < 100",
            b"rollback to b",
            fill(20_000, status="second try"),
            b"release a",
            b"savepoint c",
            b"savepoint d",
            fill(30_000, status="never"),
            b"release d",
            fill(40_000, status="never"),
            b"delete from t where id < 200",
            b"rollback to c",
            b"do $$ begin insert into t select g from generate_series(50000, 53000) g; raise division_by_zero; "
            b"exception when division_by_zero then insert into t values (60000, 'handled'); end $$",
            b"update t set status = 'last' where id = 1",
            b"commit",
        ):
            connection.execute(statement)
    lab.catch_up()
    assert streamed_count(lab) > 0
    assert lab.assert_equal("t", COLUMNS) == 9001
    never = f"SELECT count() FROM {DATABASE}.t__history WHERE status = 'never' OR _deleted"
    assert lab.query(never) == [(0,)]


def test_schema_changes_within(streaming: Lab) -> None:
    """The layout of a part that is rolled back is gone with it; one that is committed holds for all that follows."""
    lab = streaming
    with lab.connect() as connection:
        for statement in (
            b"begin",
            fill(1),
            b"alter table t add column kept text default 'd'",
            b"insert into t select g, 'new', 'x', 'k' || g from generate_series(20000, 23000) g",
            b"savepoint s",
            b"alter table t add column gone int default 1",
            b"insert into t select g, 'never', 'x', 'k', g from generate_series(10000, 13000) g",
            b"rollback to s",
            fill(10_000),
            b"update t set kept = 'u' where id < 10",
        ):
            connection.execute(statement)
        wait_until_sent(lab)
        connection.execute("commit")
    lab.execute("insert into t values (0, 'after', '', 'k')")
    lab.catch_up()
    assert lab.assert_equal("t", f"{COLUMNS}, kept") == 9002
    assert "gone" not in {name for (name,) in lab.query("SELECT name FROM system.columns WHERE table = 't__history'")}


def test_what_the_source_cannot_decode_while_it_is_open(streaming: Lab) -> None:
    """Altered, rolled back, altered again: the server's decoding of the open transaction fails, for good."""
    lab = streaming
    lab.execute(
        f"begin; {fill(1).decode()}; savepoint s; alter table t add column gone int default 1; "
        f"insert into t select g, 'never', 'x', g from generate_series(10000, 13000) g; rollback to s; "
        f"{fill(10_000).decode()}; alter table t add column kept text default 'd'; "
        "insert into t select g, 'new', 'x', 'k' || g from generate_series(20000, 23000) g; commit"
    )
    lab.catch_up()
    assert lab.assert_equal("t", f"{COLUMNS}, kept") == 9001


def test_table_altered_while_one_is_open(streaming: Lab) -> None:
    """The open transaction changes the table before and after its columns did, and first announces it in vain."""
    lab = streaming
    lab.execute("create table u (id int primary key, v text)", f"alter publication {lab.slot} add table u")
    with lab.connect() as connection:
        connection.execute("begin")
        connection.execute(fill(1))
        sent = wait_until_sent(lab)
        lab.execute(
            "insert into u values (1, 'a')",
            "alter table u add column w int default 5",
            "insert into u values (2, 'b', 6)",
        )
        connection.execute("savepoint s")
        connection.execute("insert into u select g, 'never' from generate_series(10, 3000) g")
        sent = wait_until_sent(lab, sent)
        connection.execute("rollback to s")
        connection.execute("insert into u select g, 'open' from generate_series(5000, 8000) g")
        wait_until_sent(lab, sent)
        lab.execute("insert into u values (3, 'c', 7)")
        connection.execute("commit")
    lab.execute("insert into u values (4, 'd', 8)")
    lab.catch_up()
    lab.wait_until_streaming()
    assert lab.assert_equal("t", COLUMNS) == 3000
    assert lab.assert_equal("u", "id, v, w") == 3005


def test_truncate_and_left_out_values_within(streaming: Lab) -> None:
    lab = streaming
    lab.execute(f"insert into t values (1, 'old', 'x'), (2, 'old', {BIG})")
    lab.catch_up()
    lab.execute(
        f"begin; update t set status = 'changed' where id = 2; insert into t values (3, 'new', {BIG}); "
        f"update t set status = 'again', id = 4 where id = 3; {fill(10).decode()}; commit"
    )
    lab.catch_up()
    assert lab.assert_equal("t", COLUMNS) == 3003
    lab.execute(f"begin; {fill(10_000).decode()}; truncate t; {fill(5).decode()}; commit")
    lab.catch_up()
    assert lab.assert_equal("t", COLUMNS) == 3000


def test_killed_while_one_is_open(eager: Lab) -> None:
    """What an ended process held of it is sent again, and its files are gone with it."""
    lab = eager
    with lab.mirror_process() as mirror, lab.connect() as connection:
        mirror.start()
        lab.wait_until_streaming()
        connection.execute("begin")
        connection.execute(fill(1, 20_000))
        wait_until_sent(lab)
        files = Path(f"/proc/{mirror.pid}/fd")
        wait_for(
            lambda: any("/mirror/" in str(file.readlink()) for file in files.iterdir()),
            10,
            "the transaction is in a file",
        )
        lab.execute("insert into t values (0, 'small', 'after')")
        lab.catch_up()
        mirror.kill()
        mirror.start()
        connection.execute(fill(50_000))
        connection.execute("delete from t where id <= 100 and id > 0")
        lab.execute("insert into t values (200000, 'small', 'after')")
        lab.catch_up()
        assert lab.copied("t", "id") == [(0,), (200_000,)]
        connection.execute("commit")
        lab.catch_up()
        assert lab.assert_equal("t", COLUMNS) == 22_902
        assert lab.query(f"SELECT count() - uniqExact(_version) FROM {DATABASE}.t__history FINAL") == [(0,)]
