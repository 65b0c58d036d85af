"""Every kind of change arrives exactly: rows, keys, left-out values, truncates, transactions, history."""

import threading
from typing import Any

import pytest

from tests.integration.mirror.harness import DATABASE, Lab, every_server

BIG = "(select string_agg(md5(g::text || random()::text), '') from generate_series(1, 400) g)"


@pytest.fixture
def streaming(lab: Lab) -> Any:
    lab.execute("create table t (id int primary key, status text, doc text, n numeric(20,8))")
    lab.publish("t")
    with lab.mirror():
        lab.wait_until_streaming()
        yield lab


COLUMNS = "id, status, doc, n"


@every_server
def test_insert_update_delete(streaming: Lab) -> None:
    streaming.execute(
        r"insert into t values (1, E'tab\there\nnl\r\\back\\N', '', 1.5), (2, null, 'x', null), (3, 'c', '\N', 0.1)",
        "update t set status = 'changed', n = 2.00000001 where id = 1",
        "delete from t where id = 2",
    )
    streaming.catch_up()
    assert streaming.assert_equal("t", COLUMNS) == 2
    history = streaming.query(f"SELECT id, _op, _deleted FROM {DATABASE}.t__history FINAL ORDER BY id, _version")
    assert history == [(1, "insert", 0), (1, "update", 0), (2, "insert", 0), (2, "delete", 1), (3, "insert", 0)]
    # A tombstone invents nothing, even for readers without FINAL.
    assert streaming.query(f"SELECT status, doc, n FROM {DATABASE}.t WHERE _deleted = 1") == [(None, None, None)]


@every_server
def test_left_out_values(streaming: Lab) -> None:
    streaming.execute(
        f"insert into t values (1, 'new', {BIG}), (2, 'new', {BIG}), (3, 'new', {BIG}), (4, 'new', {BIG})",
    )
    streaming.catch_up()
    streaming.execute(
        "update t set status = 'filled' where id = 1",
        # Two in one transaction, and one right after an insert.
        f"begin; update t set status = 'b' where id = 2; update t set status = 'c' where id = 2; "
        f"insert into t values (5, 'a', {BIG}); update t set status = 'z' where id = 5; commit",
        # The key changes as well: the value is known under the old key only.
        "update t set id = 30 where id = 3",
        "update t set status = 'moved' where id = 30",
    )
    streaming.catch_up()
    assert streaming.assert_equal("t", COLUMNS) == 5


def test_left_out_values_of_a_past_session(lab: Lab) -> None:
    """Nothing is in memory: values come from the history, each from before its own change."""
    lab.execute("create table t (id int primary key, status text, doc text)")
    lab.publish("t")
    lab.execute(f"insert into t select g, 'new', {BIG} from generate_series(1, 5) g")
    with lab.mirror():
        lab.wait_until_streaming()
    lab.execute(
        "update t set status = 'one'",
        "update t set id = id + 100 where id <= 2",
        "update t set status = 'two' where id > 100",
        f"update t set doc = {BIG} || id where id = 3",
        "update t set status = 'three' where id = 3",
    )
    with lab.mirror():
        lab.wait_until_streaming()
        lab.catch_up()
    assert lab.assert_equal("t", "id, status, doc") == 5
    versions = lab.query(
        f"SELECT countDistinct(doc) FROM {DATABASE}.t__history FINAL WHERE _deleted = 0 GROUP BY id ORDER BY id"
    )
    assert versions == [(1,), (1,), (2,), (1,), (1,), (1,), (1,)]


def test_left_out_values_of_a_row_that_takes_a_deleted_key(lab: Lab) -> None:
    """What the history has newest under the key is a tombstone, and a tombstone knows no values."""
    lab.execute("create table t (id int primary key, status text, doc text)")
    lab.publish("t")
    lab.execute(f"insert into t select g, 'new', {BIG} from generate_series(1, 2) g")
    with lab.mirror():
        lab.wait_until_streaming()
        lab.execute("delete from t where id = 2")
        lab.catch_up()
    lab.execute("begin; update t set id = 2 where id = 1; update t set status = 'moved' where id = 2; commit")
    with lab.mirror():
        lab.wait_until_streaming()
        lab.catch_up()
    assert lab.assert_equal("t", "id, status, doc") == 1


@every_server
def test_key_change_and_reuse(streaming: Lab) -> None:
    streaming.execute(
        "insert into t values (1, 'a'), (2, 'b')",
        "update t set id = 10 where id = 1",
        "begin; insert into t values (7, 'v1'); update t set status = 'v2' where id = 7; delete from t where id = 7; "
        "insert into t values (7, 'v5'); commit",
        "begin; update t set id = 99 where id = 2; update t set id = 2 where id = 10; "
        "update t set id = 10 where id = 99; commit",
    )
    streaming.catch_up()
    assert streaming.assert_equal("t", COLUMNS) == 3


