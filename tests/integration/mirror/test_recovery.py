"""Crashes and gaps: nothing lost, nothing doubled, and what cannot be continued stops with what to do."""

import random
import time
from threading import Event, Thread
from typing import Any

import psycopg
import pytest

from orchestration.mirror.copier import Copier
from orchestration.mirror.heartbeat import Heartbeat
from orchestration.mirror.replication import ReplicationStream
from orchestration.mirror.resync import Resyncer
from orchestration.source.embedded import EmbeddedPostgres
from tests.integration.mirror.harness import DATABASE, Lab, every_server
from tests.waiting import wait_for

TABLE = "create table t (id int primary key, n int not null, doc text)"
BIG = "(select string_agg(md5(g::text || random()::text), '') from generate_series(1, 400) g)"
LOG = "create table log (id bigserial primary key, t_id int, n int)"


class Workload:
    """Random transactions in a thread. `log` gets a row for each committed row of `t`, in the same transaction."""

    def __init__(self, lab: Lab, seed: int) -> None:
        self._lab = lab
        self._random = random.Random(seed)
        self._stop = Event()
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Stop after the transaction at hand."""
        self._stop.set()
        self._thread.join(20)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with self._lab.connect() as connection:
                    while not self._stop.wait(0.002):
                        self._transaction(connection)
            except (psycopg.Error, psycopg.Rollback):
                # The server restarts; what was not committed is nowhere.
                self._stop.wait(0.05)

    def _transaction(self, connection: psycopg.Connection) -> None:
        pick = self._random
        with connection.transaction():
            for _ in range(pick.choice([1, 1, 2, 5, 300])):
                row, value = pick.randrange(400), pick.randrange(1_000_000)
                what = pick.random()
                if what < 0.45:
                    connection.execute(
                        "insert into t values (%s, %s, (select string_agg(md5(g::text || random()), '') "
                        "from generate_series(1, %s) g)) on conflict (id) do update set n = excluded.n",
                        (row, value, pick.choice([1, 90])),
                    )
                elif what < 0.8:
                    connection.execute("update t set n = %s where id = %s", (value, row))
                elif what < 0.9:
                    connection.execute("delete from t where id = %s", (row,))
                else:
                    connection.execute(
                        "update t set id = %s where id = %s and not exists (select 1 from t where id = %s)",
                        (row + 1000, row, row + 1000),
                    )
                connection.execute("insert into log (t_id, n) values (%s, %s)", (row, value))
            if pick.random() < 0.1:
                raise psycopg.Rollback


def assert_exact(lab: Lab) -> None:
    """Both tables equal, history without doubles, every batch checkpointed, versions strictly the source's."""
    lab.catch_up(60)
    # A checkpoint speaks of the stream; tables that an interrupted start left behind are copied meanwhile.
    lab.wait_until_streaming()
    assert lab.assert_equal("t", "id, n, doc") > 0
    assert lab.assert_equal("log", "id, t_id, n") > 0
    doubled = lab.query(f"SELECT count() - uniqExact(id) FROM {DATABASE}.log__history FINAL WHERE _op != 'snapshot'")
    assert doubled == [(0,)]
    newest = lab.query(f"SELECT max(applied), uniqExact(applied) = count() FROM {DATABASE}.mirror_checkpoint")[0]
    assert newest[1] == 1
    assert lab.query(f"SELECT max(_applied) <= {newest[0]} FROM {DATABASE}.log") == [(1,)]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_killed_mirror(lab: Lab, seed: int) -> None:
    pick = random.Random(seed)
    lab.execute(TABLE, LOG, "insert into t select g, 0, 'seed' from generate_series(1, 50) g")
    lab.publish("t", "log")
    workload = Workload(lab, seed)
    with lab.mirror_process() as mirror:
        for _ in range(3):
            mirror.start()
            # From before the slot exists to the middle of the stream.
            time.sleep(pick.uniform(0.8, 2.5))
            mirror.kill()
        mirror.start()
        wait_for(lambda: lab.mark() > 0, 30, "the mirror is back")
        workload.finish()
        assert_exact(lab)
        assert mirror.terminate() == 0
        assert lab.state() == "stopped"


