"""Mirror room: the replication session on libpq - slots, the stream of messages, and acknowledgements of our own.

psycopg's `pq` layer is used because it acknowledges nothing by itself: what the server may forget is decided here
alone, by `ReplicationStream.acknowledge`.
"""

import os
import select
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import psycopg
from psycopg import pq
from psycopg.pq.abc import PGconn, PGresult

from orchestration.mirror.inbox import KEEPALIVE, Chunk, Inbox
from orchestration.mirror.lsn import parse_lsn
from orchestration.source.connection import NO_ENCODING

SLOT_IN_USE = "55006"
_EPOCH_MICROSECONDS = 946_684_800_000_000
_XLOG_DATA = ord("w")
_HEADER_BYTES = 25
_LSN = struct.Struct(">Q").unpack_from
_KEEPALIVE_BODY = struct.Struct(">QqB").unpack_from
_STATUS = struct.Struct(">cQQQqB").pack

# A chunk goes to the writer when the socket is dry or at this size; small enough to keep both threads busy.
_CHUNK_BYTES = 256 * 1024
_FEEDBACK_SECONDS = 1.0
_END_SECONDS = 2.0


class ReplicationError(Exception):
    """The server refused or ended a replication command; `sqlstate` is empty when the connection broke."""

    def __init__(self, message: str, sqlstate: str = "") -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class SlotInUse(ReplicationError):
    """Another session holds the slot, or is about to make it."""

    def __init__(self, message: str) -> None:
        super().__init__(message, SLOT_IN_USE)


@dataclass(frozen=True)
class Identity:
    """Which server and which history of it: a restored or promoted server differs in one of these."""

    system_identifier: str
    timeline: int


@dataclass(frozen=True)
class NewSlot:
    """A slot just created: where its stream begins, and the snapshot that holds everything before."""

    consistent_lsn: int
    snapshot: str


