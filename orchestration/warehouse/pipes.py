"""Pipes between the engine and the event loop: the engine writes results into one, or reads an insert's rows from one.

The engine opens the pipe by name (`/dev/fd/N`) like any file, so every format streams with the operating system's
backpressure and no row passes through Python.
"""

import asyncio
import contextlib
import fcntl
import os

# First reads are small: allocating a mebibyte for a short answer, four times, was a third of a query's cost.
_FIRST_READ_BYTES = 64 << 10

# The largest that Linux grants without privileges; 64 KiB, the default, costs half of the throughput.
_PIPE_BYTES = 1 << 20


class Pipe:
    """A pipe whose far end belongs to a worker thread, and whose near end the event loop uses without blocking."""

    def __init__(self, *, engine_writes: bool) -> None:
        read_end, write_end = os.pipe()
        self._near, self._far = (read_end, write_end) if engine_writes else (write_end, read_end)
        os.set_blocking(self._near, False)
        with contextlib.suppress(OSError, AttributeError):
            fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._read_bytes = _FIRST_READ_BYTES
        self._near_open = True
        self._far_open = True

    @property
    def engine_path(self) -> str:
        """Name under which the engine opens the far end."""
        return f"/dev/fd/{self._far}"

    def close_far(self) -> None:
        """Close the far end once the engine is done: the near end then sees the end of the data, or a broken pipe."""
        if self._far_open:
            self._far_open = False
            os.close(self._far)

    def close_near(self) -> None:
        """Close the near end: an engine that still writes fails, one that reads sees the end of the data."""
        if self._near_open:
            self._near_open = False
            os.close(self._near)

    async def read(self) -> bytes:
        """Return the next bytes, at most 1 MiB, or nothing at the end."""
        while True:
            # A read that finds nothing costs a thread switch: try only where more is likely to be there already.
            if self._read_bytes == _FIRST_READ_BYTES:
                await self._ready(reading=True)
            try:
                data = os.read(self._near, self._read_bytes)
            except BlockingIOError:
                self._read_bytes = _FIRST_READ_BYTES
                continue
            if len(data) == self._read_bytes:
                self._read_bytes = _PIPE_BYTES
            return data

    async def write(self, data: bytes) -> None:
        """Write all of `data`, waiting while the pipe is full.

        Raises:
            BrokenPipeError: the engine has stopped reading.
        """
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._near, view) :]
            except BlockingIOError:
                await self._ready(reading=False)

    async def _ready(self, *, reading: bool) -> None:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()

        def wake() -> None:
            if not ready.done():
                ready.set_result(None)

        (loop.add_reader if reading else loop.add_writer)(self._near, wake)
        try:
            await ready
        finally:
            (loop.remove_reader if reading else loop.remove_writer)(self._near)
