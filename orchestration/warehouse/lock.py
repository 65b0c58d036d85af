"""The lock of the embedded ClickHouse's data directory: one process at a time, and whose it is."""

import fcntl
import os
from pathlib import Path
from types import TracebackType

from orchestration.errors import UserError


class DirectoryLock:
    """An exclusive lock beside a data directory; the kernel releases it when the process ends, however it ends.

    The lock file holds the owner's process id, so that a second process can name it.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._path = data_dir.with_name(data_dir.name + ".lock")
        self._descriptor: int | None = None

    def __enter__(self) -> "DirectoryLock":
        """Take the lock.

        Raises:
            UserError: another process has it, or the directory cannot be created or written.
        """
        try:
            self._data_dir.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise UserError(
                f"The state directory {self._data_dir.parent} cannot be written: {error.strerror}.",
                "Make it writable, or set JANGAR_QUANT_STATE_DIR to another directory.",
            ) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.read(descriptor, 32).decode("ascii", errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise UserError(
                f"The data directory {self._data_dir} is in use by process {owner}.",
                f"Stop process {owner}, or set JANGAR_QUANT_STATE_DIR to another directory.",
            ) from None
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            os.close(descriptor)
            raise UserError(
                f"The state directory {self._data_dir.parent} cannot be written: {error.strerror}.",
                "Free some space there, or set JANGAR_QUANT_STATE_DIR to another directory.",
            ) from None
        self._descriptor = descriptor
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the lock; the file stays, an unlinked one could be locked twice."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
