"""The source's schema changes while the mirror runs, or while it is away."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from orchestration.source.migrate import migrate
from tests.integration.mirror.harness import DATABASE, Lab, every_server
from tests.waiting import wait_for


@every_server
def test_columns_come_and_go(lab: Lab) -> None:
    lab.execute("create table t (id int primary key, a text not null, n int)")
    lab.execute("insert into t select g, 'a' || g, g from generate_series(1, 5) g")
    lab.publish("t")
    with lab.mirror():
        lab.wait_until_streaming()
        lab.execute(
            "alter table t add column c int not null default 7",
            "alter table t add column e text",
            "insert into t values (6, 'x', 1, 8, 'e')",
        )
        lab.catch_up()
        assert lab.assert_equal("t", "id, a, n, c, e") == 6
        # Within one transaction, before and after rows of it.
        lab.execute(
            "begin; insert into t values (7, 'x', 1, 8, 'e'); alter table t add column z text default 'dz'; "
            "insert into t values (8, 'x', 1, 8, 'e', 'zz'); commit"
        )
        lab.catch_up()
        assert lab.assert_equal("t", "id, a, n, c, e, z") == 8
        # A dropped column stays, and new rows have nothing there.
        lab.execute("alter table t drop column a", "insert into t (id, n) values (9, 9)")
        lab.catch_up()
        assert lab.assert_equal("t", "id, n, c, e, z") == 9
        assert lab.query(f"SELECT a FROM {DATABASE}.t FINAL WHERE id IN (1, 9) ORDER BY id") == [("a1",), (None,)]
        lab.execute("alter table t alter column c drop not null", "insert into t (id, c) values (10, null)")
        lab.catch_up()
        assert lab.assert_equal("t", "id, n, c, e, z") == 10


@every_server
def test_a_commit_that_the_source_does_not_show_yet(restartable_lab: Lab) -> None:
    """The stream brings a transaction once its commit is in the WAL; until its session is through with committing, the
    catalog is that of before. A synchronous standby that does not answer makes that moment as long as one likes."""
    lab = restartable_lab
    lab.execute("create table t (id int primary key)", "insert into t values (1)")
    lab.publish("t")
    with lab.mirror():
        lab.wait_until_streaming()
        lab.execute("alter system set synchronous_standby_names = 'nobody'", "select pg_reload_conf()")
        with lab.connect() as committing, ThreadPoolExecutor(1) as executor:
            change = "begin; alter table t add column z text default 'dz'; insert into t values (2, 'zz'); commit"
            committed = executor.submit(committing.execute, change.encode())
            sent = "select 1 from pg_stat_activity where wait_event = 'SyncRep' and query ~ 'add column'"
            wait_for(lambda: lab.source.execute(sent.encode()).fetchone(), 20, "the commit waits for the standby")
            end = lab.wal_end()
            sent = f"select sent_lsn >= '0/0'::pg_lsn + {end} from pg_stat_replication where state = 'streaming'"
            wait_for(lambda: lab.source.execute(sent.encode()).fetchone() == (True,), 20, "the stream brings it")
            lab.execute("alter system reset synchronous_standby_names", "select pg_reload_conf()")
            committed.result(20)
        lab.catch_up()
        assert lab.copied("t", "id, z") == [(1, "dz"), (2, "zz")]


@every_server
def test_rewritten_rows_are_copied_again(lab: Lab) -> None:
    """Postgres sends nothing for rows that ALTER TABLE rewrites: the table is copied again by itself."""
    lab.execute("create table t (id int primary key, n int, q numeric(10,2))")
    lab.execute("insert into t select g, g, g from generate_series(1, 100) g")
    lab.publish("t")
    with lab.mirror():
        lab.wait_until_streaming()
        lab.execute(
            "alter table t alter column n type bigint using n * 10, alter column q type numeric(20,8)",
            "update t set n = n + 1 where id = 1",
            "delete from t where id = 2",
        )
        lab.catch_up()
        wait_for(lambda: lab.copied("t", "id, n, q") == lab.rows("t", "id, n, q"), 20, "the new values are copied")
        lab.execute("alter table t rename column n to m", "update t set m = 5 where id = 3")
        lab.catch_up()
        wait_for(lambda: lab.copied("t", "id, m, q") == lab.rows("t", "id, m, q"), 20, "the renamed column is copied")
        lab.execute("drop table t", "create table t (id int primary key, other text)")
        lab.execute(f"alter publication {lab.slot} add table t", "insert into t values (1, 'new'), (500, 'new')")
        lab.catch_up()
        wait_for(lambda: lab.copied("t", "id, other") == lab.rows("t", "id, other"), 20, "the new table is copied")


def test_a_stream_that_is_behind_narrows_nothing(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    """It announces a column in all forms that it had, and the copy has the last one already."""
    caplog.set_level("INFO", "orchestration.mirror")
    lab.execute("create table t (id int primary key, w int)", "insert into t values (1, 1)")
    lab.publish("t")
    with lab.mirror():
        lab.wait_until_streaming()
    for number, (kind, value) in enumerate([("bigint", "5000000000"), ("numeric(30,4)", "2.5"), ("text", "'x'")], 2):
        lab.execute(f"alter table t alter w type {kind}", f"insert into t values ({number}, {value})")
    caplog.clear()
    with lab.mirror():
        lab.wait_until_streaming()
        lab.catch_up()
        assert lab.assert_equal("t", "id, w") == 4
    changes = [record.message for record in caplog.records if "MODIFY COLUMN" in record.message]
    assert changes == ["table t: MODIFY COLUMN `w` Nullable(String)"]
    streamed = lab.query(f"SELECT id, w FROM {DATABASE}.t__history FINAL WHERE _op = 'insert' ORDER BY id")
    assert streamed == [(2, "5000000000"), (3, "2.5000"), (4, "x")]


def test_nulls_from_before_a_column_became_not_null(lab: Lab) -> None:
    """The catalog is ahead of the stream: it says NOT NULL, and the stream still has NULLs."""
    lab.execute("create table t (id int primary key, a text)")
    lab.publish("t")
    with lab.mirror():
        lab.wait_until_streaming()
    lab.execute(
        "alter table t add column b int",
        "insert into t values (1, null, null), (2, 'x', 2)",
        "update t set a = 'filled', b = 0 where a is null",
        "alter table t alter column a set not null, alter column b set not null",
        "insert into t values (3, 'y', 3)",
    )
    with lab.mirror():
        lab.wait_until_streaming()
        lab.catch_up()
    assert lab.assert_equal("t", "id, a, b") == 3
    history = lab.query(f"SELECT a, b FROM {DATABASE}.t__history FINAL WHERE id = 1 ORDER BY _version")
    assert history == [(None, None), ("filled", 0)]


def test_published_table_that_was_not_empty(lab: Lab) -> None:
    """A writer that was busy in the table while it was added to the publication loses nothing."""
    lab.execute("create table t (id int primary key)", "create table late (id int primary key, v text)")
    lab.publish("t")
    lab.execute("insert into late values (1, 'before')")
    busy = lab.connect()
    with lab.mirror():
        lab.wait_until_streaming()
        busy.execute("begin")
        busy.execute("insert into late values (2, 'written before it was published')")
        lab.execute(f"alter publication {lab.slot} add table late", "insert into late values (3, 'after')")
        lab.catch_up()
        wait_for(lambda: lab.state() == "snapshotting", 10, "the copy waits for the open transaction")
        busy.execute("commit")
        wait_for(lambda: len(lab.copied("late", "id")) == 3, 20, "the table is copied")
        assert lab.assert_equal("late", "id, v") == 3
    busy.close()


def test_published_table_whose_writer_is_the_newest_transaction(lab: Lab) -> None:
    """When the copy is asked for, none that began after the busy writer has ended: it is awaited all the same."""
    lab.execute("create table t (id int primary key)", "create table late (id int primary key, v text)")
    lab.publish("t")
    lab.execute("insert into late values (1, 'stays'), (2, 'goes')")
    administrator, busy = lab.connect(), lab.connect()
    # A heartbeat would be such a transaction.
    with lab.mirror(JANGAR_QUANT_MIRROR_HEARTBEAT_SECONDS=60):
        lab.wait_until_streaming()
        administrator.execute("begin")
        administrator.execute(f"alter publication {lab.slot} add table late".encode())
        busy.execute("begin")
        busy.execute("delete from late where id = 2")
        busy.execute("insert into late values (3, 'written before it was published')")
        administrator.execute("commit")
        wait_for(lambda: lab.state() == "snapshotting", 10, "the copy waits for the open transaction")
        busy.execute("commit")
        wait_for(lambda: lab.copied("late", "id, v") == lab.rows("late", "id, v"), 10, "the table is copied")
    administrator.close()
    busy.close()


def test_migration_from_early_to_latest_head(lab: Lab) -> None:
    migrate(lab.dsn, "0005")
    lab.execute(
        "insert into strategies (id, name, enabled, base_timeframe, universe_type) "
        "values ('00000000-0000-0000-0000-000000000001', 's', true, '1Min', 'static')",
        "insert into trade_decisions "
        "(id, strategy_id, alpaca_account_label, symbol, timeframe, decision_json, status) "
        "select gen_random_uuid(), (select id from strategies), 'paper', 'AAPL', '1Min', jsonb_build_object('big', "
        "(select string_agg(md5(random()::text || g || h), '') from generate_series(1, 99) h)), 'planned' "
        "from generate_series(1, 50) g",
        "insert into executions (id, trade_decision_id, alpaca_order_id, symbol, side, order_type, time_in_force, "
        "submitted_qty, filled_qty, status, raw_order) select gen_random_uuid(), id, id::text, symbol, 'buy', "
        "'market', 'day', 1, 1, 'filled', decision_json from trade_decisions",
    )
    with lab.mirror():
        lab.wait_until_streaming()
        assert "execution_order_events" not in dict(
            lab.query(f"SELECT name, 1 FROM system.tables WHERE database = '{DATABASE}'")
        )
        migrate(lab.dsn, "0013")
        lab.execute(
            "insert into execution_order_events (id, event_fingerprint, source_topic, raw_event) "
            "values (gen_random_uuid(), 'f', 't', '{}')"
        )
        lab.catch_up()
        wait_for(lambda: len(lab.copied("execution_order_events", "id")) == 1, 20, "the new table is copied")
        lab.wait_until_streaming()
        columns = "id, filled_qty, status, raw_order{}, execution_actual_adapter, alpaca_account_label"
        expected = lab.rows("executions", columns.format("::text"), "id::text")
        assert lab.copied("executions", columns.format(""), "toString(id)") == expected
        migrate(lab.dsn)
        lab.execute("update executions set status = 'done'")
        lab.catch_up()
        expected = lab.rows("executions", columns.format("::text"), "id::text")
        assert lab.copied("executions", columns.format(""), "toString(id)") == expected
        assert len(expected) == 50


def test_alteration_that_a_crash_left_half_done(lab: Lab) -> None:
    """The current table is altered first, then the history, then the feed between them."""
    lab.execute("create table t (id int primary key, c int not null default 7)", "insert into t values (1), (2)")
    lab.publish("t")
    with lab.mirror():
        lab.wait_until_streaming()
    lab.client.command(f"ALTER TABLE {DATABASE}.t MODIFY COLUMN c Nullable(Int32), ADD COLUMN d Nullable(Int32)")
    lab.execute("alter table t alter column c drop not null", "alter table t add column d int")
    lab.execute("insert into t values (3, null, 3)", "delete from t where id = 1")
    with lab.mirror():
        lab.wait_until_streaming()
        lab.catch_up()
        assert lab.assert_equal("t", "id, c, d") == 2
    # Everything but the feed was done.
    for table in ("t", "t__history"):
        lab.client.command(f"ALTER TABLE {DATABASE}.{table} ADD COLUMN e Nullable(Int32)")
    lab.execute("alter table t add column e int", "insert into t values (4, 4, 4, 4)")
    with lab.mirror():
        lab.wait_until_streaming()
        lab.catch_up()
        assert lab.assert_equal("t", "id, c, d, e") == 3
