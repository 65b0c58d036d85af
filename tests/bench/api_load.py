"""The API under load, in the product as `make up` starts it without Dagster: requests by wrk without a pause and by hey
at a rate (both Debian packages), beside a FastAPI route that returns a constant of the same size; series, frames of the
past; many listeners.

Delays of events are counted from the `as_of` of the frame that they tell of, the tick itself a part of them, and from
when the frame could be read.
"""

import argparse
import asyncio
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import httpx
import psutil
from clickhouse_connect.driver.client import Client
from rich.console import Console
from rich.table import Table

from tests.bench.large_desk import start_large_desk
from tests.e2e.running import QUANT, RunningUp
from tests.ports import free_port
from tests.waiting import wait_for

SECONDS = 20
CONNECTIONS = 16
# What is asked of the API, by so many clients.
RATE = 600
RATE_CLIENTS = 20
WATCH_SECONDS = 0.1
TICK_SECONDS = 60
_TICKS = (
    "select quantiles(0.5, 0.95, 0.99)(toUnixTimestamp64Milli(as_of) - before),"
    " quantiles(0.5, 0.95, 0.99)(taken_ms) from (select *, lagInFrame(toUnixTimestamp64Milli(as_of), 1,"
    " toUnixTimestamp64Milli(as_of)) over (order by as_of) as before from quant.api_ticks"
    " where as_of > now() - toIntervalSecond({seconds:UInt32}) order by as_of limit 1, 1000)"
)
_CONSTANT = """
import sys, uvicorn
from fastapi import FastAPI, Response
app, body = FastAPI(), b"x" * int(sys.argv[2])
@app.get("/constant")
async def constant() -> Response:
    return Response(body, media_type="application/json")
uvicorn.run(app, port=int(sys.argv[1]), log_config=None)
"""


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def _wrk(url: str) -> tuple[float, str, int]:
    """Requests per second, the 99th percentile as wrk writes it, and answers other than 2xx."""
    run = subprocess.run(
        ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "--latency", url],
        capture_output=True,
        text=True,
        check=True,
    )
    rate = re.search(r"Requests/sec:\s+([\d.]+)", run.stdout)
    p99 = re.search(r"99%\s+(\S+)", run.stdout)
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", run.stdout)
    assert rate
    assert p99
    return float(rate[1]), p99[1], int(bad[1]) if bad else 0


