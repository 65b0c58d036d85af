"""Mirror room: the pgoutput wire format (protocol version 2, text), decoded without I/O.

Values stay the bytes that Postgres sent. Two markers stand for what has no text; both contain NUL, which no Postgres
text value can hold, so they cannot be mistaken for data.
"""

import struct
from dataclasses import dataclass

NULL = b"\x00"
# An out-of-line (TOASTed) value that the update did not touch: Postgres does not send it again.
UNCHANGED = b"\x00u"

# Message types: the first byte of a payload.
BEGIN, COMMIT, RELATION, TYPE, ORIGIN = b"BCRYO"
INSERT, UPDATE, DELETE, TRUNCATE, MESSAGE = b"IUDTM"

# A transaction that is sent while it is still open comes in segments from STREAM_START to STREAM_STOP. Within, every
# message has the ID of its own (sub)transaction behind its type byte.
STREAM_START, STREAM_STOP, STREAM_COMMIT, STREAM_ABORT = b"SEcA"

# Kinds of the old tuple of an update or a delete.
OLD_KEY, OLD_ROW = b"KO"
_NEW = ord("N")
_TEXT, _NULL, _UNCHANGED = b"tnu"

# Microseconds between 1970-01-01 and 2000-01-01, the epoch of Postgres.
_EPOCH_MICROSECONDS = 946_684_800_000_000

_U32 = struct.Struct(">I").unpack_from
_BEGIN = struct.Struct(">QqI").unpack_from
_COMMIT = struct.Struct(">BQQq").unpack_from
_RELATION_COLUMN = struct.Struct(">Ii").unpack_from

Values = list[bytes]


class ProtocolError(Exception):
    """The stream holds something that pgoutput does not send."""


@dataclass(frozen=True)
class RelationColumn:
    """A column as RELATION announces it; `in_identity` is set for all columns under REPLICA IDENTITY FULL."""

    name: str
    type_oid: int
    type_modifier: int
    in_identity: bool


@dataclass(frozen=True)
class Relation:
    """The layout of the rows that follow for one table."""

    oid: int
    schema: str
    name: str
    identity: str
    columns: tuple[RelationColumn, ...]


def decode_begin(payload: bytes) -> tuple[int, int]:
    """Return the ID of the transaction and its commit time in Unix microseconds."""
    _, microseconds, xid = _BEGIN(payload, 1)
    return xid, microseconds + _EPOCH_MICROSECONDS


def decode_commit(payload: bytes) -> int:
    """Return the end LSN of the transaction: the only LSN that may be acknowledged for it."""
    end_lsn: int = _COMMIT(payload, 1)[2]
    return end_lsn


def ends_of_streamed(payload: bytes) -> tuple[bytes, bytes]:
    """Return the BEGIN and COMMIT of STREAM_COMMIT's transaction as they are when it is sent after its end."""
    xid, commit_lsn, time = payload[1:5], payload[6:14], payload[22:30]
    return b"B" + commit_lsn + time + xid, b"C" + payload[5:]


def decode_relation(payload: bytes) -> Relation:
    """Decode a RELATION message."""
    (oid,) = _U32(payload, 1)
    schema, offset = _string(payload, 5)
    name, offset = _string(payload, offset)
    identity = chr(payload[offset])
    count = int.from_bytes(payload[offset + 1 : offset + 3], "big")
    offset += 3
    columns = []
    for _ in range(count):
        flags = payload[offset]
        column, offset = _string(payload, offset + 1)
        type_oid, modifier = _RELATION_COLUMN(payload, offset)
        offset += 8
        columns.append(RelationColumn(column, type_oid, modifier, bool(flags & 1)))
    # An empty schema name means pg_catalog.
    return Relation(oid, schema or "pg_catalog", name, identity, tuple(columns))


def decode_insert(payload: bytes) -> tuple[int, Values]:
    """Return the relation's OID and the new row."""
    return _U32(payload, 1)[0], _tuple(payload, 6)[0]


def decode_update(payload: bytes) -> tuple[int, int, Values, Values]:
    """Return OID, kind of the old tuple (`OLD_KEY`, `OLD_ROW`, or 0 for none), old values (or empty), new row."""
    oid: int = _U32(payload, 1)[0]
    kind = payload[5]
    if kind == _NEW:
        return oid, 0, [], _tuple(payload, 6)[0]
    old, offset = _tuple(payload, 6)
    return oid, kind, old, _tuple(payload, offset + 1)[0]


def decode_delete(payload: bytes) -> tuple[int, int, Values]:
    """Return OID, kind of the old tuple, and its values; under `OLD_KEY` only the identity columns are filled."""
    return _U32(payload, 1)[0], payload[5], _tuple(payload, 6)[0]


def decode_truncate(payload: bytes) -> tuple[int, ...]:
    """Return the OIDs of the truncated relations."""
    (count,) = _U32(payload, 1)
    return struct.unpack_from(f">{count}I", payload, 6)


def _tuple(payload: bytes, offset: int) -> tuple[Values, int]:
    count = (payload[offset] << 8) | payload[offset + 1]
    offset += 2
    values: Values = []
    append = values.append
    for _ in range(count):
        kind = payload[offset]
        if kind == _TEXT:
            start = offset + 5
            offset = start + _U32(payload, offset + 1)[0]
            append(payload[start:offset])
        else:
            if kind == _NULL:
                append(NULL)
            elif kind == _UNCHANGED:
                append(UNCHANGED)
            else:
                raise ProtocolError(f"unknown kind of column value {kind:#x}")
            offset += 1
    return values, offset


def _string(payload: bytes, offset: int) -> tuple[str, int]:
    end = payload.index(0, offset)
    return payload[offset:end].decode("utf-8", errors="surrogateescape"), end + 1
