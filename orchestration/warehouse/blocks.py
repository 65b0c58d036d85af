"""ClickHouse's own block compression over HTTP (`compress=1`, `decompress=1`), which JDBC and Go clients use.

A block is a 16-byte CityHash128 checksum, a method byte, two sizes (compressed with these nine bytes, and
uncompressed; little-endian, 4 bytes each), and the compressed data.
"""

import importlib
import importlib.util
import struct
from typing import Any

import lz4.block

from orchestration.warehouse.status import CANNOT_READ_ALL_DATA, NOT_IMPLEMENTED, server_error

_LZ4, _NONE = 0x82, 0x02
_CHECKSUM_BYTES = 16
_HEADER = struct.Struct("<BII")

# ClickHouse refuses blocks beyond 1 GiB; nobody sends more than some MiB.
_MAX_BLOCK = 64 << 20
_PIECE = 1 << 20


def checksums_available() -> bool:
    """Whether the package that computes the checksums is installed."""
    return importlib.util.find_spec("clickhouse_cityhash") is not None


def encode(data: bytes) -> bytes:
    """Return `data` as LZ4 blocks of at most 1 MiB each; nothing for nothing."""
    view = memoryview(data)
    return b"".join(_block(view[start : start + _PIECE]) for start in range(0, len(view), _PIECE))


class BlockDecoder:
    """Decodes blocks that arrive in arbitrary pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def decode(self, data: bytes) -> list[bytes]:
        """Return what the blocks completed by `data` hold.

        Raises:
            QueryError: a block is corrupt, too large, or of an unknown method.
        """
        self._buffer += data
        pieces = []
        while len(self._buffer) >= _CHECKSUM_BYTES + _HEADER.size:
            method, compressed, uncompressed = _HEADER.unpack_from(self._buffer, _CHECKSUM_BYTES)
            if not _HEADER.size <= compressed <= _MAX_BLOCK or uncompressed > _MAX_BLOCK:
                raise server_error(CANNOT_READ_ALL_DATA, "A compressed block of the request has an impossible size.")
            end = _CHECKSUM_BYTES + compressed
            if len(self._buffer) < end:
                break
            block = bytes(self._buffer[_CHECKSUM_BYTES:end])
            if _checksum(block) != bytes(self._buffer[:_CHECKSUM_BYTES]):
                raise server_error(CANNOT_READ_ALL_DATA, "Checksum of a compressed block of the request doesn't match.")
            pieces.append(_unpack(method, block[_HEADER.size :], uncompressed))
            del self._buffer[:end]
        return pieces

    def finish(self) -> None:
        """Check that the last block was complete."""
        if self._buffer:
            raise server_error(CANNOT_READ_ALL_DATA, "The request ends inside a compressed block.")


def _block(data: memoryview) -> bytes:
    packed = bytes(lz4.block.compress(data, store_size=False))
    block = _HEADER.pack(_LZ4, _HEADER.size + len(packed), len(data)) + packed
    return _checksum(block) + block


def _unpack(method: int, data: bytes, size: int) -> bytes:
    if method == _NONE:
        return data
    if method != _LZ4:
        raise server_error(NOT_IMPLEMENTED, f"Compressed blocks of method {method:#x} are not served; use LZ4.")
    try:
        return bytes(lz4.block.decompress(data, uncompressed_size=size))
    except lz4.block.LZ4BlockError as error:
        raise server_error(CANNOT_READ_ALL_DATA, f"Cannot decompress a block of the request: {error}.") from None


def _checksum(block: bytes) -> bytes:
    value = int(_hash(block))
    return struct.pack("<QQ", value >> 64, value & 0xFFFFFFFFFFFFFFFF)


def _hash(block: bytes) -> Any:
    return importlib.import_module("clickhouse_cityhash.cityhash").CityHash128(block)
