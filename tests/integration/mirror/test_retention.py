"""How long the histories keep a version, and that the mirror does without those that are gone."""

import hashlib

from tests.integration.mirror.harness import DATABASE, Lab
from tests.waiting import wait_for

TABLE = "create table t (id int primary key, n int, doc text)"
DAYS = {"JANGAR_QUANT_MIRROR_HISTORY_DAYS": 30}


def definition(lab: Lab, table: str = "t__history") -> str:
    """Return how ClickHouse defines a table, empty when there is none."""
    rows = lab.query(f"SELECT engine_full FROM system.tables WHERE database = '{DATABASE}' AND name = '{table}'")
    return str(rows[0][0]) if rows else ""


def test_old_versions_leave_the_history_alone(lab: Lab) -> None:
    lab.execute(TABLE, "insert into t values (1, 1, 'a')")
    lab.publish("t")
    with lab.mirror():
        lab.wait_until_streaming()
        lab.execute("update t set n = 2")
        lab.catch_up()
        assert "TTL" not in definition(lab)
    for table, columns in (("t", "id, n, _version, _commit_ts"), ("t__history", "id, n, _version, _commit_ts, _op")):
        operation = ", 'insert'" if table == "t__history" else ""
        lab.client.command(
            f"INSERT INTO {DATABASE}.{table} ({columns}) SELECT 7, 7, 1, now() - INTERVAL 40 DAY{operation}"
        )
    with lab.mirror(**DAYS):
        wait_for(lambda: "toIntervalDay(30)" in definition(lab), 20, "the history has its limit")
        lab.client.command(f"OPTIMIZE TABLE {DATABASE}.t__history FINAL")
        assert lab.query(f"SELECT id, n FROM {DATABASE}.t__history ORDER BY id, n") == [(1, 1), (1, 2)]
        assert lab.query(f"SELECT id, n FROM {DATABASE}.t FINAL ORDER BY id") == [(1, 2), (7, 7)]
    with lab.mirror(JANGAR_QUANT_MIRROR_HISTORY_DAYS=3):
        wait_for(lambda: "toIntervalDay(3)" in definition(lab), 20, "the history has its new limit")
    with lab.mirror():
        wait_for(lambda: "TTL" not in definition(lab), 20, "the history keeps everything again")


def test_the_history_of_a_copy_made_anew_goes_with_its_last_version(lab: Lab) -> None:
    lab.execute(TABLE)
    lab.publish("t")
    with lab.mirror():
        lab.wait_until_streaming()
    kept = f"{DATABASE}.t__history_until_5"
    lab.client.command(f"CREATE TABLE {kept} AS {DATABASE}.t__history")
    lab.client.command(f"INSERT INTO {kept} (id, n, _version, _commit_ts) SELECT 1, 1, 1, now()")
    with lab.mirror(**DAYS):
        wait_for(lambda: "toIntervalDay(30)" in definition(lab, "t__history_until_5"), 20, "it has the limit as well")
    lab.client.command(f"TRUNCATE TABLE {kept}")
    with lab.mirror(**DAYS):
        wait_for(lambda: not definition(lab, "t__history_until_5"), 20, "it is gone")
    assert definition(lab)


def test_left_out_values_of_rows_that_the_history_has_forgotten(lab: Lab) -> None:
    # Random text: what compresses is not stored out of line, and would be sent.
    long = "".join(hashlib.sha256(str(i).encode()).hexdigest() for i in range(100))
    lab.execute(TABLE, f"insert into t values (1, 1, '{long}')")
    lab.publish("t")
    with lab.mirror():
        lab.wait_until_streaming()
    lab.client.command(f"TRUNCATE TABLE {DATABASE}.t__history")
    # The source cannot help with the first: it has the row in another form.
    lab.execute("update t set n = 2", "update t set n = 3")
    with lab.mirror(**DAYS):
        lab.catch_up()
        assert lab.query(f"SELECT n, doc FROM {DATABASE}.t__history ORDER BY n") == [(2, long), (3, long)]
        assert lab.query(f"SELECT n, doc FROM {DATABASE}.t FINAL") == [(3, long)]
    assert lab.query(f"SELECT count() FROM {DATABASE}.mirror_lossy_values") == [(0,)]


def test_a_source_that_is_copied_again_beats_rows_that_the_history_has_forgotten(lab: Lab) -> None:
    lab.execute(TABLE, "insert into t values (1, 1, 'a')")
    lab.publish("t")
    with lab.mirror():
        lab.wait_until_streaming()
        lab.execute("update t set n = 2")
        lab.catch_up()
    lab.client.command(f"TRUNCATE TABLE {DATABASE}.t__history")
    lab.execute("delete from t", "insert into t values (2, 2, 'b')")
    with lab.mirror(resnapshot=True):
        lab.wait_until_streaming()
        lab.catch_up()
        assert lab.assert_equal("t", "id, n, doc") == 1