@every_server
def test_truncate_in_order(streaming: Lab) -> None:
    streaming.execute(
        "insert into t select g, 'old' from generate_series(1, 10) g",
        "begin; insert into t values (20, 'inside'); truncate t; insert into t values (21, 'after'), (5, 'again'); "
        "commit",
    )
    streaming.catch_up()
    assert streaming.assert_equal("t", COLUMNS) == 2


@every_server
def test_rollback_and_savepoint(streaming: Lab) -> None:
    streaming.execute(
        "begin; insert into t values (9, 'never'); rollback",
        "begin; insert into t values (1, 'a'); savepoint s; insert into t values (2, 'b'); rollback to s; "
        "insert into t values (3, 'c'); commit",
    )
    streaming.catch_up()
    assert streaming.assert_equal("t", COLUMNS) == 2


@every_server
def test_commit_order_is_not_lsn_order(streaming: Lab) -> None:
    other = streaming.connect()
    other.execute("begin")
    other.execute("insert into t values (1, 'early lsn')")
    streaming.execute("insert into t values (2, 'commits first')")
    streaming.catch_up()
    before = streaming.query(f"SELECT max(applied) FROM {DATABASE}.mirror_checkpoint")[0][0]
    other.execute("commit")
    other.close()
    streaming.catch_up()
    assert streaming.assert_equal("t", COLUMNS) == 2
    # What commits later is in a later batch, whatever its LSN.
    assert streaming.query(f"SELECT _applied > {before} FROM {DATABASE}.t FINAL WHERE id = 1") == [(1,)]


@every_server
def test_replica_identity_full_and_index(lab: Lab) -> None:
    lab.execute(
        "create table f (id int primary key, status text, doc text)",
        "alter table f replica identity full",
        "create table i (id int primary key, a int not null, b int not null, v text)",
        "create unique index i_ab on i (b, a)",
        "alter table i replica identity using index i_ab",
    )
    lab.publish("f", "i")
    with lab.mirror():
        lab.wait_until_streaming()
        lab.execute(
            f"insert into f values (1, 'a', {BIG}), (2, 'b', {BIG}), (3, 'c', 'x')",
            "update f set status = 'z' where id = 1",
            "update f set id = 20 where id = 2",
            "delete from f where id = 3",
            "insert into i values (1, 1, 1, 'x'), (2, 1, 2, 'y')",
            "update i set v = 'z', id = 5 where id = 1",
            "update i set b = 7 where id = 2",
        )
        lab.catch_up()
        assert lab.assert_equal("f", "id, status, doc") == 2
        assert lab.assert_equal("i", "id, a, b, v") == 2


def test_snapshot_and_stream_under_concurrent_writers(lab: Lab) -> None:
    """Rows written before, while and after the snapshot is taken are there once, in their newest form."""
    lab.execute("create table t (id int primary key, n int not null)")
    lab.publish("t")
    lab.execute("insert into t select g, 0 from generate_series(1, 2000) g")
    stop = threading.Event()

    def write(seed: int) -> None:
        connection = lab.connect()
        step = 0
        # A pause, so that three busy writers leave the mirror in this process its share of the interpreter.
        while not stop.wait(0.002):
            step += 1
            connection.execute("begin")
            # Each writer has rows of its own: no deadlocks.
            connection.execute("update t set n = n + 1 where id %% 300 = %s", (step % 100 * 3 + seed - 1,))
            connection.execute("insert into t values (%s, 1)", (seed * 1_000_000 + step,))
            if step % 5 == 0:
                connection.execute("delete from t where id = %s", (seed * 1_000_000 + step - 3,))
            connection.execute("rollback" if step % 7 == 0 else "commit")
        connection.close()

    writers = [threading.Thread(target=write, args=(seed,)) for seed in (1, 2, 3)]
    for writer in writers:
        writer.start()
    try:
        with lab.mirror():
            lab.wait_until_streaming()
            lab.catch_up()
            stop.set()
            for writer in writers:
                writer.join()
            lab.catch_up()
            assert lab.assert_equal("t", "id, n") > 2000
    finally:
        stop.set()


@every_server
def test_big_transaction_in_bounded_pieces(streaming: Lab) -> None:
    """A transaction over the batch limit is inserted in pieces, but gets one checkpoint."""
    streaming.execute(
        "begin; insert into t select g, 'x', repeat('y', 1000) from generate_series(1, 40000) g; "
        "update t set status = 'last' where id <= 10; commit"
    )
    streaming.catch_up(60)
    assert streaming.query(f"SELECT count(), countIf(status = 'last') FROM {DATABASE}.t FINAL") == [(40000, 10)]
    first, last = streaming.query(f"SELECT min(_applied), max(_applied) FROM {DATABASE}.t")[0]
    inside = f"SELECT count() FROM {DATABASE}.mirror_checkpoint WHERE applied BETWEEN {first} AND {last}"
    assert streaming.query(inside) == [(0,)]
