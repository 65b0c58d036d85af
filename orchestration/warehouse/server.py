"""The HTTP interface of the embedded ClickHouse as an ASGI application: the non-blocking half of every request."""

import asyncio
import contextlib
import logging
import tempfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from orchestration.warehouse import blocks
from orchestration.warehouse.access import Accounts
from orchestration.warehouse.body import Body, ClientGone, read_statement
from orchestration.warehouse.compression import decoder, response_encoding
from orchestration.warehouse.engine import Engine, Result
from orchestration.warehouse.exchange import Exchange, StreamBroken
from orchestration.warehouse.execution import Job, execute
from orchestration.warehouse.pipes import Pipe
from orchestration.warehouse.request import parse_request
from orchestration.warehouse.running import RunningQueries, RunningQuery
from orchestration.warehouse.sessions import Session, Sessions
from orchestration.warehouse.status import (
    NOT_IMPLEMENTED,
    QUERY_WAS_CANCELLED,
    TOO_MANY_SIMULTANEOUS_QUERIES,
    UNKNOWN_EXCEPTION,
    QueryError,
    server_error,
)

logger = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# Each running query holds a thread and up to a profile's memory; two cores gain nothing from more.
MAX_QUERIES = 24
QUEUE_SECONDS = 5.0

# Between two attempts to cancel a query that the engine does not list yet.
_RETRY_SECONDS = 0.01

# Held back before the status goes out, so that a query that fails early fails with its status, not in mid-stream.
_HOLD_BYTES = 256 << 10
_HOLD_SECONDS = 0.25
# Results of `wait_end_of_query` beyond this wait in a temporary file.
_SPOOL_BYTES = 4 << 20

_NOT_FOUND = (
    "There is no handle {path}\n\nUse / or /ping for health checks.\nSend queries from your program with POST method "
    "or GET /?query=...\n"
)


