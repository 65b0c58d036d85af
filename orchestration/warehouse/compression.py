"""HTTP compression of the embedded ClickHouse: streamed decoding of request bodies, choice of a response encoding."""

import gzip
import importlib
import zlib
from typing import Any, Protocol

import lz4.frame

from orchestration.warehouse.status import CANNOT_READ_ALL_DATA, UNKNOWN_COMPRESSION_METHOD, server_error

# Response encodings in the server's order of preference, with the engine's name of each: the engine itself compresses.
_RESPONSE_ENCODINGS = {"br": "br", "lz4": "lz4", "snappy": None, "zstd": "zstd", "gzip": "gzip", "deflate": "deflate"}

# Largest piece that one step of decoding may return: a small body that expands enormously must not fill the memory.
PIECE = 1 << 20


class Decoder(Protocol):
    """Decodes a request body piece by piece."""

    def decode(self, data: bytes) -> list[bytes]:
        """Decode the next raw bytes into pieces of at most `PIECE` bytes."""

    def finish(self) -> None:
        """Check that the body was complete; raises QueryError CANNOT_READ_ALL_DATA."""


class _Identity:
    def decode(self, data: bytes) -> list[bytes]:
        return [data] if data else []

    def finish(self) -> None:
        return


class _Zlib:
    """gzip (several members in a row, too) and deflate, with or without zlib's header."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._raw = False
        self._stream = self._new()
        self._started = False

    def _new(self) -> "zlib._Decompress":
        if self._encoding == "gzip":
            return zlib.decompressobj(31)
        return zlib.decompressobj(-15 if self._raw else 15)

    def decode(self, data: bytes) -> list[bytes]:
        pieces: list[bytes] = []
        while data:
            try:
                piece = self._stream.decompress(data, PIECE)
            except zlib.error as error:
                if self._encoding == "deflate" and not self._started and not self._raw:
                    self._raw = True
                    self._stream = self._new()
                    continue
                raise _corrupt(self._encoding, error) from None
            self._started = True
            if piece:
                pieces.append(piece)
            if self._stream.eof:
                data = self._stream.unused_data
                if data:
                    self._stream = self._new()
            else:
                data = self._stream.unconsumed_tail
        return pieces

    def finish(self) -> None:
        if self._started and not self._stream.eof:
            raise _truncated(self._encoding)


class _Frames:
    """lz4 and zstd frames: one or several in a row."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._stream = self._new()
        self._started = False

    def _new(self) -> Any:
        if self._encoding == "lz4":
            return lz4.frame.LZ4FrameDecompressor()
        return _zstd().ZstdDecompressor()

    def decode(self, data: bytes) -> list[bytes]:
        pieces: list[bytes] = []
        while True:
            if self._stream.eof:
                data = (self._stream.unused_data or b"") + data
                if not data:
                    return pieces
                self._stream = self._new()
            try:
                piece = self._stream.decompress(data, PIECE)
            except Exception as error:  # each library has its own class
                raise _corrupt(self._encoding, error) from None
            self._started = True
            data = b""
            if piece:
                pieces.append(piece)
            if not self._stream.eof and (self._stream.needs_input or not piece):
                return pieces

    def finish(self) -> None:
        if self._started and not self._stream.eof:
            raise _truncated(self._encoding)


def decoder(content_encoding: str) -> Decoder:
    """Return the decoder of a request's Content-Encoding (`gzip`, `deflate`, `lz4`, `zstd`, or none).

    Raises:
        QueryError: UNKNOWN_COMPRESSION_METHOD.
    """
    name = content_encoding.strip().lower()
    if name in ("", "identity"):
        return _Identity()
    if name in ("gzip", "x-gzip"):
        return _Zlib("gzip")
    if name == "deflate":
        return _Zlib("deflate")
    if name in ("lz4", "zstd"):
        return _Frames(name)
    raise server_error(UNKNOWN_COMPRESSION_METHOD, f"Unknown Content-Encoding of the request: {name[:40]}.")


def response_encoding(accept_encoding: str) -> str | None:
    """Choose the response's Content-Encoding from an Accept-Encoding header; None when nothing acceptable is known."""
    accepted = set()
    for part in accept_encoding.lower().split(","):
        name, _, quality = part.partition(";")
        if quality.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000"):
            accepted.add(name.strip())
    for name, engine_name in _RESPONSE_ENCODINGS.items():
        if engine_name is not None and name in accepted:
            return engine_name
    return None


def compress(encoding: str | None, data: bytes) -> bytes:
    """Return a short piece as a member of its own in a response encoding; nothing when the encoding has none."""
    if encoding is None:
        return data
    if encoding == "gzip":
        return gzip.compress(data)
    if encoding == "lz4":
        return bytes(lz4.frame.compress(data))
    if encoding == "zstd":
        return bytes(_zstd().compress(data))
    return b""


def _zstd() -> Any:
    try:
        return importlib.import_module("compression.zstd")
    except ImportError:
        return importlib.import_module("backports.zstd")


def _corrupt(encoding: str, error: Exception) -> Exception:
    return server_error(CANNOT_READ_ALL_DATA, f"Cannot decode the request body as {encoding}: {error}.")


def _truncated(encoding: str) -> Exception:
    return server_error(CANNOT_READ_ALL_DATA, f"The {encoding} request body ends before the compressed data does.")
