"""The process of the embedded ClickHouse: durability, signals, the lock of its directory, and refreshable views."""

import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.integration.warehouse.processes import Process
from tests.ports import free_port
from tests.waiting import wait_for


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    with Process(tmp_path / "state") as process:
        yield process


def test_kill_9_loses_no_acknowledged_insert(process: Process) -> None:
    process.http.sql("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
    acknowledged: list[int] = []

    def insert(start: int) -> None:
        for number in range(start, start + 100_000):
            try:
                answer = process.http.request(body=f"{number}\n" * 3, query="INSERT INTO t FORMAT TSV")
            except OSError:
                return
            if answer.status == 200:
                acknowledged.append(number)

    writers = [threading.Thread(target=insert, args=(n * 1_000_000,)) for n in range(3)]
    for writer in writers:
        writer.start()
    wait_for(lambda: len(acknowledged) > 150, 30, "some inserts are acknowledged")
    assert process.stop(signal.SIGKILL) == -signal.SIGKILL
    for writer in writers:
        writer.join()
    process.start().wait_ready()
    rows = process.http.sql("SELECT a, count() FROM t GROUP BY a FORMAT TSV").splitlines()
    stored = {int(a): int(count) for a, count in (row.split("\t") for row in rows)}
    assert set(acknowledged) <= set(stored)
    assert len(stored) - len(acknowledged) <= 3
    assert set(stored.values()) == {3}


def test_sigterm_lets_a_short_query_finish(process: Process) -> None:
    with closing(process.http.open_query("SELECT sleep(2)", query_id="short")) as connection:
        wait_for(lambda: process.http.running("short"), 10, "the query runs")
        assert process.process is not None
        process.process.send_signal(signal.SIGTERM)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
        assert answer.startswith(b"HTTP/1.1 200")
        assert answer.endswith(b"\r\n\r\n0\n")
    assert process.process.wait(15) == 0
    assert "closed" in process.log.read_text()


def test_sigint_at_rest_ends_cleanly(process: Process) -> None:
    with closing(process.http.connection()) as idle:
        idle.request("GET", "/ping")
        assert idle.getresponse().read() == b"Ok.\n"
        assert process.stop(signal.SIGINT) == 0


def test_sigterm_cancels_what_takes_longer(process: Process) -> None:
    process.http.sql("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
    endless = process.http.open_query("SELECT sum(sipHash64(number)) FROM numbers(1000000000000)", query_id="endless")
    stalled = socket.create_connection(("127.0.0.1", process.port))
    stalled.sendall(
        b"POST /?query_id=stalled&query=INSERT+INTO+t+FORMAT+TSV HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Length: 100\r\n\r\n1\n2\n"
    )
    wait_for(lambda: process.http.running("endless") and process.http.running("stalled"), 10, "both run")
    started = time.monotonic()
    assert process.stop(timeout=15) == 0
    assert time.monotonic() - started < 10
    endless.close()
    stalled.close()
    process.start().wait_ready()
    assert process.http.sql("SELECT count() FROM t") == "0\n"


def test_a_second_process_is_refused_and_a_later_one_is_not(process: Process, tmp_path: Path) -> None:
    second = Process(tmp_path / "state").start()
    assert second.process is not None
    assert process.process is not None
    started = time.monotonic()
    assert second.process.wait(20) == 1
    assert time.monotonic() - started < 10
    assert f"in use by process {process.process.pid}" in second.log.read_text()
    assert process.http.sql("SELECT 1") == "1\n"
    process.stop(signal.SIGKILL)
    with Process(tmp_path / "state") as third:
        assert third.http.sql("SELECT 1") == "1\n"


def test_an_occupied_port_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as listener:
        process = Process(tmp_path, port=listener.getsockname()[1]).start()
        assert process.process is not None
        assert process.process.wait(20) == 1
    assert "is in use" in process.log.read_text()
    assert "JANGAR_QUANT_WAREHOUSE_PORT" in process.log.read_text()


def test_an_unwritable_state_directory_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    process = Process(tmp_path, JANGAR_QUANT_STATE_DIR=str(tmp_path / "file" / "state")).start()
    assert process.process is not None
    assert process.process.wait(20) == 1
    assert "cannot be written" in process.log.read_text()


def test_refreshable_views_go_on_while_queries_run_and_after_a_restart(process: Process) -> None:
    http = process.http
    http.sql("CREATE DATABASE m")
    http.sql("CREATE TABLE m.ticks (at DateTime64(3)) ENGINE = MergeTree ORDER BY at")
    http.sql("CREATE MATERIALIZED VIEW m.tick REFRESH EVERY 1 SECOND APPEND TO m.ticks AS SELECT now64(3) AS at")
    http.sql(
        "CREATE MATERIALIZED VIEW m.copy REFRESH EVERY 1 SECOND DEPENDS ON m.tick (n UInt64)"
        " ENGINE = MergeTree ORDER BY n AS SELECT count() AS n FROM m.ticks"
    )

    def ticks() -> int:
        return int(http.sql("SELECT count() FROM m.ticks"))

    def copies() -> int:
        return int(http.sql("SELECT max(n) FROM m.copy"))

    wait_for(lambda: copies() >= 2, 20, "the views refresh")
    busy = [
        http.open_query("SELECT sum(sipHash64(number)) FROM numbers(1000000000000)", query_id=f"b{n}") for n in range(4)
    ]
    before = ticks()
    wait_for(lambda: ticks() >= before + 2, 20, "the views refresh beside busy queries")
    for connection in busy:
        connection.close()
    process.stop(signal.SIGKILL)
    process.start().wait_ready()
    before = ticks()
    wait_for(lambda: ticks() >= before + 2 and copies() >= before, 20, "the views refresh after a restart")
    assert process.stop() == 0