class WarehouseServer:
    """ASGI application over one engine."""

    def __init__(self, engine: Engine, accounts: Accounts) -> None:
        self._engine = engine
        self._accounts = accounts
        self._sessions = Sessions()
        self._running = RunningQueries(engine)
        self._workers = ThreadPoolExecutor(MAX_QUERIES, thread_name_prefix="query")
        self._slots = asyncio.Semaphore(MAX_QUERIES)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        exchange = Exchange(scope["method"], send, self._engine.version)
        if scope["path"] in ("/ping", "/replicas_status"):
            await exchange.text(200, "Ok.\n")
            return
        # As a ClickHouse server does: a POST is a query whatever its path.
        if scope["path"] != "/" and scope["method"] != "POST":
            await exchange.text(404, _NOT_FOUND.format(path=scope["path"][:200]))
            return
        if scope["method"] in ("GET", "HEAD") and b"query=" not in scope["query_string"]:
            await exchange.text(200, "Ok.\n")
            return
        try:
            await self._query(scope, receive, exchange)
        except QueryError as error:
            await exchange.error(error)
        except ClientGone:
            exchange.abandon()
        except StreamBroken:
            raise
        except Exception as error:
            logger.exception("query_id=%s failed inside the server", exchange.query_id)
            await exchange.error(server_error(UNKNOWN_EXCEPTION, f"{type(error).__name__} in the server"))

    async def expire_sessions(self) -> None:
        """Close sessions as their timeouts pass, until cancelled."""
        while True:
            await asyncio.sleep(1)
            self._sessions.expire()

    async def close(self) -> None:
        """Cancel what still runs and release every handle; the engine may be closed after."""
        await self._running.cancel_all()
        await asyncio.get_running_loop().run_in_executor(None, self._workers.shutdown)
        self._running.close()
        self._sessions.close()

    async def _query(self, scope: Message, receive: Receive, exchange: Exchange) -> None:
        request = parse_request(scope["method"], scope["query_string"], dict(scope["headers"]))
        exchange.query_id = request.query_id = request.query_id or str(uuid.uuid4())
        exchange.user = request.user
        role = self._accounts.authenticate(request)
        decoders = [decoder(request.content_encoding)]
        if request.native_compress or request.native_decompress:
            if not blocks.checksums_available():
                raise server_error(
                    NOT_IMPLEMENTED,
                    "compress=1 and decompress=1 need the package clickhouse-cityhash in the server; "
                    "use Accept-Encoding and Content-Encoding.",
                )
            exchange.in_blocks = request.native_compress
            if request.native_decompress:
                decoders.append(blocks.BlockDecoder())
        body = Body(receive, decoders)
        statement = await read_statement(request, body)
        exchange.statement = statement.text
        session: Session | None = None
        if request.session_id:
            session = self._sessions.acquire(
                role.value, request.session_id, request.session_timeout, request.session_check
            )
        try:
            running = await self._running.add(request.query_id, request.replace_running, QUEUE_SECONDS)
            try:
                async with self._slot():
                    pipe = Pipe(engine_writes=statement.insert is None)
                    job = Job(request, role, running, pipe, statement.text, statement.insert, session)
                    job.encoding = response_encoding(request.accept_encoding)
                    if statement.insert is not None:
                        await self._insert(job, statement.rows, body, exchange)
                    else:
                        await self._read(job, body, exchange)
            finally:
                self._running.remove(running)
        finally:
            if session is not None:
                self._sessions.release(session)

    @contextlib.asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        """Hold one of the places for running queries."""
        try:
            await asyncio.wait_for(self._slots.acquire(), QUEUE_SECONDS)
        except TimeoutError:
            raise server_error(
                TOO_MANY_SIMULTANEOUS_QUERIES, f"Too many simultaneous queries. Maximum: {MAX_QUERIES}."
            ) from None
        try:
            yield
        finally:
            self._slots.release()

    def _start(self, job: Job) -> "asyncio.Future[Result]":
        work = asyncio.get_running_loop().run_in_executor(self._workers, execute, self._engine, job)
        # The error of a query whose client has gone interests nobody; unread, asyncio would log it.
        work.add_done_callback(lambda done: done.cancelled() or done.exception())
        return work

    async def _insert(self, job: Job, rows: bytes, body: Body, exchange: Exchange) -> None:
        work = self._start(job)
        try:
            try:
                await job.pipe.write(rows)
                while piece := await body.read():
                    await job.pipe.write(piece)
            except BrokenPipeError:
                # The engine has stopped reading: its error is the answer.
                await body.drain()
            else:
                watch = asyncio.create_task(self._cancel_when_gone(body.wait_gone, job.running, work))
                job.pipe.close_near()
                try:
                    await asyncio.wait([work])
                finally:
                    watch.cancel()
        except BaseException:
            await self._abort(job, work)
            raise
        finally:
            job.pipe.close_near()
        result = await _outcome(work)
        if job.running.cancelled:
            raise server_error(QUERY_WAS_CANCELLED, "Query was cancelled.")
        await exchange.complete(job, result, b"")

    async def _read(self, job: Job, body: Body, exchange: Exchange) -> None:
        work = self._start(job)
        watch = asyncio.create_task(self._cancel_when_gone(body.wait_gone, job.running, work))
        try:
            if job.request.wait_end:
                await self._answer_whole(job, work, exchange, watch)
            else:
                await self._answer_streaming(job, work, exchange, watch)
        except BaseException:
            await self._abort(job, work)
            raise
        finally:
            watch.cancel()
            job.pipe.close_near()

    async def _cancel_when_gone(
        self, gone: Callable[[], Awaitable[None]], running: RunningQuery, work: "asyncio.Future[Result]"
    ) -> None:
        await gone()
        if not work.done():
            cancelling = asyncio.ensure_future(self._kill(running, work))
            await asyncio.shield(cancelling)

    async def _kill(self, running: RunningQuery, work: "asyncio.Future[Result]") -> None:
        """Cancel a query and return when its worker is free again."""
        work.add_done_callback(lambda _: running.finished.set())
        if not work.done():
            await self._running.cancel(running)

    async def _abort(self, job: Job, work: "asyncio.Future[Result]") -> None:
        """End a query whose response nobody will read; shielded, because the server may be stopping."""
        await asyncio.shield(asyncio.ensure_future(self._end(job, work)))

    async def _end(self, job: Job, work: "asyncio.Future[Result]") -> None:
        if work.done():
            return
        job.running.cancelled = True
        if job.insert is not None:
            # Nothing may be committed of an incomplete body: the engine must know before it sees the data end.
            while not work.done() and not await self._running.tell(job.running):
                await asyncio.sleep(_RETRY_SECONDS)
        job.pipe.close_near()
        await self._kill(job.running, work)

    async def _answer_whole(
        self, job: Job, work: "asyncio.Future[Result]", exchange: Exchange, watch: "asyncio.Task[None]"
    ) -> None:
        with tempfile.SpooledTemporaryFile(_SPOOL_BYTES) as spool:
            while chunk := await job.pipe.read():
                spool.write(chunk)
            result = await _outcome(work)
            watch.cancel()
            size = spool.tell()
            if not size:
                await exchange.complete(job, result, result.data)
                return
            spool.seek(0)
            await exchange.begin(job, result, size)
            while chunk := spool.read(_HOLD_BYTES):
                await exchange.send_chunk(chunk)
            await exchange.end()

    async def _answer_streaming(
        self, job: Job, work: "asyncio.Future[Result]", exchange: Exchange, watch: "asyncio.Task[None]"
    ) -> None:
        held: list[bytes] = []
        size = 0
        deadline: float | None = None
        while size < _HOLD_BYTES:
            try:
                async with asyncio.timeout_at(deadline):
                    chunk = await job.pipe.read()
            except TimeoutError:
                break
            if not chunk:
                result = await _outcome(work)
                watch.cancel()
                await exchange.complete(job, result, b"".join(held) or result.data)
                return
            held.append(chunk)
            size += len(chunk)
            deadline = deadline or asyncio.get_running_loop().time() + _HOLD_SECONDS
        await exchange.begin(job, None, None)
        await exchange.send_chunk(b"".join(held))
        while chunk := await job.pipe.read():
            await exchange.send_chunk(chunk)
        try:
            await _outcome(work)
        except QueryError as error:
            watch.cancel()
            await exchange.break_off(job, error)
        watch.cancel()
        await exchange.end()


async def _outcome(work: "asyncio.Future[Result]") -> Result:
    """Wait for the worker. Awaiting the future itself would mark it done when this task is cancelled."""
    await asyncio.wait([work])
    return work.result()
