"""Tables without a key: every row once, equal ones as often as they are there."""

import threading

import pytest

from orchestration.mirror.control import Control
from orchestration.mirror.visibility import SourceSnapshot, read_snapshot
from tests.integration.mirror.harness import DATABASE, Lab
from tests.integration.mirror.test_recovery import crash_at
from tests.waiting import wait_for

TABLE = "create table np (a int, b text, tags int[])"
COLUMNS = "a, b, tags"


def publish(lab: Lab) -> None:
    lab.execute(f"create publication {lab.slot} for table np with (publish = 'insert, truncate')")


def rows(lab: Lab) -> list[tuple[object, ...]]:
    return sorted(map(repr, lab.rows("np", COLUMNS, "a")))  # type: ignore[arg-type]


def copied(lab: Lab) -> list[tuple[object, ...]]:
    return sorted(map(repr, lab.copied("np", COLUMNS, "a")))  # type: ignore[arg-type]


def test_equal_rows(lab: Lab) -> None:
    lab.execute(TABLE, "insert into np select 1, 'twice', '{1}' from generate_series(1, 2)")
    publish(lab)
    with lab.mirror():
        lab.wait_until_streaming()
        lab.execute("insert into np values (1, 'twice', '{1}')", "insert into np values (1, 'twice', '{1}')")
        # Many rows in one record of the WAL.
        with lab.source.cursor().copy("copy np from stdin") as copy:
            copy.write("7\tmany\t{}\n" * 1000)
        lab.catch_up()
        assert len(copied(lab)) == 1004
        assert copied(lab) == rows(lab)
        assert lab.query(f"SELECT count() FROM {DATABASE}.np__history FINAL") == [(1004,)]
    # Sent again from the last acknowledgement: the same rows.
    lab.execute("insert into np values (1, 'twice', '{1}')")
    with lab.mirror():
        lab.wait_until_streaming()
        lab.execute("truncate np", "insert into np values (2, 'after', null)")
        lab.catch_up()
        wait_for(lambda: copied(lab) == [repr((2, "after", []))], 20, "the truncated table has one row")
        lab.wait_until_streaming()


def test_copied_while_it_is_written(lab: Lab) -> None:
    """After a crash it is copied in another snapshot than the slot's; rows come in both ways and count once."""
    lab.execute(TABLE, "insert into np select g, 'before', '{}' from generate_series(1, 500) g")
    publish(lab)
    stop = threading.Event()

    def write() -> None:
        with lab.connect() as connection:
            while not stop.wait(0.002):
                with connection.transaction(force_rollback=False):
                    connection.execute("insert into np select g, 'written', '{2}' from generate_series(1, 5) g")

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    try:
        crash_at(lab, Control, "write_table")
        with lab.mirror():
            lab.wait_until_streaming()
            lab.execute("alter table np alter a type bigint")
            wait_for(lambda: "Int64" in str(lab.query(f"SELECT toTypeName(a) FROM {DATABASE}.np LIMIT 1")), 20, "again")
            lab.wait_until_streaming()
            stop.set()
            for writer in writers:
                writer.join()
            lab.catch_up()
            assert copied(lab) == rows(lab)
            assert len(copied(lab)) > 600
        with lab.mirror():
            lab.wait_until_streaming()
            lab.execute("insert into np values (1, 'last', '{}')")
            lab.catch_up()
            assert copied(lab) == rows(lab)
    finally:
        stop.set()


def test_key_dropped_and_added(lab: Lab) -> None:
    lab.execute("create table np (a int, b text, tags int[], constraint np_key primary key (a))")
    lab.execute("insert into np select g, 'x', '{}' from generate_series(1, 50) g")
    lab.publish("np")
    with lab.mirror():
        lab.wait_until_streaming()
        lab.execute("alter table np drop constraint np_key", "insert into np values (1, 'x', '{}'), (1, 'x', '{}')")
        wait_for(lambda: copied(lab) == rows(lab), 20, "rows are told apart without a key")
        lab.execute("truncate np", "alter table np add primary key (a)", "insert into np values (1, 'y', '{}')")
        lab.execute("update np set b = 'z'")
        wait_for(lambda: copied(lab) == rows(lab), 20, "rows are told apart by the new key")


def test_published_later(lab: Lab) -> None:
    lab.execute(TABLE, "create table t (id int primary key)", "insert into np values (1, 'x', '{}'), (1, 'x', '{}')")
    lab.publish("t")
    with lab.mirror():
        lab.wait_until_streaming()
        lab.execute(f"alter publication {lab.slot} add table np")
        wait_for(lambda: copied(lab) == rows(lab), 20, "the table is copied")
        lab.execute("insert into np values (1, 'x', '{}')")
        lab.catch_up()
        assert len(copied(lab)) == 3


def test_full_identity_without_a_key(lab: Lab) -> None:
    lab.execute(TABLE, "alter table np replica identity full")
    lab.publish("np")
    with lab.mirror() as mirror:
        assert "REPLICA IDENTITY FULL but has no primary key" in mirror.failure().message


@pytest.mark.parametrize(
    ("xid", "held"),
    [(99, True), (100, False), (102, False), (103, True), (110, False), (2**32 - 5, True), (2**31 + 120, True)],
)
def test_what_a_snapshot_holds(xid: int, held: bool) -> None:
    assert read_snapshot("100:110:100,102") == SourceSnapshot(110, frozenset({100, 102}))
    # IDs of the stream have 32 bits, those of a snapshot count on.
    later = read_snapshot(f"{2**32 + 100}:{2**32 + 110}:{2**32 + 100},{2**32 + 102}")
    assert later.holds(xid) is held
