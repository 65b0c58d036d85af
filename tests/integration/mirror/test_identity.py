"""What identifies the rows of a table changes while the mirror runs, or while it is away."""

import pytest

from orchestration.mirror.target import Target
from tests.integration.mirror.harness import DATABASE, Lab
from tests.integration.mirror.test_recovery import crash_at
from tests.waiting import wait_for

COLUMNS = "id, code, v"
BIG = "(select string_agg(md5(g::text || random()::text), '') from generate_series(1, 400) g)"


@pytest.fixture
def lab_with_rows(lab: Lab) -> Lab:
    lab.execute(
        "create table t (id int primary key, code text not null, v text)",
        "create unique index t_code on t (code)",
        "insert into t select g, 'c' || g, 'old' from generate_series(1, 100) g",
    )
    lab.publish("t")
    return lab


def key(lab: Lab) -> list[tuple[str]]:
    return lab.query(
        f"SELECT name FROM system.columns WHERE database = '{DATABASE}' AND table = 't' AND is_in_sorting_key"
    )


def wait_until_equal(lab: Lab) -> None:
    lab.catch_up()
    wait_for(lambda: lab.copied("t", COLUMNS) == lab.rows("t", COLUMNS), 30, "the copy equals the source")
    lab.wait_until_streaming()


CHANGE = (
    "update t set v = 'new' where id = 1",
    "update t set code = 'moved' where id = 2",
    "update t set id = 1000 where id = 3",
    "delete from t where id = 4",
    "insert into t values (5000, 'c5000', 'late')",
)
UNDO = ("truncate t", "insert into t select g, 'c' || g, 'old' from generate_series(1, 100) g")


def test_every_replica_identity_in_turn(lab_with_rows: Lab) -> None:
    lab = lab_with_rows
    with lab.mirror():
        lab.wait_until_streaming()
        for identity in ("full", "using index t_code", "full", "default"):
            lab.execute(f"alter table t replica identity {identity}", *CHANGE)
            wait_until_equal(lab)
            assert key(lab) == ([("code",)] if "code" in identity else [("id",)])
            lab.execute("update t set v = 'again' where id % 2 = 0")
            wait_until_equal(lab)
            lab.execute(*UNDO)
            wait_until_equal(lab)
        # Only inserts can follow, but they do.
        lab.execute("alter table t replica identity nothing", "insert into t values (7000, 'c7000', 'inserted')")
        wait_until_equal(lab)
        kept = lab.query("SELECT count() FROM system.tables WHERE name LIKE 't\\_\\_history\\_until\\_%'")
        assert kept[0][0] >= 2


def test_changed_while_the_mirror_is_away(lab_with_rows: Lab) -> None:
    """The stream tells old keys by columns that the catalog does not know as key any more."""
    lab = lab_with_rows
    with lab.mirror():
        lab.wait_until_streaming()
    lab.execute(*CHANGE, "alter table t replica identity using index t_code", "update t set code = 'm6' where id = 6")
    with lab.mirror():
        lab.wait_until_streaming()
        wait_until_equal(lab)
        assert key(lab) == [("code",)]
        lab.execute("update t set code = 'm7' where id = 7", "delete from t where id = 8")
        wait_until_equal(lab)


def test_renamed_key(lab_with_rows: Lab) -> None:
    lab = lab_with_rows
    with lab.mirror():
        lab.wait_until_streaming()
        lab.execute("update t set v = 'x' where id = 1", "alter table t rename column id to number")
        lab.execute("update t set v = 'y' where number = 1", "delete from t where number = 2")
        lab.catch_up()
        wait_for(
            lambda: lab.copied("t", "number, code, v", "number") == lab.rows("t", "number, code, v", "number"),
            30,
            "the copy equals the source",
        )


def test_type_that_clickhouse_cannot_alter(lab_with_rows: Lab) -> None:
    lab = lab_with_rows
    with lab.mirror():
        lab.wait_until_streaming()
        lab.execute(
            "alter table t alter column v type int[] using array[length(v)]", "update t set v = '{7}' where id = 1"
        )
        lab.catch_up()
        wait_for(lambda: lab.copied("t", "id, v") == lab.rows("t", "id, v"), 30, "the copy equals the source")
        lab.wait_until_streaming()
        lab.execute("update t set v = '{8}' where id = 2")
        lab.catch_up()
        assert lab.assert_equal("t", "id, v") == 100


@pytest.mark.parametrize("point", ["exchange_copy", "_create_feed"])
def test_killed_while_it_is_made_anew(lab_with_rows: Lab, point: str) -> None:
    lab = lab_with_rows
    with lab.mirror():
        lab.wait_until_streaming()
    lab.execute("alter table t replica identity using index t_code", *CHANGE)
    if point == "exchange_copy":
        crash_at(lab, Target, point)
    else:
        exchange = Target.exchange_copy

        def crash_within(self: Target, name: str, version: int) -> str:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Target, point, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
                return exchange(self, name, version)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Target, "exchange_copy", crash_within)
            with lab.mirror() as mirror:
                wait_for(lambda: isinstance(mirror.error, KeyboardInterrupt), 30, "the mirror crashes")
        lab.client.command(f"TRUNCATE TABLE {DATABASE}.mirror_status")
    lab.execute("update t set v = 'later' where id = 9")
    with lab.mirror():
        lab.wait_until_streaming()
        wait_until_equal(lab)
        assert key(lab) == [("code",)]