class ReplicationSession:
    """A connection in replication mode, for commands."""

    def __init__(self, conninfo: str) -> None:
        self.pg: PGconn = pq.PGconn.connect(conninfo.encode())
        if self.pg.status != pq.ConnStatus.OK:
            message = _text(self.pg.error_message)
            self.pg.finish()
            raise ReplicationError(message)
        if self.pg.parameter_status(b"server_encoding") == NO_ENCODING.encode():
            self._execute(f"set client_encoding = '{NO_ENCODING}'")

    def close(self) -> None:
        """Close the connection."""
        self.pg.finish()

    def identify(self) -> Identity:
        """Return system identifier and timeline of the server."""
        result = self._execute("IDENTIFY_SYSTEM")
        return Identity(_cell(result, 0), int(_cell(result, 1)))

    def create_slot(self, name: str, waiting: Callable[[], None]) -> NewSlot:
        """Create a slot and export its snapshot, which lives until the next command on this session.

        The server waits for all running writers to finish first; `waiting` is called once a second meanwhile and may
        raise to give up.
        """
        options = "(SNAPSHOT 'export')" if self.pg.server_version >= 150_000 else "EXPORT_SNAPSHOT"
        self.pg.send_query(f'CREATE_REPLICATION_SLOT "{name}" LOGICAL pgoutput {options}'.encode())
        while True:
            self.pg.consume_input()
            if not self.pg.is_busy():
                break
            if not select.select([self.pg.socket], [], [], 1.0)[0]:
                waiting()
        result = self._check(self.pg.get_result())
        while self.pg.get_result() is not None:
            pass
        return NewSlot(parse_lsn(_cell(result, 1)), _cell(result, 2))

    def drop_slot(self, name: str) -> None:
        """Drop a slot that is not in use."""
        self._execute(f'DROP_REPLICATION_SLOT "{name}"')

    def start(self, slot: str, publication: str, *, early: bool) -> None:
        """Begin streaming from where the slot stands; a slot in use raises with SQLSTATE 55006.

        `early`: big transactions come while they are still open.
        """
        options = f"proto_version '2', streaming '{'on' if early else 'off'}', messages 'true'"
        command = f'START_REPLICATION SLOT "{slot}" LOGICAL 0/0 ({options}, publication_names \'"{publication}"\')'
        self._check(self.pg.exec_(command.encode()), pq.ExecStatus.COPY_BOTH)

    def report(self, received: int, flushed: int) -> None:
        """Tell the server how far the stream is: it ends a session that is silent for too long."""
        now = time.time_ns() // 1000 - _EPOCH_MICROSECONDS
        self.pg.put_copy_data(_STATUS(b"r", received, flushed, flushed, now, 0))
        self.pg.flush()

    def end_stream(self, timeout: float) -> None:
        """End the stream in order, so that the slot is free when this returns; gives up after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        self.pg.put_copy_end()
        self.pg.flush()
        while (left := deadline - time.monotonic()) > 0:
            size, _ = self.pg.get_copy_data(1)
            if size < 0:
                break
            if size == 0:
                select.select([self.pg.socket], [], [], left)
                self.pg.consume_input()

    def _execute(self, command: str) -> PGresult:
        return self._check(self.pg.exec_(command.encode()))

    def _check(self, result: PGresult | None, wanted: pq.ExecStatus | None = None) -> PGresult:
        good = (wanted,) if wanted else (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)
        if result is not None and result.status in good:
            return result
        raise failure_of(self.pg, result)


class ReplicationStream:
    """Reads the stream of a started session in a thread of its own, and reports to the server every second."""

    def __init__(self, session: ReplicationSession, inbox: Inbox) -> None:
        self._session = session
        self._inbox = inbox
        self._flushed = 0
        self._received = 0
        self._progress = 0
        self._stopping = False
        self._wake_reader, self._wake_writer = os.pipe()
        self._thread = threading.Thread(target=self._run, name="mirror-reader", daemon=True)
        self._thread.start()

    def acknowledge(self, lsn: int) -> None:
        """Let the server forget everything before `lsn`: it is durable in the warehouse. Never goes back."""
        self._flushed = max(self._flushed, lsn)
        self._wake()

    @property
    def received_lsn(self) -> int:
        """The end of the WAL that the server says it has sent."""
        return self._received

    @property
    def progress(self) -> int:
        """A number that changes with every message, and with every keepalive that tells of more WAL."""
        return self._progress

    def close(self) -> None:
        """Send the last acknowledgement, end the session and the thread."""
        self._stopping = True
        self._wake()
        self._thread.join(timeout=10)
        self._session.close()
        os.close(self._wake_writer)
        os.close(self._wake_reader)

    def _wake(self) -> None:
        os.write(self._wake_writer, b"x")

    def _run(self) -> None:
        try:
            self._read()
        except (ReplicationError, psycopg.Error, OSError) as error:
            self._inbox.fail(error)

    def _read(self) -> None:
        pg = self._session.pg
        chunk = Chunk()
        next_feedback = 0.0
        while not self._stopping:
            size, data = pg.get_copy_data(1)
            if size > 0:
                if data[0] == _XLOG_DATA:
                    self._progress += 1
                    chunk.add(_LSN(data, 1)[0], bytes(data[_HEADER_BYTES:]))
                    if chunk.size < _CHUNK_BYTES:
                        continue
                else:
                    wal_end, _, reply = _KEEPALIVE_BODY(data, 1)
                    if wal_end > self._received:
                        self._received = wal_end
                        self._progress += 1
                    if reply:
                        chunk.add(wal_end, KEEPALIVE)
                        self._send_feedback()
                    continue
            elif size < 0:
                if chunk.messages:
                    self._hand_over(chunk)
                raise failure_of(pg, pg.get_result() if size == -1 else None)
            if chunk.messages:
                self._hand_over(chunk)
                chunk = Chunk()
            if size == 0:
                self._wait(pg.socket)
                pg.consume_input()
                chunk.arrived = time.monotonic()
            if time.monotonic() >= next_feedback:
                self._send_feedback()
                next_feedback = time.monotonic() + _FEEDBACK_SECONDS
        self._send_feedback()
        self._session.end_stream(_END_SECONDS)

    def _hand_over(self, chunk: Chunk) -> None:
        """Give a chunk to the writer; while its queue is full, keep the server informed that we live."""
        while not self._stopping and not self._inbox.offer(chunk, _FEEDBACK_SECONDS):
            self._send_feedback()

    def _wait(self, socket: int) -> None:
        readable, _, _ = select.select([socket, self._wake_reader], [], [], _FEEDBACK_SECONDS)
        if self._wake_reader in readable:
            os.read(self._wake_reader, 4096)
            self._send_feedback()

    def _send_feedback(self) -> None:
        self._session.report(max(self._received, self._flushed), self._flushed)


def failure_of(pg: PGconn, result: PGresult | None) -> ReplicationError:
    """Return what the server, or libpq, said."""
    if result is not None:
        state = result.error_field(pq.DiagnosticField.SQLSTATE)
        message = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY)
        if message:
            return ReplicationError(_text(message), _text(state or b""))
    return ReplicationError(_text(pg.error_message) or "the server ended the replication stream")


def _cell(result: PGresult, column: int) -> str:
    return _text(result.get_value(0, column) or b"")


def _text(data: bytes) -> str:
    return " ".join(data.decode("utf-8", errors="replace").split())
