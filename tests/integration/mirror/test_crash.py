"""Mirror, warehouse and Postgres die at random points of a random workload: nothing lost, nothing doubled.

After each crash the copy equals the table, and its history equals what Postgres' own triggers logged of the committed
transactions, version by version. `make crash SEEDS=100` runs more seeds, `FIRST=17 SEEDS=1` a certain one.
"""

import contextlib
import os
import random
import time
from collections import defaultdict
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from orchestration.mirror.inserter import LEFT_OUT
from orchestration.mirror.lsn import format_lsn, parse_lsn
from orchestration.source.embedded import EmbeddedPostgres
from orchestration.source.postmaster import processes_of
from tests.databases import fresh_database
from tests.integration.mirror.harness import DATABASE, Lab, MirrorProcess, Warehouse
from tests.integration.mirror.workload import TABLES, Writers
from tests.ports import free_port
from tests.waiting import wait_for

# Operation, number, hash of the document.
Change = tuple[str, int | None, str | None]


class Version(NamedTuple):
    """One row of the history; `may_be_of_copy`: a delete right behind a row that a copy brought."""

    version: int
    change: Change
    may_be_of_copy: bool


LEFT_OUT_CHANGE: Change = (LEFT_OUT, None, None)
DELETED: Change = ("delete", None, None)
TRUNCATED: Change = ("truncate", None, None)

FIRST = int(os.environ.get("FIRST", "1"))
SEEDS = range(FIRST, FIRST + int(os.environ.get("SEEDS", "1")))
CRASHES = 3
VICTIMS = (["mirror"], ["warehouse"], ["postgres"], ["mirror", "warehouse"], ["mirror", "postgres"])


