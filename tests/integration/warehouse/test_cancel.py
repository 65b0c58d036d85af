"""Streaming without growth, cancelling, KILL QUERY, and the limit of concurrent queries."""

import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.integration.warehouse.processes import Http, Process
from tests.waiting import wait_for

ENDLESS = "SELECT sum(sipHash64(number)) FROM numbers(1000000000000)"


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A server of these tests' own: they measure its memory."""
    with Process(tmp_path_factory.mktemp("cancel")) as process:
        yield process


@pytest.fixture
def own(process: Process) -> Http:
    return process.http


def test_rests_under_500_mb(process: Process) -> None:
    assert process.rss_mb() < 500


@pytest.mark.parametrize("query_format", ["Native", "JSON", "CSVWithNames"])
def test_a_large_result_does_not_grow_the_server(process: Process, own: Http, query_format: str) -> None:
    own.sql("SELECT number FROM numbers(1000000) FORMAT Null")
    before = process.peak_mb()
    connection = own.connection()
    started = time.monotonic()
    connection.request("POST", "/", f"SELECT number, number AS b FROM numbers(20000000) FORMAT {query_format}")
    response = connection.getresponse()
    size = len(response.read(1))
    first = time.monotonic() - started
    while chunk := response.read(1 << 20):
        size += len(chunk)
    connection.close()
    assert size > 300_000_000
    assert first < 2
    assert process.peak_mb() - before < 120


def test_a_slow_reader_holds_the_query_back(process: Process, own: Http) -> None:
    before = process.rss_mb()
    with closing(own.open_query("SELECT number FROM numbers(100000000) FORMAT Native", query_id="slow-reader")):
        wait_for(lambda: own.running("slow-reader"), 10, "the query runs")
        rows = "SELECT read_rows FROM system.processes WHERE query_id = 'slow-reader'"
        last = -1

        def stands_still() -> bool:
            nonlocal last
            previous, last = last, int(own.sql(rows))
            return previous == last > 0

        wait_for(stands_still, 10, "the query waits for its reader", interval=0.3)
        assert last < 50_000_000
        assert process.rss_mb() - before < 120
    wait_for(lambda: not own.running("slow-reader"), 5, "the query ends with its reader")


@pytest.mark.parametrize(
    "query", [ENDLESS, "SELECT number FROM system.numbers", "SELECT sleepEachRow(0.1) FROM numbers(600) FORMAT CSV"]
)
@pytest.mark.parametrize("wait", [0, 1])
def test_a_query_ends_when_its_client_goes(own: Http, query: str, wait: int) -> None:
    limit = {"max_block_size": 1} if "sleep" in query else {}
    connection = own.open_query(query, query_id="left", wait_end_of_query=wait, **limit)
    wait_for(lambda: own.running("left"), 10, "the query runs")
    connection.close()
    started = time.monotonic()
    wait_for(lambda: not own.running("left"), 5, "the query is cancelled", interval=0.01)
    assert time.monotonic() - started < 2


def test_kill_query_by_the_clients_id(own: Http) -> None:
    with closing(own.open_query(ENDLESS, query_id="it's mine")) as connection:
        wait_for(lambda: own.running("it's mine"), 10, "the query runs")
        listed = own.sql("SELECT query_id, query FROM system.processes AS p WHERE p.query_id = 'it\\'s mine'")
        assert listed == f"it\\'s mine\t{ENDLESS}\\nFORMAT TabSeparated\n"
        killed = own.sql("KILL QUERY WHERE query_id = 'it\\'s mine' SYNC")
        assert killed.strip()
        assert _receive(connection, "QUERY_WAS_CANCELLED").startswith("HTTP/1.1 500")
    wait_for(lambda: not own.running("it's mine"), 5, "the query ends")


def test_a_running_query_id_is_not_given_twice(own: Http) -> None:
    with closing(own.open_query(ENDLESS, query_id="twice")) as connection:
        wait_for(lambda: own.running("twice"), 10, "the query runs")
        assert own.request(body="SELECT 1", query_id="twice").code == 216
        assert own.sql("SELECT 2", query_id="twice", replace_running_query=1) == "2\n"
        _receive(connection, "QUERY_WAS_CANCELLED")


def _receive(connection: socket.socket, text: str) -> str:
    """Read until `text` has come."""
    data = b""
    while text.encode() not in data:
        piece = connection.recv(65536)
        assert piece, f"the connection ended before {text}: {data!r}"
        data += piece
    return data.decode()


def _half_an_insert(own: Http, query_id: str) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", own.port), timeout=30)
    connection.sendall(
        f"POST /?query_id={query_id}&query=INSERT+INTO+half+FORMAT+TSV HTTP/1.1\r\nHost: localhost\r\n"
        "Transfer-Encoding: chunked\r\n\r\n4\r\n1\n2\n\r\n".encode()
    )
    return connection


def test_half_an_insert_commits_nothing(own: Http) -> None:
    own.sql("CREATE TABLE half (a Int8) ENGINE = MergeTree ORDER BY a")
    connection = _half_an_insert(own, "half-1")
    wait_for(lambda: own.running("half-1"), 10, "the insert runs")
    connection.close()
    wait_for(lambda: not own.running("half-1"), 5, "the insert is cancelled")
    assert own.sql("SELECT count() FROM half") == "0\n"
    with closing(_half_an_insert(own, "half-2")) as connection:
        wait_for(lambda: own.running("half-2"), 10, "the insert runs")
        own.sql("KILL QUERY WHERE query_id = 'half-2'")
        connection.sendall(b"2\r\n3\n\r\n0\r\n\r\n")
        _receive(connection, "QUERY_WAS_CANCELLED")
    with closing(_half_an_insert(own, "half-3")) as connection:
        wait_for(lambda: own.running("half-3"), 10, "the insert runs")
        connection.sendall(b"2\r\n3\n\r\n0\r\n\r\n")
        _receive(connection, "HTTP/1.1 200")
    assert own.sql("SELECT count() FROM half") == "3\n"


def test_a_large_insert_does_not_grow_the_server(process: Process, own: Http, tmp_path: Path) -> None:
    own.sql("CREATE TABLE large (a UInt64) ENGINE = Null")
    block = b"".join(b"%d\n" % number for number in range(100_000))
    before = process.peak_mb()
    connection = own.connection()
    connection.request("POST", "/?query=INSERT+INTO+large+FORMAT+TSV", (block for _ in range(300)), encode_chunked=True)
    response = connection.getresponse()
    assert response.status == 200
    assert '"written_rows":"30000000"' in response.headers["X-ClickHouse-Summary"]
    connection.close()
    assert process.peak_mb() - before < 150


def test_too_many_queries_are_refused_and_the_server_recovers(own: Http) -> None:
    connections = [
        own.open_query("SELECT sleepEachRow(1) FROM numbers(30)", query_id=f"many-{i}", max_block_size=1)
        for i in range(24)
    ]
    try:
        refused = own.request(body="SELECT 1")
        assert refused.code == 202, refused.text
        assert own.request("GET", "/ping").text == "Ok.\n"
    finally:
        for connection in connections:
            connection.close()
    wait_for(lambda: own.request(body="SELECT 1").text == "1\n", 15, "queries run again")
