"""The response of one request: ClickHouse's headers, streamed bodies, errors before and inside a body."""

import asyncio
import json
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from orchestration.warehouse import blocks
from orchestration.warehouse.compression import compress
from orchestration.warehouse.engine import Result
from orchestration.warehouse.execution import Job
from orchestration.warehouse.status import REQUIRED_PASSWORD, QueryError

logger = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]

_LITERAL = re.compile(r"'(?:[^'\\]|\\.|'')*'?", re.DOTALL)
_LOGGED_STATEMENT = 2000

# A client that takes nothing for so long is gone.
_SEND_SECONDS = 300.0

_CONTENT_TYPES = {
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "TSV": "text/tab-separated-values; charset=UTF-8",
    "TabSeparatedWithNames": "text/tab-separated-values; charset=UTF-8; header=present",
    "TSVWithNames": "text/tab-separated-values; charset=UTF-8; header=present",
    "TabSeparatedWithNamesAndTypes": "text/tab-separated-values; charset=UTF-8; header=present",
    "TSVWithNamesAndTypes": "text/tab-separated-values; charset=UTF-8; header=present",
    "CSV": "text/csv; charset=UTF-8; header=absent",
    "CSVWithNames": "text/csv; charset=UTF-8; header=present",
    "CSVWithNamesAndTypes": "text/csv; charset=UTF-8; header=present",
    "JSON": "application/json; charset=UTF-8",
    "JSONStrings": "application/json; charset=UTF-8",
    "JSONCompact": "application/json; charset=UTF-8",
    "JSONCompactStrings": "application/json; charset=UTF-8",
    "JSONColumnsWithMetadata": "application/json; charset=UTF-8",
    "JSONColumns": "application/json; charset=UTF-8",
    "JSONCompactColumns": "application/json; charset=UTF-8",
    "JSONObjectEachRow": "application/json; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
    "JSONLines": "application/x-ndjson; charset=UTF-8",
    "NDJSON": "application/x-ndjson; charset=UTF-8",
    "JSONCompactEachRow": "application/x-ndjson; charset=UTF-8",
    "XML": "application/xml; charset=UTF-8",
    "Markdown": "text/markdown; charset=UTF-8",
    "Native": "application/octet-stream",
    "RowBinary": "application/octet-stream",
    "RowBinaryWithNames": "application/octet-stream",
    "RowBinaryWithNamesAndTypes": "application/octet-stream",
    "Parquet": "application/octet-stream",
    "ORC": "application/octet-stream",
    "Arrow": "application/octet-stream",
    "ArrowStream": "application/octet-stream",
    "Avro": "application/octet-stream",
    "Npy": "application/octet-stream",
    "MsgPack": "application/octet-stream",
}


class StreamBroken(Exception):
    """A response that has begun cannot be completed; the connection is cut so that no client takes it for whole."""


