"""Sources that cannot be continued: lost, restored, promoted. Each stops loudly; `--resnapshot` repairs it in place."""

import threading

import pytest

from orchestration.source.embedded import EmbeddedPostgres
from tests.integration.mirror.harness import DATABASE, Lab, Warehouse, every_server
from tests.waiting import wait_for

TABLE = "create table t (id int primary key, n int not null)"
FILL = "insert into t select g, 0 from generate_series(1, 1000) g"


class Reader:
    """Reads a copy without pause and remembers the fewest rows that it ever saw."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.fewest = 10**9
        self.error: Exception | None = None
        self._client = warehouse.client()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join(20)
        self._client.close()

    def _run(self) -> None:
        try:
            while not self._stop.wait(0.01):
                rows = self._client.query(f"SELECT count() FROM {DATABASE}.t FINAL").result_rows
                self.fewest = min(self.fewest, rows[0][0])
        except Exception as error:
            self.error = error


def repair(lab: Lab, rows: int) -> None:
    """Copy everything again while someone reads, and see that changes arrive afterwards."""
    reader = Reader(lab.warehouse)
    with lab.mirror(resnapshot=True):
        lab.wait_until_streaming()
        lab.execute("update t set n = n + 1 where id <= 3")
        lab.catch_up()
        assert lab.assert_equal("t", "id, n") == rows
    reader.close()
    assert reader.error is None
    assert reader.fewest >= min(rows, 1000)
    with lab.mirror():
        lab.wait_until_streaming()
        lab.execute("update t set n = n + 1 where id <= 3", "delete from t where id = 4")
        lab.catch_up()
        assert lab.assert_equal("t", "id, n") == rows - 1


@every_server
def test_slot_that_lost_its_wal(restartable_lab: Lab) -> None:
    """T29: the server threw away what the mirror had not read."""
    lab = restartable_lab
    lab.execute(TABLE, FILL)
    lab.publish("t")
    with lab.mirror():
        lab.wait_until_streaming()
    lab.execute(
        "alter system set max_slot_wal_keep_size = '1MB'",
        "alter system set max_wal_size = '32MB'",
        "alter system set min_wal_size = '32MB'",
        "select pg_reload_conf()",
        "create table filler (a text)",
    )

    def lost() -> bool:
        lab.execute(
            "insert into filler select repeat('x', 1000) from generate_series(1, 20000)",
            "select pg_switch_wal()",
            "checkpoint",
        )
        return lab.rows("pg_replication_slots", "wal_status", "1") == [("lost",)]

    wait_for(lost, 60, "the slot is lost")
    lab.execute("insert into t values (1001, 1)", "delete from t where id = 1000")
    with lab.mirror() as mirror:
        error = mirror.failure()
        assert "was cut off by the source" in error.message
        assert "--resnapshot" in error.remedy
        assert lab.state() == "stalled"
    lab.execute("alter system reset max_slot_wal_keep_size", "select pg_reload_conf()")
    repair(lab, 1000)


@every_server
def test_standby_is_waited_for_and_its_promotion_stops_the_mirror(
    restartable_lab: Lab, own_postgres: EmbeddedPostgres
) -> None:
    """T35, T38: nothing is decoded on a standby; after its promotion the copy may hold what never happened."""
    lab = restartable_lab
    lab.execute(TABLE, FILL)
    lab.publish("t")
    with lab.mirror():
        lab.wait_until_streaming()
    own_postgres.stop()
    (own_postgres.data_dir / "standby.signal").touch()
    own_postgres.start()
    lab.source = lab.connect()
    with lab.mirror() as mirror:
        wait_for(lambda: lab.state() == "stalled", 20, "the standby is told")
        detail = lab.query(f"SELECT detail FROM {DATABASE}.mirror_status FINAL WHERE slot = '{lab.slot}'")[0][0]
        assert "is a standby" in detail
        lab.execute("select pg_promote()")
        error = mirror.failure()
        assert "was promoted or restored since (timeline 2 instead of 1)" in error.message
        assert "--resnapshot" in error.remedy
    repair(lab, 1000)


@every_server
def test_another_server_under_the_same_address(
    restartable_lab: Lab, own_postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """T37: restored from a dump, its WAL is shorter: its changes must win over what is here all the same."""
    lab = restartable_lab
    lab.execute(TABLE, FILL, "update t set n = 7", "select pg_switch_wal()", "update t set n = 8")
    lab.publish("t")
    with lab.mirror():
        lab.wait_until_streaming()
        lab.execute("select pg_switch_wal()", "update t set n = 9", "delete from t where id = 1")
        lab.catch_up()
    highest = lab.query(f"SELECT max(_version) FROM {DATABASE}.t")[0][0]
    own_postgres.stop()
    directory = tmp_path_factory.mktemp("restored") / "postgres"
    restored = EmbeddedPostgres(directory, own_postgres.port, major=own_postgres.major)
    restored.start()
    try:
        lab.dsn = restored.dsn("torghut")
        lab.source = lab.connect()
        lab.execute(TABLE, FILL)
        lab.publish("t")
        lab.execute(f"select pg_create_logical_replication_slot('{lab.slot}', 'pgoutput')")
        assert lab.wal_end() < highest
        with lab.mirror() as mirror:
            error = mirror.failure()
            assert "is another server than the one that was copied" in error.message
            assert "--resnapshot" in error.remedy
        lab.execute("delete from t where id = 900")
        repair(lab, 999)
        assert lab.query(f"SELECT count() FROM {DATABASE}.t FINAL WHERE _version <= {highest}") == [(0,)]
    finally:
        restored.stop()


def test_publication_dropped_while_streaming(lab: Lab) -> None:
    """T30: a publication that is made again is another one; what happened without it was not sent."""
    lab.execute(TABLE, FILL)
    lab.publish("t")
    with lab.mirror() as mirror:
        lab.wait_until_streaming()
        with lab.connect() as connection, connection.transaction():
            connection.execute(f"drop publication {lab.slot}".encode())
            connection.execute("insert into t values (1001, 1)")
            connection.execute(f"create publication {lab.slot} for table t".encode())
        error = mirror.failure()
        assert "was dropped" in error.message
        assert "--resnapshot" in error.remedy
    repair(lab, 1001)


def test_slot_dropped_while_the_mirror_waits(lab: Lab) -> None:
    """T30: a slot that is dropped and made again between two sessions is behind nothing, and yet a gap."""
    lab.execute(TABLE, FILL)
    lab.publish("t")
    with lab.mirror():
        lab.wait_until_streaming()
    lab.execute(
        f"select pg_drop_replication_slot('{lab.slot}')",
        "delete from t where id = 1",
        f"select pg_create_logical_replication_slot('{lab.slot}', 'pgoutput')",
    )
    with lab.mirror() as mirror:
        assert "made again or advanced by somebody else" in mirror.failure().message
    repair(lab, 999)
