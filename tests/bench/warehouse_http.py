"""What the embedded ClickHouse's HTTP interface costs: prints a table. Run: python -m tests.bench.warehouse_http"""

import http.client
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.integration.warehouse.processes import Process
from tests.waiting import wait_for

ROWS = 2_000_000


def main() -> None:
    """Start a server, measure, print."""
    with tempfile.TemporaryDirectory() as directory, Process(Path(directory)) as process:
        lines = [("resident at rest", f"{process.rss_mb():.0f} MB")]
        for measure in (_latency, _parallel, _small_inserts, _inserts, _streams, _cancel):
            lines += measure(process)
        lines.append(("resident after all", f"{process.rss_mb():.0f} MB (peak {process.peak_mb():.0f} MB)"))
    width = max(len(name) for name, _ in lines)
    for name, value in lines:
        print(f"{name:<{width}}  {value}")


def _repeat(process: Process, requests: int, body: str, target: str = "/") -> list[float]:
    connection, seconds = process.http.connection(), []
    for _ in range(requests):
        started = time.perf_counter()
        connection.request("POST", target, body)
        response = connection.getresponse()
        assert response.status == 200, response.read()
        response.read()
        seconds.append(time.perf_counter() - started)
    connection.close()
    return seconds


def _latency(process: Process) -> list[tuple[str, str]]:
    _repeat(process, 50, "SELECT 1")
    seconds = sorted(_repeat(process, 1000, "SELECT 1"))
    rate = len(seconds) / sum(seconds)
    p50, p99 = statistics.median(seconds) * 1000, seconds[len(seconds) * 99 // 100] * 1000
    return [("SELECT 1, one keep-alive client", f"{rate:.0f}/s, p50 {p50:.2f} ms, p99 {p99:.2f} ms")]


def _parallel(process: Process) -> list[tuple[str, str]]:
    threads = [threading.Thread(target=_repeat, args=(process, 200, "SELECT 1")) for _ in range(8)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [("SELECT 1, eight clients", f"{1600 / (time.perf_counter() - started):.0f}/s")]


def _small_inserts(process: Process) -> list[tuple[str, str]]:
    process.http.sql("CREATE TABLE small (a UInt64) ENGINE = MergeTree ORDER BY a")
    seconds = _repeat(process, 200, "1\n", "/?query=INSERT+INTO+small+FORMAT+TSV")
    return [("one-row insert", f"{len(seconds) / sum(seconds):.0f}/s, p50 {statistics.median(seconds) * 1000:.2f} ms")]


def _inserts(process: Process) -> list[tuple[str, str]]:
    process.http.sql("CREATE TABLE large (a UInt64, b String, c Float64) ENGINE = MergeTree ORDER BY a")
    query = f"SELECT number, concat('symbol', toString(number % 100)), number / 7 FROM numbers({ROWS})"
    lines = []
    for name in ("TabSeparated", "Native"):
        data = process.http.request(body=f"{query} FORMAT {name}").body
        seconds = _timed(lambda: _send(process, data, f"INSERT+INTO+large+FORMAT+{name}"))  # noqa: B023
        lines.append((f"insert of {ROWS:,} rows, {name}", f"{ROWS / seconds:,.0f} rows/s, {_rate(len(data), seconds)}"))
    return lines


def _send(process: Process, data: bytes, query: str) -> None:
    answer = process.http.request(path=f"/?query={query}", body=data)
    assert answer.status == 200, answer.text


def _streams(process: Process) -> list[tuple[str, str]]:
    lines = []
    for name, encoding in (("Native", ""), ("TabSeparated", ""), ("JSONEachRow", ""), ("Native", "lz4")):
        before = process.rss_mb()
        size = 0

        def read() -> None:
            nonlocal size
            connection = process.http.connection()
            target = "/?enable_http_compression=1" if encoding else "/"  # noqa: B023
            query = f"SELECT number, number AS b FROM numbers(20000000) FORMAT {name}"  # noqa: B023
            connection.request("POST", target, query, {"Accept-Encoding": encoding})  # noqa: B023
            response: http.client.HTTPResponse = connection.getresponse()
            while chunk := response.read(1 << 20):
                size += len(chunk)
            connection.close()

        seconds = _timed(read)
        grown = f"resident {process.rss_mb() - before:+.0f} MB"
        lines.append((f"20M-row select, {name} {encoding}".rstrip(), f"{_rate(size, seconds)}, {grown}"))
    return lines


def _cancel(process: Process) -> list[tuple[str, str]]:
    query = "SELECT sum(sipHash64(number)) FROM numbers(1000000000000)"
    seconds = []
    for number in range(10):
        connection = process.http.open_query(query, query_id=f"cancel-{number}")
        wait_for(lambda: process.http.running(f"cancel-{number}"), 10, "the query runs")  # noqa: B023
        connection.close()
        started = time.perf_counter()
        wait_for(lambda: not process.http.running(f"cancel-{number}"), 10, "it ends", interval=0.001)  # noqa: B023
        seconds.append(time.perf_counter() - started)
    return [("cancel when the client has gone", f"p50 {statistics.median(seconds) * 1000:.0f} ms")]


def _timed(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _rate(size: int, seconds: float) -> str:
    return f"{size / seconds / 1e6:,.0f} MB/s"


if __name__ == "__main__":
    main()
