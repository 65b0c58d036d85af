"""Transactions in segments, put together from messages built by hand."""

import struct
from pathlib import Path

from orchestration.mirror.assembly import Assembly
from orchestration.mirror.inbox import KEEPALIVE, Chunk, Inbox, Message

BEGIN, COMMIT = b"B" + bytes(20), b"C" + bytes(25)


def start(xid: int) -> bytes:
    return b"S" + struct.pack(">IB", xid, 1)


def abort(xid: int, part: int) -> bytes:
    return b"A" + struct.pack(">II", xid, part)


def commit(xid: int) -> bytes:
    return b"c" + struct.pack(">IBQQq", xid, 0, 100, 148, 0)


def change(xid: int, text: bytes) -> bytes:
    return b"I" + struct.pack(">I", xid) + text


def assembled(directory: Path, *chunks: list[bytes]) -> list[Message]:
    """Put the chunks through and return what comes out; LSNs count the messages."""
    inbox = Inbox(1 << 30)
    assembly = Assembly(inbox, directory)
    found: list[Message] = []
    lsn = 0
    for payloads in chunks:
        chunk = Chunk()
        for payload in payloads:
            lsn += 1
            chunk.add(lsn, payload)
        inbox.offer(chunk, 1)
        while (piece := assembly.take(0)) is not None:
            found += piece.messages
    assembly.close()
    return found


def test_segments_of_two_beside_a_whole_one(tmp_path: Path) -> None:
    found = assembled(
        tmp_path,
        [start(1), change(1, b"a"), change(9, b"gone"), KEEPALIVE],
        [change(1, b"b"), b"E", start(2), change(2, b"c"), b"E", BEGIN, b"Iw", COMMIT, KEEPALIVE, start(1)],
        [change(1, b"d"), b"E", abort(1, 9), commit(2), BEGIN, b"Ix", COMMIT, commit(1)],
    )
    kinds = [payload for _, payload in found]
    assert kinds[0] == KEEPALIVE
    assert kinds[1:4] == [BEGIN, b"Iw", COMMIT]
    assert kinds[4] == KEEPALIVE
    assert [payload for payload in kinds if payload[:1] == b"I"] == [b"Iw", b"Ic", b"Ix", b"Ia", b"Ib", b"Id"]
    assert [payload[:1] for payload in kinds[5:]] == [b"B", b"I", b"C", b"B", b"I", b"C", b"B", b"I", b"I", b"I", b"C"]
    # Each change keeps the LSN that it came with.
    assert [lsn for lsn, payload in found if payload in (b"Ia", b"Ib", b"Id")] == [2, 5, 15]
    assert list(tmp_path.iterdir()) == []


def test_rolled_back_whole(tmp_path: Path) -> None:
    assert assembled(tmp_path, [start(1), change(1, b"a"), b"E", abort(1, 1), KEEPALIVE]) == [(5, KEEPALIVE)]


def test_big_one_comes_in_pieces(tmp_path: Path) -> None:
    rows = [change(1, b"%04d" % number + b"x" * 1000) for number in range(3000)]
    found = assembled(tmp_path, [start(1), *rows, b"E"], [commit(1)])
    assert [payload[1:5] for _, payload in found[1:-1]] == [b"%04d" % number for number in range(3000)]


def test_ends_of_transactions_of_which_nothing_came(tmp_path: Path) -> None:
    found = assembled(
        tmp_path, [abort(1, 7), abort(1, 1), commit(2), start(3), change(3, b"a"), b"E", abort(3, 7)], [commit(3)]
    )
    assert [payload[:1] for _, payload in found] == [b"B", b"C", b"B", b"I", b"C"]
