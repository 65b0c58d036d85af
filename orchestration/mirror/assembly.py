"""Mirror room: puts transactions together that the source sends while they are still open.

A transaction beyond the server's `logical_decoding_work_mem` arrives in segments, between those of others, and may yet
be rolled back. Its messages wait in a file until its end; then they go on in the form that they have in a transaction
that is sent after its end. So the rest of the mirror knows whole transactions only, in the order of their commits.

Memory holds one segment at most, whatever the number and size of open transactions. The files have no name: they are
gone with the process, however it ends, and the next session of the slot sends open transactions again from the start.
"""

import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from orchestration.mirror import protocol
from orchestration.mirror.inbox import KEEPALIVE, Chunk, Inbox

_WRITE_BYTES = 1024 * 1024
_CHUNK_BYTES = 256 * 1024
_FRAME = struct.Struct(">QI")
_OUTSIDE_SEGMENTS = frozenset((b"S", b"c", b"A"))


class OpenTransaction:
    """The messages of one transaction whose end is not known yet."""

    def __init__(self, directory: Path) -> None:
        # Open as long as the transaction is: closed by `close`.
        self._file: BinaryIO = tempfile.TemporaryFile(dir=directory, prefix="transaction-")  # noqa: SIM115
        self._waiting: list[bytes] = []
        self._waiting_size = 0
        self._rolled_back: set[int] = set()

    def add(self, lsn: int, payload: bytes) -> None:
        """Append a message of a segment."""
        self._waiting += (_FRAME.pack(lsn, len(payload)), payload)
        self._waiting_size += len(payload)
        if self._waiting_size >= _WRITE_BYTES:
            self.write()

    def write(self) -> None:
        """Move what is in memory to the file."""
        self._file.write(b"".join(self._waiting))
        self._waiting, self._waiting_size = [], 0

    def roll_back(self, xid: int) -> None:
        """Take out the messages of a subtransaction."""
        self._rolled_back.add(xid)

    def messages(self) -> Iterator[tuple[int, bytes]]:
        """Give what is not rolled back, in order, in the form that it has outside of segments."""
        self._file.seek(0)
        while frame := self._file.read(_FRAME.size):
            lsn, size = _FRAME.unpack(frame)
            xid, payload = protocol.decode_streamed(self._file.read(size))
            if xid not in self._rolled_back:
                yield lsn, payload

    def close(self) -> None:
        """Remove the file."""
        self._file.close()


class Assembly:
    """Chunks as the inbox gives them, but of whole transactions only. Belongs to one session and one thread."""

    def __init__(self, inbox: Inbox, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._inbox = inbox
        self._directory = directory
        self._open: dict[int, OpenTransaction] = {}
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
        plain = Chunk(arrived=chunk.arrived)
        for lsn, payload in chunk.messages:
            kind = payload[0] if payload else None
            if self._segment is not None and payload != KEEPALIVE:
                if kind == protocol.STREAM_STOP:
                    self._segment.write()
                    self._segment = None
                else:
                    self._segment.add(lsn, payload)
            elif kind == protocol.STREAM_START:
                self._segment = self._transaction(protocol.decode_stream_start(payload))
            elif kind == protocol.STREAM_ABORT:
                self._roll_back(*protocol.decode_stream_abort(payload))
            elif kind == protocol.STREAM_COMMIT:
                if plain.messages:
                    yield plain
                yield from self._commit(lsn, payload, chunk.arrived)
                plain = Chunk(arrived=chunk.arrived)
            else:
                plain.add(lsn, payload)
        if plain.messages:
            yield plain

    def _transaction(self, xid: int) -> OpenTransaction:
        if xid not in self._open:
            self._open[xid] = OpenTransaction(self._directory)
        return self._open[xid]

    def _roll_back(self, xid: int, part: int) -> None:
        if part == xid:
            self._open.pop(xid).close()
        else:
            self._open[xid].roll_back(part)

    def _commit(self, lsn: int, payload: bytes, arrived: float) -> Iterator[Chunk]:
        xid, begin, commit = protocol.decode_stream_commit(payload)
        transaction = self._open.pop(xid)
        piece = Chunk(arrived=arrived)
        piece.add(lsn, begin)
        for change in transaction.messages():
            piece.add(*change)
            if piece.size >= _CHUNK_BYTES:
                yield piece
                piece = Chunk(arrived=arrived)
        piece.add(lsn, commit)
        transaction.close()
        yield piece
