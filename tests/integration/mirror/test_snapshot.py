"""The first copy: in ranges side by side, continued after a crash, with a number of its own for each row."""

import threading
from typing import Any

import psycopg
import pytest

from orchestration.mirror import ranges
from orchestration.mirror.control import Control
from orchestration.mirror.snapshot import RangeCopier
from orchestration.mirror.target import Target
from tests.integration.mirror.harness import DATABASE, Lab
from tests.integration.mirror.test_recovery import Crash
from tests.waiting import wait_for

BLOCKS = 8
BIG = "(select string_agg(md5(x::text || random()::text), '') from generate_series(1, 400) x)"
# A vacuum in between would cut empty blocks off its end.
TABLE = "create table t (id int primary key, n int not null, doc text) with (autovacuum_enabled = false)"
FILL = "insert into t select g, g, repeat('x', 500) from generate_series(1, 2000) g"


@pytest.fixture(autouse=True)
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "_BLOCKS", BLOCKS)


@pytest.fixture
def copied_ranges(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The first block of each range that is copied, in order."""
    found: list[int] = []
    copy = RangeCopier.copy

    def note(self: RangeCopier, session: psycopg.Connection, blocks: ranges.Range) -> int:
        size = copy(self, session, blocks)
        found.append(blocks.first)
        return size

    monkeypatch.setattr(RangeCopier, "copy", note)
    return found


def crash_after(lab: Lab, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Run a mirror until it has recorded `count` ranges, and end it there as a kill would."""
    write, recorded, lock = Control.write_range, 0, threading.Lock()

    def record(self: Control, name: str, copying: object, *blocks: ranges.Range) -> None:
        nonlocal recorded
        with lock:
            if blocks and recorded == count:
                raise Crash
            write(self, name, copying, *blocks)  # type: ignore[arg-type]
            recorded += bool(blocks)

    with monkeypatch.context() as patch:
        patch.setattr(Control, "write_range", record)
        with lab.mirror() as mirror:
            wait_for(lambda: isinstance(mirror.error, Crash), 30, "the mirror crashes in the middle of a copy")
    lab.client.command(f"TRUNCATE TABLE {DATABASE}.mirror_status")


def blocks_of(lab: Lab) -> int:
    row = lab.source.execute("select pg_relation_size('t') / 8192").fetchone()
    return int(row[0]) if row else 0


def test_continues_with_what_is_not_copied(lab: Lab, monkeypatch: pytest.MonkeyPatch, copied_ranges: list[int]) -> None:
    """Rows changed, moved between ranges and deleted while it was away, in ranges of both kinds."""
    # Some rows have a value out of line, which their updates leave out.
    lab.execute(TABLE, FILL, f"insert into t select g, g, {BIG} from generate_series(3001, 3100) g")
    lab.publish("t")
    every = list(range(0, blocks_of(lab), BLOCKS))
    assert len(every) > 15
    crash_after(lab, monkeypatch, 5)
    done = {first for (first,) in lab.query(f"SELECT first_block FROM {DATABASE}.mirror_range WHERE end_block > 0")}
    assert len(done) == 5
    lab.execute(
        "update t set n = -n where id % 3 = 0",
        "update t set id = id + 100000 where id % 50 = 1",
        "delete from t where id % 7 = 0",
        "insert into t select g, g, 'late' from generate_series(5000, 5500) g",
        "update t set n = 1 where id % 10 = 0",
        f"update t set doc = {BIG} || id where id between 3010 and 3030",
        "update t set n = 2 where id between 3020 and 3050",
    )
    copied_ranges.clear()
    with lab.mirror():
        lab.wait_until_streaming()
        lab.catch_up()
        # Blocks that the table got since hold only rows that the stream has as well.
        assert sorted(first for first in copied_ranges if first in every) == sorted(set(every) - done)
        assert lab.assert_equal("t", "id, n, doc") > 1800
        lab.execute("update t set n = n + 1")
        lab.catch_up()
        assert lab.assert_equal("t", "id, n, doc") > 1800


def test_a_crash_before_the_copy_was_planned_begins_anew(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was truncated after the slot was made has its end in the history: no later snapshot could tell it."""

    def crash(self: Control, *_: object) -> None:
        raise Crash

    lab.execute(TABLE, FILL)
    lab.publish("t")
    with monkeypatch.context() as patch:
        patch.setattr(Control, "write_range", crash)
        with lab.mirror() as mirror:
            wait_for(lambda: isinstance(mirror.error, Crash), 30, "the mirror crashes behind the making of the slot")
    lab.execute("truncate t", "insert into t values (1, 1, 'new')")
    with lab.mirror():
        lab.wait_until_streaming()
        lab.catch_up()
        lab.assert_equal("t", "id, n, doc")
    versions = lab.query(f"SELECT _version, _op, id FROM {DATABASE}.t__history FINAL")
    # The slot was made again, behind the TRUNCATE: one row is all there is to tell, as that of its snapshot.
    assert versions == [(0, "snapshot", 1)]


def test_a_copy_that_was_made_in_part_gets_the_columns_of_now(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table has other columns by then, and one of the same name holds NULL now."""
    create = Target.create

    def crash(self: Target, name: str, *rest: Any) -> None:
        if name == "t__history":
            raise Crash
        create(self, name, *rest)

    lab.execute(
        "create table t (id int primary key, n int not null, gone int not null)", "insert into t values (1, 1, 1)"
    )
    lab.publish("t")
    with monkeypatch.context() as patch:
        patch.setattr(Target, "create", crash)
        with lab.mirror() as mirror:
            wait_for(lambda: isinstance(mirror.error, Crash), 30, "the mirror crashes between the tables of a copy")
    lab.execute("alter table t alter n drop not null, drop gone, add came int", "insert into t values (2, null, null)")
    with lab.mirror():
        lab.wait_until_streaming()
        lab.catch_up()
        lab.assert_equal("t", "id, n, came")


def test_continued_while_rows_are_written(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deleted row stays deleted, a changed one has its newest form, whenever its range is copied."""
    lab.execute(TABLE, FILL)
    lab.publish("t")
    stop = threading.Event()

    def write() -> None:
        with lab.connect() as connection:
            step = 0
            while not stop.wait(0.002):
                step += 1
                connection.execute("update t set n = n + 1 where id %% 97 = %s", (step % 97,))
                connection.execute("delete from t where id = %s", (step,))
                connection.execute("insert into t values (%s, 0, 'new')", (10_000 + step,))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for count in (3, 4, 2):
            crash_after(lab, monkeypatch, count)
        with lab.mirror():
            lab.wait_until_streaming()
            stop.set()
            writer.join()
            lab.catch_up()
            assert lab.assert_equal("t", "id, n, doc") > 1000
    finally:
        stop.set()


def test_rewritten_in_between_is_copied_whole(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, copied_ranges: list[int]
) -> None:
    """What a range number means is another thing after the table was rewritten."""
    lab.execute(TABLE, FILL)
    lab.publish("t")
    crash_after(lab, monkeypatch, 5)
    lab.execute("alter table t alter n type bigint using n * 2", "delete from t where id < 10")
    copied_ranges.clear()
    with lab.mirror():
        lab.wait_until_streaming()
        lab.catch_up()
        assert sorted(copied_ranges) == list(range(0, blocks_of(lab), BLOCKS))
        assert lab.assert_equal("t", "id, n, doc") == 1991


def test_second_copy_continues_too(lab: Lab, monkeypatch: pytest.MonkeyPatch, copied_ranges: list[int]) -> None:
    """A copy over rows that are there already buries what is gone, also when it needed two attempts."""
    lab.execute(TABLE, FILL)
    lab.publish("t")
    with lab.mirror():
        lab.wait_until_streaming()
    lab.execute(
        f"select pg_drop_replication_slot('{lab.slot}')",
        "delete from t where id % 2 = 0",
        "update t set n = 5 where id = 1",
    )
    with pytest.MonkeyPatch.context() as patch:
        write = Control.write_range

        def record(self: Control, name: str, copying: object, *blocks: ranges.Range) -> None:
            write(self, name, copying, *blocks)  # type: ignore[arg-type]
            if blocks:
                raise Crash

        patch.setattr(Control, "write_range", record)
        with lab.mirror(resnapshot=True) as mirror:
            wait_for(lambda: isinstance(mirror.error, Crash), 30, "the mirror crashes in the middle of a copy")
    lab.client.command(f"TRUNCATE TABLE {DATABASE}.mirror_status")
    lab.execute("delete from t where id = 3", "update t set n = 6 where id = 5")
    every = len(range(0, blocks_of(lab), BLOCKS))
    copied_ranges.clear()
    with lab.mirror():
        lab.wait_until_streaming()
        lab.catch_up()
        assert 0 < len(copied_ranges) < every
        assert lab.assert_equal("t", "id, n, doc") == 999


def test_numbers(lab: Lab) -> None:
    """No two rows share a number, whatever wrote them, and none is above the newest checkpoint."""
    lab.execute(TABLE, FILL)
    lab.publish("t")
    with lab.mirror():
        lab.wait_until_streaming()
        lab.execute(
            "update t set n = 0 where id < 100", "delete from t where id < 50", "insert into t values (0, 0, '')"
        )
        lab.catch_up()
        lab.execute("truncate t", "insert into t values (1, 1, '')")
        lab.catch_up()
        lab.wait_until_streaming()
    numbers = lab.query(
        f"SELECT count() = uniqExact(_applied), count(), "
        f"max(_applied) < (SELECT max(applied) FROM {DATABASE}.mirror_checkpoint) FROM {DATABASE}.t__history"
    )
    assert numbers[0][::2] == (1, 1)
    assert numbers[0][1] > 4000
    order = lab.query(f"SELECT _op, min(_applied) AS first FROM {DATABASE}.t__history GROUP BY _op ORDER BY first")
    assert [operation for operation, _ in order][:2] == ["snapshot", "update"]
