"""Crashes and gaps: nothing lost, nothing doubled, and what cannot be continued stops with what to do."""

import random
import time
from threading import Event, Thread

import psycopg
import pytest

from orchestration.source.embedded import EmbeddedPostgres
from tests.integration.mirror.harness import DATABASE, Lab
from tests.waiting import wait_for

TABLE = "create table t (id int primary key, n int not null, doc text)"
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
            except psycopg.Error:
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
    assert lab.assert_equal("t", "id, n, doc") > 0
    assert lab.assert_equal("log", "id, t_id, n") > 0
    doubled = lab.query(f"SELECT count() - uniqExact(id) FROM {DATABASE}.log__history FINAL WHERE _op != 'snapshot'")
    assert doubled == [(0,)]
    newest = lab.query(f"SELECT max(applied), uniqExact(applied) = count() FROM {DATABASE}.mirror_checkpoint")[0]
    assert newest[1] == 1
    assert lab.query(f"SELECT max(_applied) <= {newest[0]} FROM {DATABASE}.log") == [(1,)]


@pytest.mark.xfail(
    reason="row count wrong after kills around the first copy of a table: 2 of 8 runs, cause unknown", strict=False
)
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


def test_follower_takes_over(lab: Lab) -> None:
    lab.execute(TABLE)
    lab.publish("t")
    with lab.mirror_process() as leader:
        leader.start()
        lab.wait_until_streaming()
        with lab.mirror():
            follower = f"SELECT state FROM {DATABASE}.mirror_status FINAL WHERE slot = '{lab.slot}:follower'"
            wait_for(lambda: lab.query(follower) == [("follower",)], 20, "the second mirror follows")
            assert lab.state() == "streaming"
            leader.kill()
            lab.execute("insert into t values (1, 1, 'x')")
            lab.catch_up(15)
            assert lab.assert_equal("t", "id, n, doc") == 1


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
