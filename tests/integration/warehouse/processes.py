"""Embedded ClickHouse processes of the warehouse tests, and raw HTTP to talk to them."""

import http.client
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from urllib.parse import quote, urlencode

from tests.ports import free_port
from tests.waiting import wait_for


@dataclass
class Answer:
    """A whole HTTP response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def code(self) -> int:
        """ClickHouse's exception code, 0 when there is none."""
        return int(self.headers.get("x-clickhouse-exception-code", 0))


@dataclass
class Http:
    """One server's HTTP interface, by hand."""

    port: int
    headers: dict[str, str] = field(default_factory=dict)

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def request(
        self,
        method: str = "POST",
        path: str = "/",
        body: bytes | str | None = None,
        headers: dict[str, str] | None = None,
        **params: object,
    ) -> Answer:
        """Send one request with `params` in the URL and read the response to its end."""
        connection = self.connection()
        try:
            target = f"{path}?{urlencode({k: str(v) for k, v in params.items()}, quote_via=quote)}" if params else path
            data = body.encode() if isinstance(body, str) else body
            connection.request(method, target, data, {**self.headers, **(headers or {})})
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def sql(self, query: str, **params: object) -> str:
        """Run a query and return its text; an error fails the test."""
        answer = self.request(body=query, **params)
        assert answer.status == 200, answer.text
        return answer.text

    def open_query(self, query: str, **params: object) -> socket.socket:
        """Send a query and return the socket without reading the response."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        target = "/?" + urlencode({k: str(v) for k, v in params.items()}, quote_via=quote)
        data = query.encode()
        connection.sendall(
            f"POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data
        )
        return connection

    def running(self, query_id: str) -> int:
        """How many running queries have this id."""
        return int(self.sql("SELECT count() FROM system.processes WHERE query_id = {id:String}", param_id=query_id))


class Process:
    """`jangar-quant warehouse` on a directory and a free port, as a context manager."""

    def __init__(self, state: Path, port: int | None = None, **environment: str) -> None:
        self.port = port or free_port()
        self.http = Http(self.port)
        self.log = state / "warehouse.log"
        self._state = state
        self._environment = environment
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Process":
        """Start it without waiting."""
        self._state.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "orchestration", "warehouse"],
                env={
                    **os.environ,
                    "JANGAR_QUANT_STATE_DIR": str(self._state),
                    "JANGAR_QUANT_WAREHOUSE_PORT": str(self.port),
                    **self._environment,
                },
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return self

    def wait_ready(self) -> "Process":
        wait_for(self._answers, 60, f"the warehouse answers: {self.log.read_text()}")
        return self

    def _answers(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(self.log.read_text())
        return self.http.request("GET", "/ping").text == "Ok.\n"

    def rss_mb(self) -> float:
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def peak_mb(self) -> float:
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024

    def stop(self, number: int = signal.SIGTERM, timeout: float = 20) -> int:
        """Send a signal, wait for the end, and return the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout)

    def __enter__(self) -> "Process":
        return self.start().wait_ready()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is not None and self.process.poll() is None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
