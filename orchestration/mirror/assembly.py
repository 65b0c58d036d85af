"""Mirror room: puts transactions together that the source sends while they are still open.

A transaction beyond the server's `logical_decoding_work_mem` arrives in segments, between those of others, and may yet
be rolled back. Its messages wait in a file until its end; then they go on in the form that they have in a transaction
that is sent after its end. So the rest of the mirror knows whole transactions only, in the order of their commits.

Memory holds one chunk at most, whatever the number and size of open transactions. The files have no name: they are
gone with the process, however it ends, and the next session of the slot sends open transactions again from the start.
"""

import marshal
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from orchestration.mirror import protocol
from orchestration.mirror.inbox import Chunk, Inbox, Message

_SIZE = struct.Struct(">I")
_OUTSIDE_SEGMENTS = frozenset((b"S", b"c", b"A"))


class OpenTransaction:
    """The messages of one transaction whose end is not known yet."""

    def __init__(self, directory: Path) -> None:
        # Open as long as the transaction is: closed by `close`.
        self._file: BinaryIO = tempfile.TemporaryFile(dir=directory, prefix="transaction-")  # noqa: SIM115
        self._rolled_back: set[bytes] = set()

    def add(self, messages: list[Message]) -> None:
        """Append messages of a segment. Marshalled, ten at once cost what framing one by hand does."""
        data = marshal.dumps(messages)
        self._file.write(_SIZE.pack(len(data)) + data)

    def roll_back(self, xid: bytes) -> None:
        """Take out the messages of a subtransaction."""
        self._rolled_back.add(xid)

    def messages(self) -> Iterator[list[Message]]:
        """Give what is not rolled back, in order, in the form that it has outside of segments."""
        self._file.seek(0)
        while size := self._file.read(_SIZE.size):
            # Nobody else can have written to a file without a name.
            messages = marshal.loads(self._file.read(*_SIZE.unpack(size)))
            rolled_back = self._rolled_back
            yield [(lsn, data[:1] + data[5:]) for lsn, data in messages if data[1:5] not in rolled_back]

    def close(self) -> None:
        """Remove the file."""
        self._file.close()


class Assembly:
    """Chunks as the inbox gives them, but of whole transactions only. Belongs to one session and one thread."""

    def __init__(self, inbox: Inbox, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._inbox = inbox
        self._directory = directory
        self._open: dict[bytes, OpenTransaction] = {}
        self._segment: OpenTransaction | None = None
        self._pieces: Iterator[Chunk] = iter(())

    def take(self, timeout: float) -> Chunk | None:
        """Return the next chunk; None after `timeout` seconds, or when all that came belongs to open transactions.

        Raises:
            the failure that the reader reported, once all that it had received is taken.
        """
        piece = next(self._pieces, None)
        if piece is not None:
            return piece
        chunk = self._inbox.take(timeout)
        if chunk is None:
            return None
        if self._segment is None and not any(payload[:1] in _OUTSIDE_SEGMENTS for _, payload in chunk.messages):
            return chunk
        self._pieces = self._assemble(chunk)
        return next(self._pieces, None)

    def close(self) -> None:
        """Forget what is open."""
        for transaction in self._open.values():
            transaction.close()
        self._open.clear()

    def _assemble(self, chunk: Chunk) -> Iterator[Chunk]:
        messages = chunk.messages
        plain = Chunk(arrived=chunk.arrived)
        place = 0
        while place < len(messages):
            if self._segment is not None:
                # Only the end of a segment and a keepalive are shorter than an ID.
                end = next((i for i in range(place, len(messages)) if len(messages[i][1]) <= 1), len(messages))
                if end > place:
                    self._segment.add(messages[place:end])
                place = end
                if place == len(messages):
                    break
            lsn, payload = messages[place]
            place += 1
            kind = payload[0] if payload else None
            if kind == protocol.STREAM_STOP:
                self._segment = None
            elif kind == protocol.STREAM_START:
                self._segment = self._transaction(payload[1:5])
            elif kind == protocol.STREAM_ABORT:
                self._roll_back(payload[1:5], payload[5:9])
            elif kind == protocol.STREAM_COMMIT:
                if plain.messages:
                    yield plain
                yield from self._commit(lsn, payload, chunk.arrived)
                plain = Chunk(arrived=chunk.arrived)
            else:
                plain.add(lsn, payload)
        if plain.messages:
            yield plain

    def _transaction(self, xid: bytes) -> OpenTransaction:
        if xid not in self._open:
            self._open[xid] = OpenTransaction(self._directory)
        return self._open[xid]

    def _roll_back(self, xid: bytes, part: bytes) -> None:
        """A part is a savepoint's, or the whole transaction under the same ID.

        The end of a transaction of which nothing was sent is told all the same: what it changed was no row.
        """
        transaction = self._open.get(xid)
        if transaction is None:
            return
        if part == xid:
            del self._open[xid]
            transaction.close()
        else:
            transaction.roll_back(part)

    def _commit(self, lsn: int, payload: bytes, arrived: float) -> Iterator[Chunk]:
        begin, commit = protocol.ends_of_streamed(payload)
        transaction = self._transaction(payload[1:5])
        del self._open[payload[1:5]]
        yield Chunk([(lsn, begin)], arrived=arrived)
        for messages in transaction.messages():
            yield Chunk(messages, arrived=arrived)
        transaction.close()
        yield Chunk([(lsn, commit)], arrived=arrived)
