"""The embedded ClickHouse engine: its life in this process, and handles, each a connection with its own settings."""

import importlib
import os
import threading
from pathlib import Path
from typing import Any

from orchestration.errors import UserError
from orchestration.warehouse.config import server_memory_bytes, write_config
from orchestration.warehouse.status import UNKNOWN_EXCEPTION, QueryError, engine_error, server_error


class Result:
    """What a finished statement left: its buffered output (empty when it went to a pipe) and its counters."""

    def __init__(self, raw: Any) -> None:
        self.data = bytes(raw.bytes()) if raw.size() else b""
        self.read_rows: int = raw.storage_rows_read()
        self.read_bytes: int = raw.storage_bytes_read()
        self.result_rows: int = raw.rows_read()
        self.result_bytes: int = raw.bytes_read()
        self.written_rows: int = raw.rows_written()
        self.written_bytes: int = raw.bytes_written()


class Handle:
    """One connection to the engine: current database, settings, temporary tables. Used by one thread at a time."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def run(self, sql: str, output_format: str = "TabSeparated") -> Result:
        """Run one statement and return its result; blocks, without holding Python's lock.

        Raises:
            QueryError: with the engine's code and text.
        """
        try:
            return Result(self._raw.query(sql, output_format))
        except Exception as error:
            raise engine_error(error) from None

    def classify(self, sql: str) -> tuple[str, int]:
        """Return what the statement would do (READ_ONLY, MUTATING, MUTATING_GLOBAL, CONTROL, or UNKNOWN when it does
        not parse) and how many statements the text holds. About 10 microseconds."""
        try:
            report = self._raw.classify_query(sql, "")
        except Exception as error:
            raise engine_error(error) from None
        return report["query_class"].name, report["statement_count"]

    def close(self) -> None:
        """Close the connection; temporary tables and settings go with it."""
        self._raw.close()


class Engine:
    """The engine on one data directory. It computes refreshable views as long as it is open."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._keeper: Handle | None = None
        self._lock = threading.Lock()
        self.version = ""

    def open(self) -> None:
        """Start the engine.

        Raises:
            UserError: it does not start; the message carries the engine's reason.
        """
        # The engine takes the zone of timestamps without one from the process.
        os.environ["TZ"] = "UTC"
        try:
            config = write_config(self._data_dir.with_name(self._data_dir.name + ".config"), server_memory_bytes())
        except OSError as error:
            raise UserError(
                f"The state directory {self._data_dir.parent} cannot be written: {error.strerror}.",
                "Free some space there, or set JANGAR_QUANT_STATE_DIR to another directory.",
            ) from None
        try:
            # Read by every later handle, too: the engine is one per process.
            self._keeper = Handle(_connect(f"{self._data_dir}?config-file={config}&implicit_select=0"))
            self.version = self._keeper.run("SELECT version()").data.decode().strip()
        except ImportError as error:
            raise UserError(
                "The embedded ClickHouse is not installed.", "Install it with `pip install jangar-quant[embedded]`."
            ) from error
        except (QueryError, RuntimeError) as error:
            raise UserError(
                f"The embedded ClickHouse cannot open {self._data_dir}: {error}",
                "Check the free space and the permissions there; the data of another version does not open.",
            ) from None

    def handle(self) -> Handle:
        """Open a handle, about 0.1 ms.

        Raises:
            QueryError: the engine refuses one more.
        """
        try:
            return Handle(_connect(f"{self._data_dir}?implicit_select=0"))
        except Exception as error:
            raise server_error(UNKNOWN_EXCEPTION, f"The engine opens no connection: {error}") from None

    def close(self) -> None:
        """Stop the engine: background work ends and the data directory is left clean."""
        if self._keeper is not None:
            self._keeper.close()
            self._keeper = None


def _connect(address: str) -> Any:
    """Open a raw connection. The module of the engine is loaded here: it takes a second and 200 MB."""
    return importlib.import_module("chdb._chdb").connect(address)