@pytest.fixture(scope="module")
def fragile_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A Postgres that spills or streams all but small transactions."""
    options = {"logical_decoding_work_mem": "64kB", "deadlock_timeout": "100ms"}
    server = EmbeddedPostgres(tmp_path_factory.mktemp("fragile") / "postgres", free_port(), options=options)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def fragile_lab(fragile_postgres: EmbeddedPostgres, mirror_warehouse: Warehouse) -> Iterator[Lab]:
    with fresh_database(fragile_postgres) as dsn:
        lab = Lab(dsn, mirror_warehouse, f"m_{dsn.partition('?')[0].rpartition('/')[2]}")
        yield lab
        lab.close()


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.timeout(600)
def test_crash(fragile_lab: Lab, fragile_postgres: EmbeddedPostgres, tmp_path: Path, seed: int) -> None:
    lab = fragile_lab
    pick = random.Random(seed)
    lab.execute(TABLES)
    lab.publish("t")
    log = tmp_path / "mirror.log"
    writers = Writers(lab, seed)
    mirror = MirrorProcess(lab.settings(), log)
    try:
        writers.go_on()
        mirror.start()
        for _ in range(CRASHES):
            # A random point is what this is about: from before the slot exists to the middle of the stream.
            time.sleep(pick.uniform(0.5, 5.0))
            crash(pick.choice(VICTIMS), lab, fragile_postgres, mirror)
            time.sleep(pick.uniform(0.0, 1.0))
            writers.pause()
            assert_nothing_lost_or_doubled(lab, mirror, f"seed {seed}, log {log}")
            writers.go_on()
        writers.pause()
        assert mirror.terminate(30) == 0
    finally:
        writers.close()
        mirror.kill()


def crash(victims: list[str], lab: Lab, postgres: EmbeddedPostgres, mirror: MirrorProcess) -> None:
    """Kill the processes at once, then start them again."""
    if "mirror" in victims:
        mirror.kill()
    if "warehouse" in victims:
        lab.warehouse.kill()
    if "postgres" in victims:
        for process in processes_of(postgres.data_dir):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        postgres.stop()
        postgres.start()
        lab.source = lab.connect()
    if "warehouse" in victims:
        lab.warehouse.start()
    if "mirror" in victims:
        mirror.start()


def assert_nothing_lost_or_doubled(lab: Lab, mirror: MirrorProcess, where: str) -> None:
    def caught_up() -> bool:
        assert mirror.exit_code is None, where
        return lab.mark() >= end

    end = lab.wal_end()
    wait_for(caught_up, 120, f"the mirror has caught up ({where})")
    columns = [name for (name,) in lab.rows(*_COLUMNS)]
    in_source = ", ".join("md5(doc)" if name == "doc" else name for name in columns)
    in_copy = ", ".join("lower(hex(MD5(doc)))" if name == "doc" else name for name in columns)
    expected = lab.rows("t", in_source)
    # A table whose rows DDL rewrote is copied again after the stream is here.
    wait_for(lambda: _plain(lab.copied("t", in_copy)) == _plain(expected), 60, f"the copy equals the table ({where})")
    complete = f"SELECT max(_applied) <= (SELECT max(applied) FROM {DATABASE}.mirror_checkpoint) FROM {DATABASE}.t"
    wait_for(lambda: lab.query(complete) == [(1,)], 30, f"every batch has its checkpoint ({where})")
    unique = lab.query(f"SELECT uniqExact(applied) = count() FROM {DATABASE}.mirror_checkpoint")
    assert unique == [(1,)], where
    _assert_history(lab, where)


_COLUMNS = (
    "pg_attribute where attrelid = 't'::regclass and attnum > 0 and not attisdropped",
    "attname::text",
    "attnum",
)


def _assert_history(lab: Lab, where: str) -> None:
    """Every committed change since the slot was made is there once, in order, with its values; and nothing else."""
    logged: dict[int, list[tuple[int, Change]]] = defaultdict(list)
    for lsn, operation, key, number, doc in lab.rows("audit", "lsn::text, op, id, n, doc", "seq"):
        logged[key].append((parse_lsn(lsn), (operation, number, doc)))
    history: dict[int, list[Version]] = defaultdict(list)
    copied: dict[int, list[tuple[int, Change]]] = defaultdict(list)
    # A copy made while streaming adds rows of its own at the version of its snapshot: what it found, and a tombstone
    # for what it did not find. A TRUNCATE behind it ends what it found, although that may be younger.
    was_copied: dict[int, bool] = defaultdict(bool)
    for key, version, operation, number, doc in lab.query(
        f"""
        SELECT id, _version, _op, if(_deleted, NULL, n), if(_deleted, NULL, lower(hex(MD5(doc))))
        FROM {DATABASE}.t__history FINAL
        ORDER BY id, _version, _deleted DESC
        """
    ):
        if operation == "snapshot":
            copied[key].append((version, (operation, number, doc)))
        else:
            may_be_of_copy = operation == "delete" and was_copied[key]
            history[key].append(Version(version, (operation, number, doc), may_be_of_copy))
        was_copied[key] = operation == "snapshot"
    (began,) = lab.query(f"SELECT max(consistent_lsn) FROM {DATABASE}.mirror_position")[0]
    # An update that did not send its document, of a row that a second copy found deleted already, cannot be completed
    # any more: such a version is told instead.
    for row_key, version in lab.query(
        f"SELECT DISTINCT toInt64(row_key), version FROM {DATABASE}.mirror_lossy_values FINAL WHERE slot = '{lab.slot}'"
    ):
        if version not in [found.version for found in history[row_key]]:
            history[row_key].append(Version(version, LEFT_OUT_CHANGE, False))
    for key in logged.keys() | history.keys():
        changes, found = logged[key], sorted(history[key])
        seen = [version for version, (_, number, _) in copied[key] if number is not None]
        if not _agree(changes, found, began, seen):
            everything = sorted([*copied[key], *((row.version, row.change) for row in found)], key=itemgetter(0))
            pytest.fail(
                f"history of key {key}, slot made at {format_lsn(began)} ({where})\n"
                f"logged:\n{_listed(changes)}\nfound:\n{_listed(everything)}"
            )
        values = {change[1:] for _, change in changes}
        for _, (_, *value) in copied[key]:
            assert value == [None, None] or tuple(value) in values, f"invented row {key} ({where})"


def _agree(changes: list[tuple[int, Change]], found: list[Version], began: int, seen: list[int]) -> bool:
    """Whether the versions found are the logged changes, up to those before the slot.

    The stream does not tell which rows a TRUNCATE ended, so the end of a row may be missing where the row is unknown: a
    first copy that went on after a crash did not find it any more, or its only version was left out. `seen` are the
    versions at which copies found the row.
    """
    if changes and changes[-1][1] == TRUNCATED and (not found or found[-1].change == LEFT_OUT_CHANGE):
        known_until = found[-1].version if found else 0
        if not any(known_until <= version < changes[-1][0] for version in seen):
            return _agree(changes[:-1], found, began, seen)
    if not found:
        return all(lsn <= began for lsn, _ in changes)
    *older, last = found
    if last.may_be_of_copy and _agree(changes, older, began, seen):
        return True
    if not changes:
        return False
    told = DELETED if changes[-1][1] == TRUNCATED else changes[-1][1]
    return last.change in (LEFT_OUT_CHANGE, told) and _agree(changes[:-1], older, began, seen)


def _listed(changes: list[tuple[int, Change]]) -> str:
    return "\n".join(f"  {format_lsn(lsn)} {change}" for lsn, change in changes)


def _plain(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in rows]
