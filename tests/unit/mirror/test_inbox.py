"""The queue between reader and writer."""

import threading

import pytest

from orchestration.mirror.inbox import Chunk, Inbox
from orchestration.mirror.toast import Known, Lookup, RowCache


def chunk(size: int) -> Chunk:
    """A chunk with one message."""
    made = Chunk()
    made.add(1, b"x" * size)
    return made


def test_bounded() -> None:
    inbox = Inbox(10)
    assert inbox.offer(chunk(100), 0.01)
    assert not inbox.offer(chunk(1), 0.01)
    taken = inbox.take(0.01)
    assert taken is not None
    assert taken.size == 100
    assert inbox.offer(chunk(1), 0.01)


def test_waiting_offer_goes_on_when_there_is_room() -> None:
    inbox = Inbox(10)
    inbox.offer(chunk(10), 1)
    done = threading.Event()

    def offer() -> None:
        if inbox.offer(chunk(10), 10):
            done.set()

    threading.Thread(target=offer, daemon=True).start()
    assert inbox.take(1) is not None
    assert done.wait(5)


def test_what_was_received_comes_before_the_failure() -> None:
    inbox = Inbox(10)
    inbox.offer(chunk(1), 1)
    inbox.fail(ConnectionError("gone"))
    assert inbox.take(1) is not None
    with pytest.raises(ConnectionError):
        inbox.take(1)


def test_row_cache() -> None:
    cache = RowCache(limit=10_000)
    big = Known((b"k", b"v" * 4_000))
    for number in range(3):
        cache.put((1, (b"%d" % number,)), big, 4_000)
    assert cache.get((1, (b"0",))) is None
    assert cache.get((1, (b"2",))) == big
    # A small row is not remembered, and what was known of it before is not true any more.
    cache.put((1, (b"2",)), Known((b"k", b"v")), 10)
    assert cache.get((1, (b"2",))) is None
    # An incomplete one is.
    incomplete = Known((b"k", b"v"), Lookup((b"k",), 1, 1, 0))
    cache.put((1, (b"2",)), incomplete, 10)
    assert cache.get((1, (b"2",))) == incomplete
