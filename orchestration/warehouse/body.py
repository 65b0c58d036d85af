"""The body of a request as it arrives: decoded piece by piece, never held whole unless it is the query itself."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from orchestration.warehouse.compression import Decoder
from orchestration.warehouse.request import Request, add_form, is_form
from orchestration.warehouse.sql import InsertQuery, split_insert
from orchestration.warehouse.status import BAD_ARGUMENTS, QUERY_IS_TOO_LARGE, server_error

# A client that sends nothing for so long in the middle of a body is gone.
_IDLE_SECONDS = 300.0

# The statement of an INSERT ends within this (max_query_size); rows follow. Any other query is held whole.
_STATEMENT_BYTES = 256 << 10
_QUERY_BYTES = 64 << 20

# Read and thrown away after an INSERT has failed, so that the client gets to read the error.
_DRAIN_BYTES = 1 << 30


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


class Body:
    """A request body; `read` returns decoded pieces of at most 1 MiB."""

    def __init__(self, receive: Callable[[], Awaitable[MutableMapping[str, Any]]], decoders: list[Decoder]) -> None:
        """`decoders` apply in this order."""
        self._receive = receive
        self._decoders = decoders
        self._pieces: deque[bytes] = deque()
        self._complete = False

    async def read(self) -> bytes:
        """Return the next piece, or nothing at the end.

        Raises:
            ClientGone: the connection closed, or nothing came for five minutes.
            QueryError: the compressed data is corrupt or incomplete.
        """
        while not self._pieces:
            if self._complete:
                return b""
            pieces = [await self._next()]
            for decoder in self._decoders:
                pieces = [decoded for piece in pieces for decoded in decoder.decode(piece)]
            self._pieces.extend(pieces)
            if self._complete:
                for decoder in self._decoders:
                    decoder.finish()
        return self._pieces.popleft()

    async def drain(self) -> None:
        """Read the rest of the body, undecoded, and forget it."""
        size = 0
        while not self._complete and size < _DRAIN_BYTES:
            size += len(await self._next())

    async def wait_gone(self) -> None:
        """Return when the client has closed the connection; only after the body has been read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _next(self) -> bytes:
        try:
            async with asyncio.timeout(_IDLE_SECONDS):
                message = await self._receive()
        except TimeoutError:
            raise ClientGone from None
        if message["type"] == "http.disconnect":
            raise ClientGone
        self._complete = not message.get("more_body", False)
        data: bytes = message.get("body", b"")
        return data


class Statement:
    """A request's statement: either an INSERT with the rows that have arrived so far, or the whole text."""

    def __init__(self, text: str, insert: InsertQuery | None = None, rows: bytes = b"") -> None:
        self.text = text
        self.insert = insert
        self.rows = rows


async def read_statement(request: Request, body: Body) -> Statement:
    """Read as much of the body as the statement needs: the rows of an INSERT stay in `body`, save the first ones.

    Raises:
        QueryError: the query is too large, empty, or not UTF-8.
    """
    if is_form(request):
        form = bytearray()
        await _fill(body, form, _QUERY_BYTES)
        add_form(request, bytes(form))
        return _statement(request.query.encode())
    start = bytearray(request.query.encode())
    complete = await _fill_statement(body, start, separator=b"\n" if start else b"")
    statement = _statement(bytes(start))
    if statement.insert is None and not complete:
        await _fill(body, start, _QUERY_BYTES)
        statement = _statement(bytes(start))
    return statement


def _statement(data: bytes) -> Statement:
    insert = split_insert(data[: 2 * _STATEMENT_BYTES])
    if insert is not None:
        head = data[: insert.data_start].decode("utf-8", errors="replace")
        return Statement(head, insert, data[insert.data_start :])
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise server_error(BAD_ARGUMENTS, "The query is not valid UTF-8.") from None
    return Statement(text)


async def _fill_statement(body: Body, into: bytearray, separator: bytes) -> bool:
    """Read until `into` holds an INSERT with its first rows, or enough of anything else; returns whether the body has
    ended. The separator stands between the URL's part and the body's."""
    while len(into) < _STATEMENT_BYTES:
        piece = await body.read()
        if not piece:
            return True
        into += separator + piece
        separator = b""
        # Rows that come slowly must not wait here: the engine may refuse the statement at once.
        insert = split_insert(bytes(into[:_STATEMENT_BYTES]))
        if insert is not None and insert.explicit and insert.data_start < len(into):
            return False
    return False


async def _fill(body: Body, into: bytearray, limit: int) -> None:
    while piece := await body.read():
        into += piece
        if len(into) > limit:
            raise server_error(QUERY_IS_TOO_LARGE, f"The query is larger than {limit} bytes.")