class Crash(Exception):
    """Ends a mirror of this process at a chosen point, as a kill would."""


def crash_at(lab: Lab, owner: type, method: str) -> None:
    """Run a mirror until it calls `method`, and end it there."""

    def crash(*_: object) -> None:
        raise Crash

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, method, crash)
        with lab.mirror() as mirror:
            wait_for(lambda: isinstance(mirror.error, Crash), 20, f"the mirror crashes at {method}")
    # What it reported last is not true of the next one.
    lab.client.command(f"TRUNCATE TABLE {DATABASE}.mirror_status")


def copied_while_streaming(lab: Lab) -> None:
    """Have a slot, and `t` such that the next mirror copies it beside the stream: rewritten before its first copy."""
    crash_at(lab, Copier, "copy")
    lab.execute("vacuum full t")


def test_second_copy_awaits_the_newest_transaction(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The copy after a crash is newer than what an open transaction has written, so it must not be without it."""
    lab.execute(TABLE, "insert into t select g, 0, 'seed' from generate_series(1, 5) g")
    lab.publish("t")
    copied_while_streaming(lab)
    # A heartbeat would be a newer transaction that has ended.
    monkeypatch.setattr(Heartbeat, "_beat", lambda self, _: self._stop.wait())
    with lab.connect() as busy:
        busy.execute("begin")
        busy.execute("update t set n = 7 where id = 1")
        busy.execute("delete from t where id = 2")
        busy.execute("insert into t values (6, 0, 'new')")
        with lab.mirror():
            wait_for(lambda: lab.state() == "snapshotting", 10, "the copy waits for the open transaction")
            busy.execute("commit")
            columns = "id, n, doc"
            wait_for(lambda: lab.copied("t", columns) == lab.rows("t", columns), 10, "the table is copied")


def test_nothing_more_is_complete_while_a_table_waits_to_be_copied(lab: Lab) -> None:
    lab.execute(TABLE)
    lab.publish("t")
    copied_while_streaming(lab)

    def watermark() -> str:
        return str(lab.client.command("select max(watermark) from torghut_raw.mirror_checkpoint"))

    with lab.connect() as busy:
        busy.execute("begin")
        busy.execute("select pg_current_xact_id()")
        with lab.mirror():
            wait_for(lambda: lab.state() == "snapshotting", 10, "the copy waits for the open transaction")
            before = watermark()
            lab.execute("insert into t values (1, 0, 'new')")
            lab.catch_up()
            assert watermark() == before
            busy.execute("rollback")
            wait_for(lambda: watermark() > before, 10, "the whole is complete again")


def test_left_out_values_of_rows_that_were_never_copied(lab: Lab) -> None:
    """They come from the source, where the row has a new key by now, and its old key may be another row's."""
    lab.execute(TABLE, f"insert into t select g, 0, {BIG} from generate_series(1, 4) g")
    lab.publish("t")
    copied_while_streaming(lab)
    with lab.connect() as busy:
        busy.execute("begin")
        busy.execute("select pg_current_xact_id()")
        with lab.mirror():
            wait_for(lambda: lab.state() == "snapshotting", 10, "the copy waits for the open transaction")
            lab.execute(
                "begin; update t set n = 1; update t set id = 100 + id where id <= 2; "
                "update t set id = 200 where id = 102; delete from t where id = 3; "
                f"insert into t values (1, 0, {BIG}); commit"
            )
            lab.catch_up()
            busy.execute("rollback")
            lab.wait_until_streaming()
            assert lab.assert_equal("t", "id, n, doc") == 4


def test_left_out_values_of_a_row_that_is_copied_before_its_change_arrives(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row is copied under its new key, and its old key is another row's, when the change of the key is read."""
    lab.execute(TABLE, f"insert into t select g, 0, {BIG} from generate_series(1, 2) g")
    lab.publish("t")
    copied_while_streaming(lab)
    copy = Resyncer._copy

    def copy_behind(self: Resyncer, *request: Any) -> None:
        lab.execute("update t set id = 101 where id = 1", f"insert into t values (1, 0, {BIG})")
        copy(self, *request)

    monkeypatch.setattr(Resyncer, "_copy", copy_behind)
    with lab.mirror():
        lab.wait_until_streaming()
        lab.catch_up()
        assert lab.assert_equal("t", "id, n, doc") == 3


def test_a_row_that_only_the_history_has_gets_its_end(lab: Lab) -> None:
    """The warehouse died in the middle of the insert of a copy, between the two tables."""
    lab.execute(TABLE, "insert into t values (1, 0, 'a'), (2, 0, 'b')")
    lab.publish("t")
    with lab.mirror():
        lab.wait_until_streaming()
        lab.catch_up()
    lab.client.command(f"ALTER TABLE {DATABASE}.t DELETE WHERE id = 2 SETTINGS mutations_sync = 1")
    lab.execute("truncate t", "insert into t values (3, 0, 'c')")
    newest = f"SELECT argMax(_deleted, _version) FROM {DATABASE}.t__history WHERE id IN (1, 2) GROUP BY id"
    with lab.mirror():
        lab.wait_until_streaming()
        lab.catch_up()
        wait_for(lambda: lab.query(newest) == [(1,), (1,)], 20, "both rows have their end in the history")


def test_the_mark_never_goes_back(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Although a restart reads again what was not acknowledged: a slot ahead of the mark would count as a gap."""
    lab.execute(TABLE)
    lab.publish("t")
    with monkeypatch.context() as patch, lab.mirror():
        patch.setattr(ReplicationStream, "acknowledge", lambda *_: None)
        lab.wait_until_streaming()
        for n in range(5):
            lab.execute(f"insert into t values ({n}, 0, '')")
            lab.catch_up()
    before = lab.mark()
    with lab.mirror():
        lab.wait_until_streaming()
        lab.execute("insert into t values (5, 0, '')")
        lab.catch_up()
    marks = [lsn for (lsn,) in lab.query(f"SELECT lsn FROM {DATABASE}.mirror_checkpoint ORDER BY applied")]
    assert before in marks[:-1]
    assert marks == sorted(marks)


def test_left_out_values_of_several_updates_in_one_batch(lab: Lab) -> None:
    """The history has none of them yet when it is asked; the last one leaves out what the first one changed as well."""
    lab.execute("create table t (id int primary key, n int, doc text, doc2 text)")
    lab.execute(f"insert into t values (1, 0, {BIG}, {BIG}), (2, 0, {BIG}, {BIG})")
    lab.publish("t")
    with lab.mirror():
        lab.wait_until_streaming()
        lab.execute(
            f"begin; update t set doc2 = {BIG}; update t set n = 1; update t set id = id + 10; update t set n = 2;"
            f" delete from t where id = 12; insert into t values (12, 3, {BIG}, {BIG}); update t set n = 4; commit"
        )
        lab.catch_up()
        lab.assert_equal("t", "id, n, doc, doc2")
        hashes = "n, cityHash64(doc), cityHash64(doc2)"
        rows = lab.query(
            f"SELECT {hashes} FROM {DATABASE}.t__history FINAL WHERE id IN (1, 11) AND NOT _deleted ORDER BY _version"
        )
    assert [n for n, _, _ in rows] == [0, 0, 1, 1, 2, 4]
    assert len({doc for _, doc, _ in rows}) == 1
    assert len({doc2 for _, _, doc2 in rows[1:]}) == 1
    assert rows[0][2] != rows[1][2]


def test_left_out_values_of_a_whole_table(lab: Lab) -> None:
    """An UPDATE of every row, as a migration does: more than one query can ask for."""
    doc = "(select string_agg(md5(g::text || h::text), '') from generate_series(1, 90) h)"
    lab.execute(TABLE, f"insert into t select g, 0, {doc} from generate_series(1, 5000) g")
    lab.publish("t")
    with lab.mirror():
        lab.wait_until_streaming()
        lab.execute("update t set n = 1")
        lab.catch_up()
        hashes = "id, n, lower(hex(MD5(doc)))"
        assert lab.copied("t", hashes) == lab.rows("t", "id, n, md5(doc)")


def test_left_out_values_are_not_those_of_a_later_row(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy that overtook the stream has another row under the key by then."""
    lab.execute(TABLE, f"insert into t values (1, 0, {BIG})")
    lab.publish("t")
    copy = Resyncer._copy

    def copy_behind(self: Resyncer, *request: Any) -> None:
        lab.execute("update t set n = 1", "delete from t", f"insert into t values (1, 2, {BIG})")
        copy(self, *request)

    with lab.mirror():
        lab.wait_until_streaming()
        monkeypatch.setattr(Resyncer, "_copy", copy_behind)
        lab.execute("vacuum full t")
        query = f"SELECT n, cityHash64(doc) FROM {DATABASE}.t__history FINAL WHERE _op != 'delete' ORDER BY _version"
        wait_for(lambda: any(n == 2 for n, _ in lab.query(query)), 20, "the table is copied again")
        lab.wait_until_streaming()
        lab.catch_up()
        docs = dict(lab.query(query))
    assert set(docs) == {0, 1, 2}
    assert docs[1] == docs[0] != docs[2]


def test_killed_warehouse(lab: Lab) -> None:
    lab.execute(TABLE, LOG)
    lab.publish("t", "log")
    with lab.mirror():
        lab.wait_until_streaming()
        workload = Workload(lab, 3)
        for _ in range(2):
            wait_for(lambda: len(lab.copied("log", "id", "id LIMIT 20")) == 20, 20, "rows arrive")
            lab.warehouse.kill()
            lab.warehouse.start()
        workload.finish()
        assert_exact(lab)


@every_server
def test_restarted_postgres(restartable_lab: Lab, own_postgres: EmbeddedPostgres) -> None:
    lab = restartable_lab
    lab.execute(TABLE, LOG)
    lab.publish("t", "log")
    with lab.mirror():
        lab.wait_until_streaming()
        workload = Workload(lab, 4)
        wait_for(lambda: len(lab.copied("log", "id", "id LIMIT 20")) == 20, 20, "rows arrive")
        started = time.monotonic()
        own_postgres.stop()
        # A server in a fast shutdown waits for its replicas: ours must answer at once.
        assert time.monotonic() - started < 5
        wait_for(lambda: lab.state() == "stalled", 10, "the failure is reported")
        own_postgres.start()
        lab.source = lab.connect()
        wait_for(lambda: lab.state() == "streaming", 20, "the mirror is back")
        workload.finish()
        assert_exact(lab)


@every_server
def test_dropped_slot_stops_and_resnapshot_repairs(lab: Lab) -> None:
    lab.execute(TABLE, "insert into t select g, g, 'x' from generate_series(1, 20) g")
    lab.publish("t")
    with lab.mirror():
        lab.wait_until_streaming()
        lab.execute("update t set n = 7 where id < 5")
        lab.catch_up()
    lab.execute(
        f"select pg_drop_replication_slot('{lab.slot}')",
        "update t set n = 8 where id < 3",
        "delete from t where id = 10",
        "insert into t values (99, 1, 'in the gap')",
    )
    with lab.mirror() as mirror:
        error = mirror.failure()
        assert "gone" in error.message
        assert "--resnapshot" in error.remedy
        assert lab.state() == "stalled"
    # Made again by somebody else under the same name: the same gap, silently.
    lab.execute(f"select pg_create_logical_replication_slot('{lab.slot}', 'pgoutput')")
    with lab.mirror() as mirror:
        assert "the copy ends at" in mirror.failure().message
    before = lab.query(f"SELECT max(applied) FROM {DATABASE}.mirror_checkpoint")[0][0]
    with lab.mirror(resnapshot=True):
        lab.wait_until_streaming()
        lab.execute("update t set n = 9 where id = 1")
        lab.catch_up()
        assert lab.assert_equal("t", "id, n, doc") == 20
    assert lab.query(f"SELECT min(_applied) > {before} FROM {DATABASE}.t FINAL") == [(1,)]
    with lab.mirror():
        lab.wait_until_streaming()
        lab.execute("update t set n = 10 where id = 1")
        lab.catch_up()
        assert lab.assert_equal("t", "id, n, doc") == 20


def test_emptied_warehouse_and_missing_copy(lab: Lab) -> None:
    lab.execute(TABLE, "insert into t values (1, 1, 'x')")
    lab.publish("t")
    with lab.mirror():
        lab.wait_until_streaming()
    lab.client.command(f"DROP TABLE {DATABASE}.t SYNC")
    with lab.mirror() as mirror:
        assert "lost copies: t" in mirror.failure().message
    lab.client.command(f"DROP DATABASE {DATABASE} SYNC")
    with lab.mirror() as mirror:
        assert "no record of it" in mirror.failure().message
    with lab.mirror(resnapshot=True):
        lab.wait_until_streaming()
        assert lab.assert_equal("t", "id, n, doc") == 1


@every_server
def test_dropped_publication(lab: Lab) -> None:
    lab.execute(TABLE)
    lab.publish("t")
    with lab.mirror():
        lab.wait_until_streaming()
    lab.execute(f"drop publication {lab.slot}", "insert into t values (1, 1, 'x')")
    lab.publish("t")
    with lab.mirror() as mirror:
        error = mirror.failure()
        assert "was dropped" in error.message
        assert "--resnapshot" in error.remedy


@every_server
def test_idle_source_is_complete_and_pins_no_wal(lab: Lab) -> None:
    lab.execute(TABLE, "create table foreign_table (a int, b text)")
    lab.publish("t")
    with lab.mirror():
        lab.wait_until_streaming()
        lab.execute("insert into foreign_table select g, repeat('x', 100) from generate_series(1, 10000) g")
        now = lab.source.execute("select (extract(epoch from clock_timestamp()) * 1000000)::bigint").fetchone()
        assert now is not None
        watermark = f"SELECT max(toUnixTimestamp64Micro(watermark)) >= {now[0]} FROM {DATABASE}.mirror_checkpoint"
        wait_for(lambda: lab.query(watermark) == [(1,)], 10, "the watermark passes")
        lag = (
            "select pg_current_wal_lsn() - confirmed_flush_lsn < 100000 from pg_replication_slots "
            f"where slot_name = '{lab.slot}'"
        )
        wait_for(lambda: lab.source.execute(lag.encode()).fetchone() == (True,), 15, "the slot moves")


def test_copy_goes_on_when_the_source_was_away(
    restartable_lab: Lab, own_postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy opens a connection of its own: that it is refused ends nothing."""
    lab = restartable_lab
    lab.execute(TABLE, "insert into t select g, 0, 'seed' from generate_series(1, 5) g")
    lab.publish("t")
    copy = Resyncer._copy
    away: list[bool] = []

    def copy_without_source(self: Resyncer, *request: Any) -> None:
        if not away:
            own_postgres.stop()
            away.append(True)
        copy(self, *request)

    monkeypatch.setattr(Resyncer, "_copy", copy_without_source)
    with lab.mirror() as mirror:
        lab.wait_until_streaming()
        lab.execute("alter table t alter column n type bigint", "update t set n = 1")
        wait_for(lambda: lab.state() == "stalled", 30, "the failure is reported")
        own_postgres.start()
        lab.wait_until_streaming()
        assert mirror.error is None
    lab.source = lab.connect()
    assert lab.assert_equal("t", "id, n, doc") == 5
