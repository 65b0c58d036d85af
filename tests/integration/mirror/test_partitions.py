"""Partitioned tables: one copy under the root's name, also of what comes and goes without a word in the stream."""

from collections.abc import Iterator

import pytest

from tests.integration.mirror.harness import Lab
from tests.waiting import wait_for

COLUMNS = "id, day, v"


@pytest.fixture
def partitioned(lab: Lab) -> Lab:
    lab.execute(
        "create table t (id int, day date, v text, primary key (id, day)) partition by range (day)",
        "create table t1 partition of t for values from ('2026-01-01') to ('2026-02-01')",
        # Its columns stand in another order.
        "create table t2 (v text, day date not null, id int not null, primary key (id, day))",
        "alter table t attach partition t2 for values from ('2026-02-01') to ('2026-03-01')",
        "insert into t select g, date '2026-01-01' + g % 50, 'old' from generate_series(1, 500) g",
    )
    return lab


@pytest.fixture
def streaming(partitioned: Lab) -> Iterator[Lab]:
    partitioned.execute(f"create publication {partitioned.slot} for table t with (publish_via_partition_root = true)")
    with partitioned.mirror():
        partitioned.wait_until_streaming()
        yield partitioned


def equal(lab: Lab) -> bool:
    return lab.copied("t", COLUMNS, order="id, day") == lab.rows("t", COLUMNS, order="id, day")


def test_changes_by_the_root(streaming: Lab) -> None:
    lab = streaming
    assert lab.assert_equal("t", COLUMNS) == 500
    lab.execute(
        "update t set v = 'new' where id <= 10",
        # From one partition to the other.
        "update t set day = '2026-02-15' where id = 2",
        "delete from t where id = 3",
        "insert into t2 (id, day, v) values (1000, '2026-02-10', 'direct')",
    )
    lab.catch_up()
    assert lab.assert_equal("t", COLUMNS) == 500
    lab.execute("truncate t", "insert into t values (1, '2026-01-01', 'after')")
    lab.catch_up()
    assert lab.assert_equal("t", COLUMNS) == 1


def test_what_the_stream_does_not_tell(streaming: Lab) -> None:
    lab = streaming
    lab.execute("create table t3 (id int not null, day date not null, v text, primary key (id, day))")
    lab.execute("insert into t3 select g, '2026-03-05', 'filled' from generate_series(2000, 2100) g")
    for statement in (
        "alter table t attach partition t3 for values from ('2026-03-01') to ('2026-04-01')",
        "truncate t1",
        "alter table t detach partition t2",
        "drop table t3",
    ):
        lab.execute(statement)
        wait_for(lambda: equal(lab), 20, statement)
        lab.execute("insert into t values (1, '2026-01-20', 'x') on conflict do nothing")
        lab.catch_up()
        assert equal(lab)


def test_partitions_of_their_own(partitioned: Lab) -> None:
    """Without the root, each partition is a table; a new one appears by itself."""
    lab = partitioned
    lab.publish("t")
    with lab.mirror():
        lab.wait_until_streaming()
        lab.execute("create table t3 partition of t for values from ('2026-03-01') to ('2026-04-01')")
        lab.execute("insert into t values (1, '2026-03-05', 'x'), (2000, '2026-01-05', 'x')")
        lab.catch_up()
        for table, count in (("t1", 311), ("t2", 190), ("t3", 1)):
            wait_for(
                lambda table=table: lab.copied(table, COLUMNS) == lab.rows(table, COLUMNS), 20, f"{table} is copied"
            )
            assert lab.assert_equal(table, COLUMNS) == count
