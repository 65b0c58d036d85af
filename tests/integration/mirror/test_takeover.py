"""Two mirrors of one source: one works, the other takes over when it dies, hangs or ends; and the silent stall."""

import os
import signal
import threading
import time
from typing import Any

import psutil
import pytest

from orchestration.mirror.replication import NewSlot, ReplicationSession
from orchestration.source.embedded import EmbeddedPostgres
from tests.integration.mirror.harness import DATABASE, Lab, every_server
from tests.waiting import wait_for

TABLE = "create table t (id int primary key, n int not null, doc text)"


def follower_state(lab: Lab) -> str:
    rows = lab.query(f"SELECT state FROM {DATABASE}.mirror_status FINAL WHERE slot = '{lab.slot}:follower'")
    return str(rows[0][0]) if rows else ""


@every_server
def test_follower_takes_over_from_a_killed_leader(lab: Lab) -> None:
    lab.execute(TABLE)
    lab.publish("t")
    with lab.mirror_process() as leader:
        leader.start()
        lab.wait_until_streaming()
        with lab.mirror():
            wait_for(lambda: follower_state(lab) == "follower", 20, "the second mirror follows")
            assert lab.state() == "streaming"
            leader.kill()
            lab.execute("insert into t values (1, 1, 'x')")
            lab.catch_up(10)
            assert lab.assert_equal("t", "id, n, doc") == 1
            wait_for(lambda: follower_state(lab) == "stopped", 10, "nobody follows any more")
            lab.wait_until_streaming()


@pytest.mark.slow
def test_follower_takes_over_from_a_leader_that_hangs(lab: Lab) -> None:
    """The source ends the session of a mirror that does not report; what wakes up later must not do harm."""
    lab.execute(TABLE, "insert into t select g, 0, 'x' from generate_series(1, 500) g")
    lab.publish("t")
    with lab.mirror_process() as leader:
        leader.start()
        lab.wait_until_streaming()
        with lab.mirror():
            wait_for(lambda: follower_state(lab) == "follower", 20, "the second mirror follows")
            # In the middle of work: batches are on their way when it stops.
            for step in range(5):
                lab.execute(f"update t set n = {step}")
            os.kill(leader.pid, signal.SIGSTOP)
            try:
                lab.execute("insert into t values (1000, 1, 'x')", "delete from t where id = 7")
                lab.catch_up(30)
                assert lab.assert_equal("t", "id, n, doc") == 500
            finally:
                os.kill(leader.pid, signal.SIGCONT)
            wait_for(lambda: follower_state(lab) == "follower", 30, "the one that hung follows now")
            lab.execute("update t set n = 100 where id < 10", "update t set id = 2000 where id = 8")
            lab.catch_up()
            assert lab.assert_equal("t", "id, n, doc") == 500