def _hey(url: str) -> tuple[float, list[str], int]:
    """Requests per second of as many as were to be, three quantiles of their latency, answers other than 200."""
    run = subprocess.run(
        ["hey", "-z", f"{SECONDS}s", "-c", str(RATE_CLIENTS), "-q", str(RATE // RATE_CLIENTS), url],
        capture_output=True,
        text=True,
        check=True,
    )
    rate = re.search(r"Requests/sec:\s+([\d.]+)", run.stdout)
    assert rate
    quantiles = re.findall(r"(?:50|95|99)% in ([\d.]+) secs", run.stdout)
    answers = {code: int(count) for code, count in re.findall(r"\[(\d+)\]\s+(\d+) responses", run.stdout)}
    return float(rate[1]), [f"{float(one) * 1000:,.0f} ms" for one in quantiles], sum(answers.values()) - answers["200"]


@contextmanager
def _constant(size: int) -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", _CONSTANT, str(port), str(size)])
    url = f"http://127.0.0.1:{port}/constant"
    try:
        wait_for(lambda: httpx.get(url).status_code == 200, 30, "the constant")
        yield url
    finally:
        process.terminate()
        process.wait()


def _timed(client: httpx.Client, path: str, times: int) -> list[float]:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        answer = client.get(path)
        assert answer.status_code == 200, answer.text
        taken.append(time.perf_counter() - began)
    return taken


class Told(NamedTuple):
    """An event of a listener: the frame that it tells of, and when it came."""

    as_of: datetime
    at: float


async def _watch(warehouse: Client, until: float, readable: dict[datetime, float]) -> None:
    """Note of each frame when it could be read: at the latest look that did not find it yet."""
    newest, looked_at = None, time.time()
    while asyncio.get_running_loop().time() < until:
        began = time.time()
        found = await asyncio.to_thread(
            warehouse.command, "select toUnixTimestamp64Milli(max(as_of)) from quant.quant_metrics_latest"
        )
        if found != newest:
            readable[datetime.fromtimestamp(int(str(found)) / 1000, UTC)] = looked_at
        newest, looked_at = found, began
        await asyncio.sleep(WATCH_SECONDS)


async def _listen(port: int, path: str, until: float, events: list[Told]) -> int:
    """One listener; returns how many events it was told."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    told, is_delta = 0, False
    try:
        async with asyncio.timeout_at(until):
            while line := await reader.readline():
                if line.startswith(b"event: "):
                    is_delta = line.strip() == b"event: quant.metrics.delta"
                elif is_delta and line.startswith(b"data: "):
                    told += 1
                    found = re.search(rb'"as_of": ?"([^"]+)"', line)
                    assert found
                    as_of = datetime.fromisoformat(found[1].decode().replace("Z", "+00:00"))
                    events.append(Told(as_of, time.time()))
                    is_delta = False
    except TimeoutError:
        pass
    finally:
        writer.close()
    return told


async def _listeners(
    port: int, path: str, count: int, seconds: float, warehouse: Client
) -> tuple[list[int], list[float], list[float]]:
    """Events of each; their delays behind the moment of the frame, and behind when it could be read."""
    events: list[Told] = []
    readable: dict[datetime, float] = {}
    until = asyncio.get_running_loop().time() + seconds
    watch = asyncio.create_task(_watch(warehouse, until, readable))
    told = await asyncio.gather(*(_listen(port, path, until, events) for _ in range(count)))
    await watch
    return (
        list(told),
        [event.at - event.as_of.timestamp() for event in events],
        [event.at - readable[event.as_of] for event in events if event.as_of in readable],
    )


def _api_process(port: int) -> psutil.Process:
    return next(
        psutil.Process(connection.pid)
        for connection in psutil.net_connections("tcp")
        if connection.status == "LISTEN" and connection.laddr.port == port and connection.pid
    )


def main() -> None:
    """Start everything in a temporary place, measure, stop."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--listeners", type=int, default=1000)
    parser.add_argument("--copies", type=int, default=1, help="of the desk: 34 are 204 strategy-accounts")
    parser.add_argument("--days", type=int, default=30, help="of history")
    arguments = parser.parse_args()
    console = Console()
    if missing := [tool for tool in ("wrk", "hey") if shutil.which(tool) is None]:
        console.print(f"not there: apt-get install {' '.join(missing)}")
        return
    table = Table("what", "rate", "p50", "p95", "p99", "notes")
    with tempfile.TemporaryDirectory() as directory:
        up = RunningUp(
            Path(directory) / "state",
            environment={
                "JANGAR_QUANT_DESK_HISTORY_DAYS": str(arguments.days),
                "JANGAR_QUANT_API_REQUESTS_PER_SECOND": "100000",
                "JANGAR_QUANT_API_STREAMS_PER_CLIENT": "5000",
            },
        )
        try:
            start_large_desk(up, arguments.copies)
            port = int(up.ports["JANGAR_QUANT_API_PORT"])
            base = f"http://127.0.0.1:{port}"
            snapshot = f"{QUANT}/snapshot?account=paper-crypto&window=1d"
            api = _api_process(port)
            with httpx.Client(base_url=base, timeout=60) as client:
                size = len(client.get(snapshot).content)
                with _constant(size) as url:
                    rate, p99, bad = _wrk(url)
                    table.add_row("a constant of that size", f"{rate:,.0f}/s", "", "", p99, f"{bad} refused")
                rate, p99, bad = _wrk(base + snapshot)
                table.add_row("snapshot", f"{rate:,.0f}/s", "", "", p99, f"{size:,} bytes, {bad} refused")
                rate, at_rate, bad = _hey(base + snapshot)
                notes = f"{RATE_CLIENTS} clients, {bad} refused"
                table.add_row(f"snapshot, {RATE}/s", f"{rate:,.0f}/s", *at_rate, notes)
                moment = (datetime.now(UTC) - timedelta(seconds=10)).isoformat().replace("+00:00", "Z")
                recorded = f"{snapshot}&as_of={moment}&recorded=true"
                wait_for(lambda: client.get(recorded).status_code == 200, 120, "a frame of a moment ago")
                for name, path, times in (
                    (
                        "series, 10,000 points",
                        f"{QUANT}/series?account=paper-crypto&metrics=net_pnl&max_points=10000",
                        40,
                    ),
                    ("snapshot of the past, recorded", recorded, 40),
                    ("snapshot of the past, computed", f"{snapshot}&as_of={moment}", 10),
                ):
                    taken = _timed(client, path, times)
                    row = [f"{_quantile(taken, share) * 1000:,.0f} ms" for share in (0.5, 0.95, 0.99)]
                    table.add_row(name, "", *row, f"{times} one after the other")
            with up.warehouse() as warehouse:
                cadence, taking = (
                    [f"{one:,.0f} ms" for one in row]
                    for row in warehouse.query(_TICKS, parameters={"seconds": TICK_SECONDS}).result_rows[0]
                )
            table.add_row("from tick to tick", "", *cadence, f"of the last {TICK_SECONDS} s")
            table.add_row("a tick, to what is known", "", *taking, "")
            api.cpu_percent()
            stream = f"{QUANT}/stream?account=paper-crypto&window=1d"
            with up.warehouse() as warehouse:
                told, delays, behind = asyncio.run(_listeners(port, stream, arguments.listeners, 45, warehouse))
            load, memory = api.cpu_percent(), api.memory_info().rss / 1e6
            notes = f"{statistics.mean(told):.1f} events each, API {load:.0f}% of a core, {memory:.0f} MB"
            for name, values, note in (
                (f"{arguments.listeners:,} listeners, behind the frame's moment", delays, notes),
                ("behind when it could be read", behind, f"{len(behind):,} of {len(delays):,} events"),
            ):
                row = [f"{_quantile(values, share) * 1000:,.0f} ms" for share in (0.5, 0.95, 0.99)]
                table.add_row(name, "", *row, note)
        finally:
            up.stop()
    console.print(table)


if __name__ == "__main__":
    main()