class Exchange:
    """The response of one request."""

    def __init__(self, method: str, send: Send, version: str) -> None:
        self._version = version
        self._send = send
        self._head_only = method == "HEAD"
        self._started = False
        self._started_at = time.perf_counter_ns()
        self.query_id = ""
        self.user = ""
        self.statement = ""
        self.in_blocks = False
        self.tag = secrets.token_hex(8)

    async def text(self, status: int, text: str) -> None:
        """Answer with a short text."""
        await self._headers(status, [(b"content-type", b"text/html; charset=UTF-8")], len(text.encode()))
        await self._body(text.encode())

    async def error(self, error: QueryError) -> None:
        """Answer with an error, or break off when the answer has begun."""
        self._log(error)
        if self._started:
            raise StreamBroken(error.text)
        body = f"{error.text} (version {self._version} (official build))\n".encode()
        headers = [
            (b"content-type", b"text/plain; charset=UTF-8"),
            (b"x-clickhouse-exception-code", str(error.code).encode()),
        ]
        if error.code == REQUIRED_PASSWORD:
            headers.append((b"www-authenticate", b'Basic realm="ClickHouse server HTTP API"'))
        await self._headers(error.status, [*headers, *self._summary(None)], len(body))
        await self._body(body)

    def abandon(self) -> None:
        """The client has gone: nothing more to say."""
        logger.info("query_id=%s cancelled: the client closed the connection", self.query_id)
        self._started = True

    async def complete(self, job: Job, result: Result, body: bytes) -> None:
        """Answer with a whole result."""
        encoding = job.encoding if job.has_output and body and not result.data else None
        if self.in_blocks:
            body = blocks.encode(body)
        await self._headers(200, self._success(job, result, encoding), len(body))
        await self._body(body)

    async def begin(self, job: Job, result: Result | None, size: int | None) -> None:
        """Send the head of a result that follows in chunks, of `size` bytes in all where that is known."""
        await self._headers(200, self._success(job, result, job.encoding), None if self.in_blocks else size)

    async def send_chunk(self, chunk: bytes) -> None:
        """Send a part of the body; waits while the client is slower than the engine."""
        if self._head_only or not chunk:
            return
        if self.in_blocks:
            chunk = blocks.encode(chunk)
        try:
            async with asyncio.timeout(_SEND_SECONDS):
                await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
        except TimeoutError:
            raise StreamBroken("The client takes no more data.") from None

    async def end(self) -> None:
        """Complete the body."""
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def break_off(self, job: Job, error: QueryError) -> None:
        """Tell the error inside a body that has begun, as ClickHouse 25.11 and later do, and cut the connection."""
        self._log(error)
        text = f"{error.text} (version {self._version} (official build))\n"
        length = len(text.encode())
        block = f"\r\n__exception__\r\n{self.tag}\r\n{text}{length} {self.tag}\r\n__exception__\r\n".encode()
        await self.send_chunk(compress(job.encoding, block))
        raise StreamBroken(error.text)

    def _success(self, job: Job, result: Result | None, encoding: str | None) -> list[tuple[bytes, bytes]]:
        name = job.output_format
        headers = [
            (b"content-type", _CONTENT_TYPES.get(name, "text/plain; charset=UTF-8").encode()),
            (b"x-clickhouse-format", name.encode()),
            (b"x-clickhouse-exception-tag", self.tag.encode()),
        ]
        if encoding:
            headers.append((b"content-encoding", encoding.encode()))
            headers.append((b"vary", b"Accept-Encoding"))
        return headers + self._summary(result)

    def _summary(self, result: Result | None) -> list[tuple[bytes, bytes]]:
        counters = {
            "read_rows": result.read_rows if result else 0,
            "read_bytes": result.read_bytes if result else 0,
            "written_rows": result.written_rows if result else 0,
            "written_bytes": result.written_bytes if result else 0,
            "total_rows_to_read": 0,
            "result_rows": (result.written_rows or result.result_rows) if result else 0,
            "result_bytes": (result.written_bytes or result.result_bytes) if result else 0,
            "elapsed_ns": time.perf_counter_ns() - self._started_at,
        }
        summary = json.dumps({name: str(value) for name, value in counters.items()}, separators=(",", ":"))
        return [
            (b"x-clickhouse-summary", summary.encode()),
            (b"x-clickhouse-query-id", _header_safe(self.query_id)),
            (b"x-clickhouse-timezone", b"UTC"),
            (b"x-clickhouse-server-display-name", b"jangar-quant"),
        ]

    async def _headers(self, status: int, headers: list[tuple[bytes, bytes]], size: int | None) -> None:
        self._started = True
        if size is not None:
            headers = [*headers, (b"content-length", str(size).encode())]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def _body(self, body: bytes) -> None:
        await self._send({"type": "http.response.body", "body": b"" if self._head_only else body})

    def _log(self, error: QueryError) -> None:
        statement = self.statement[:_LOGGED_STATEMENT]
        text = error.text[:_LOGGED_STATEMENT]
        # A literal may be a password, and ClickHouse repeats parts of the statement in its errors.
        for literal in set(_LITERAL.findall(statement)):
            text = text.replace(literal, "'?'")
        statement = _LITERAL.sub("'?'", statement)
        text, statement = (" ".join(part.split())[:300] for part in (text, statement))
        logger.warning("query_id=%s failed code=%d %s | %s", self.query_id, error.code, text, statement)


def _header_safe(text: str) -> bytes:
    return "".join(char for char in text if char.isprintable())[:200].encode("utf-8", errors="replace")