def test_two_mirrors_that_start_at_once_copy_once(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The slot is the lock, but the second one comes while the first is about to make it."""
    lab.execute(TABLE, "insert into t select g, 0, 'x' from generate_series(1, 100) g")
    lab.publish("t")
    create_slot = ReplicationSession.create_slot
    about_to, released = threading.Event(), threading.Event()

    def create_late(self: ReplicationSession, *arguments: Any) -> NewSlot:
        about_to.set()
        assert released.wait(30)
        return create_slot(self, *arguments)

    monkeypatch.setattr(ReplicationSession, "create_slot", create_late)
    with lab.mirror() as one:
        assert about_to.wait(30)
        with lab.mirror() as two:
            wait_for(lambda: follower_state(lab) == "follower", 20, "the second one follows")
            released.set()
            lab.wait_until_streaming()
            assert (one.error, two.error) == (None, None)
            made = lab.query(
                f"SELECT max(generation), countIf(phase = 'created'), countIf(phase = 'creating') "
                f"FROM {DATABASE}.mirror_position"
            )
            assert made == [(1, 1, 1)]
    assert lab.assert_equal("t", "id, n, doc") == 100


def test_a_silent_stall_is_told_and_over_when_the_stream_moves(lab: Lab) -> None:
    """A walsender that hangs: the connection stays, no error comes, the heartbeat moves the WAL."""
    lab.execute(TABLE)
    lab.publish("t")
    with lab.mirror():
        lab.wait_until_streaming()
        row = lab.source.execute(
            "select active_pid from pg_replication_slots where slot_name = %s", (lab.slot,)
        ).fetchone()
        assert row is not None
        os.kill(row[0], signal.SIGSTOP)
        try:
            wait_for(lambda: lab.state() == "stalled", 20, "the stall is told")
            detail = lab.query(f"SELECT detail FROM {DATABASE}.mirror_status FINAL WHERE slot = '{lab.slot}'")[0][0]
            assert "connected but silent" in detail
        finally:
            os.kill(row[0], signal.SIGCONT)
        lab.wait_until_streaming()
        lab.execute("insert into t values (1, 1, 'x')")
        lab.catch_up()
        assert lab.assert_equal("t", "id, n, doc") == 1


def test_a_source_that_stands_still_is_told_from_a_mirror_that_does(
    restartable_lab: Lab, own_postgres: EmbeddedPostgres
) -> None:
    """A stopped server keeps its connections, so that a query waits: the mirror goes on reporting all the same."""
    lab = restartable_lab
    lab.execute(TABLE)
    lab.publish("t")
    server = psutil.Process(int((own_postgres.data_dir / "postmaster.pid").read_text().splitlines()[0]))

    def silent_seconds() -> tuple[float, float]:
        """Of the source as of the mirror's report, and of the mirror."""
        return lab.query(
            "SELECT dateDiff('millisecond', source_heard_at, updated_at) / 1000,"
            f" dateDiff('millisecond', updated_at, now64(6)) / 1000 FROM {DATABASE}.mirror_status FINAL"
            f" WHERE slot = '{lab.slot}'"
        )[0]

    with lab.mirror():
        lab.wait_until_streaming()
        assert silent_seconds()[0] < 2
        processes = [server, *server.children(recursive=True)]
        for process in processes:
            process.suspend()
        try:
            wait_for(lambda: silent_seconds()[0] > 10, 40, "the source's silence is told")
            assert silent_seconds()[1] < 10
        finally:
            for process in processes:
                process.resume()
        wait_for(lambda: silent_seconds()[0] < 2, 40, "the source answers again")
        lab.execute("insert into t values (1, 1, 'x')")
        lab.catch_up()
        assert lab.assert_equal("t", "id, n, doc") == 1


def test_a_server_that_waits_for_a_standby_which_is_gone_is_told(
    restartable_lab: Lab, own_postgres: EmbeddedPostgres
) -> None:
    """After a failover the new primary may send nothing to a failover slot, without an error to the client."""
    lab = restartable_lab
    lab.execute(TABLE)
    lab.publish("t")
    with lab.mirror():
        lab.wait_until_streaming()
    lab.alter_slot("FAILOVER true")
    lab.execute("select pg_create_physical_replication_slot('standby')")
    lab.execute("alter system set synchronized_standby_slots = 'standby'", "select pg_reload_conf()")
    with lab.mirror():
        wait_for(lambda: lab.state() == "stalled", 30, "the stall is told")
        lab.execute("insert into t values (1, 1, 'x')")
        lab.execute("alter system reset synchronized_standby_slots", "select pg_reload_conf()")
        lab.catch_up()
        lab.wait_until_streaming()
        assert lab.assert_equal("t", "id, n, doc") == 1


def test_an_idle_source_is_no_stall(lab: Lab) -> None:
    lab.execute(TABLE)
    lab.publish("t")
    with lab.mirror():
        lab.wait_until_streaming()
        started = time.monotonic()
        wait_for(lambda: time.monotonic() - started > 7, 10, "more than the limit has passed")
        states = lab.query(f"SELECT DISTINCT state FROM {DATABASE}.mirror_status WHERE slot = '{lab.slot}'")
        assert ("stalled",) not in states
