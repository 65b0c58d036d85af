"""The pgoutput decoder against messages built by hand."""

import struct

import pytest

from orchestration.mirror import protocol
from orchestration.mirror.lsn import format_lsn, parse_lsn
from orchestration.mirror.protocol import NULL, OLD_KEY, OLD_ROW, UNCHANGED


def row(*values: bytes | None) -> bytes:
    """A tuple: None is NULL, `UNCHANGED` a value left out."""
    body = struct.pack(">h", len(values))
    for value in values:
        if value is None:
            body += b"n"
        elif value == UNCHANGED:
            body += b"u"
        else:
            body += b"t" + struct.pack(">i", len(value)) + value
    return body


OID = struct.pack(">I", 16384)


def test_begin_and_commit() -> None:
    microseconds_since_2000 = 820_000_000_123_456
    begin = b"B" + struct.pack(">QqI", 0x1_0000_0010, microseconds_since_2000, 77)
    assert protocol.decode_begin(begin) == (77, 1_766_684_800_123_456)
    commit = b"C" + struct.pack(">BQQq", 0, 100, 148, microseconds_since_2000)
    # The end of the transaction, not the start of its commit record: only that may be acknowledged.
    assert protocol.decode_commit(commit) == 148


def test_ends_of_a_streamed_transaction() -> None:
    microseconds_since_2000 = 820_000_000_123_456
    message = b"c" + struct.pack(">IBQQq", 77, 0, 100, 148, microseconds_since_2000)
    begin, commit = protocol.ends_of_streamed(message)
    assert protocol.decode_begin(begin) == (77, 1_766_684_800_123_456)
    assert protocol.decode_commit(commit) == 148


def test_relation() -> None:
    message = b"R" + OID + b"public\0orders\0d" + struct.pack(">h", 2)
    message += b"\1id\0" + struct.pack(">Ii", 2950, -1) + "\0é\0".encode() + struct.pack(">Ii", 1700, 1310732)
    relation = protocol.decode_relation(message)
    assert (relation.oid, relation.schema, relation.name, relation.identity) == (16384, "public", "orders", "d")
    assert [(c.name, c.type_oid, c.type_modifier, c.in_identity) for c in relation.columns] == [
        ("id", 2950, -1, True),
        ("é", 1700, 1310732, False),
    ]


def test_relation_in_pg_catalog() -> None:
    assert protocol.decode_relation(b"R" + OID + b"\0t\0d\0\0").schema == "pg_catalog"


def test_insert() -> None:
    long = b"x" * 70_000
    assert protocol.decode_insert(b"I" + OID + b"N" + row(b"1", None, b"", long)) == (16384, [b"1", NULL, b"", long])


@pytest.mark.parametrize(
    ("old", "kind", "values"),
    [(b"", 0, []), (b"K" + row(b"0", None), OLD_KEY, [b"0", NULL]), (b"O" + row(b"0", b"v"), OLD_ROW, [b"0", b"v"])],
)
def test_update(old: bytes, kind: int, values: list[bytes]) -> None:
    message = b"U" + OID + old + b"N" + row(b"1", UNCHANGED)
    assert protocol.decode_update(message) == (16384, kind, values, [b"1", UNCHANGED])


def test_delete() -> None:
    assert protocol.decode_delete(b"D" + OID + b"K" + row(b"1", None)) == (16384, OLD_KEY, [b"1", NULL])


def test_truncate() -> None:
    assert protocol.decode_truncate(b"T" + struct.pack(">IB2I", 2, 1, 7, 8)) == (7, 8)


def test_unknown_kind_of_value() -> None:
    with pytest.raises(protocol.ProtocolError):
        protocol.decode_insert(b"I" + OID + b"N" + struct.pack(">h", 1) + b"x")


def test_lsn() -> None:
    assert parse_lsn("16/B374D848") == 0x16_B374_D848
    assert format_lsn(0x16_B374_D848) == "16/B374D848"
