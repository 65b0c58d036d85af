"""Decoding of request bodies in arbitrary pieces."""

import gzip
import zlib
from collections.abc import Callable

import lz4.frame
import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from orchestration.warehouse import blocks
from orchestration.warehouse.compression import PIECE, Decoder, decoder, response_encoding
from orchestration.warehouse.status import QueryError

_PACK: dict[str, Callable[[bytes], bytes]] = {
    "identity": bytes,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "lz4": lz4.frame.compress,
    "zstd": zstd.compress,
    "blocks": blocks.encode,
}


def _decoder(name: str) -> Decoder:
    return blocks.BlockDecoder() if name == "blocks" else decoder(name)


def _decode(name: str, data: bytes, cuts: list[int]) -> bytes:
    stream, pieces, start = _decoder(name), [], 0
    for cut in [*sorted(cut % (len(data) + 1) for cut in cuts), len(data)]:
        pieces += stream.decode(data[start:cut])
        start = cut
    stream.finish()
    assert all(len(piece) <= max(PIECE, len(data)) for piece in pieces)
    return b"".join(pieces)


@pytest.mark.parametrize("name", _PACK)
@given(data=st.binary(max_size=5000), cuts=st.lists(st.integers(0, 10**6), max_size=5))
def test_any_cut_decodes(name: str, data: bytes, cuts: list[int]) -> None:
    assert _decode(name, _PACK[name](data), cuts) == data


@pytest.mark.parametrize("name", ["gzip", "lz4", "zstd"])
@given(cuts=st.lists(st.integers(0, 10**6), max_size=5))
def test_members_in_a_row_decode(name: str, cuts: list[int]) -> None:
    assert _decode(name, _PACK[name](b"one") + _PACK[name](b"two") * 2, cuts) == b"onetwotwo"


@pytest.mark.parametrize("name", ["gzip", "deflate", "lz4", "zstd", "blocks"])
def test_truncated_and_corrupt_data_is_an_error(name: str) -> None:
    packed = _PACK[name](b"some text " * 1000)
    with pytest.raises(QueryError, match="end"):
        _decode(name, packed[:-3], [])
    with pytest.raises(QueryError):
        _decode(name, b"x" * 100, [])


@pytest.mark.parametrize("name", ["gzip", "lz4", "zstd"])
def test_a_bomb_comes_in_small_pieces(name: str) -> None:
    pieces = decoder(name).decode(_PACK[name](bytes(50 << 20)))
    assert sum(map(len, pieces)) == 50 << 20
    assert max(map(len, pieces)) <= PIECE


@pytest.mark.parametrize(
    ("header", "encoding"),
    [
        ("", None),
        ("identity", None),
        ("gzip", "gzip"),
        ("gzip, deflate, br;q=0", "gzip"),
        ("lz4,zstd,gzip,deflate", "lz4"),
        ("ZSTD;q=0.5", "zstd"),
        ("*", None),
    ],
)
def test_response_encoding(header: str, encoding: str | None) -> None:
    assert response_encoding(header) == encoding
