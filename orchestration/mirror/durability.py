"""Mirror room: decides when the source may forget - only what is on the warehouse's disk is acknowledged.

ClickHouse answers an insert before its files are on disk. Syncing every insert (`fsync_after_insert`) costs 7 to 12 ms
each, measured with ten rows; so inserts are not synced, and every few seconds `SYSTEM SYNC FILE CACHE` (35 ms) makes
everything before it durable at once. Only then is the end of the last checkpointed batch acknowledged. After any
failure of the warehouse the session ends and the stream is read again from the last acknowledgement, so data that a
crash of its machine took away is sent again.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from clickhouse_connect.driver.exceptions import DatabaseError

from orchestration.mirror.target import Target

logger = logging.getLogger(__name__)

_SYNC_SECONDS = 5.0
# Where the user may not sync (a managed server): operating systems write dirty pages back within half this time.
_WRITEBACK_SECONDS = 60.0


class Durability:
    """A thread that syncs the warehouse and acknowledges. `acknowledge` gets the LSN, `failed` the thread's error."""

    def __init__(
        self, target: Target, acknowledge: Callable[[int], None], failed: Callable[[BaseException], None]
    ) -> None:
        self._target = target
        self._acknowledge = acknowledge
        self._failed = failed
        self._written = 0
        self._durable = 0
        self._allowed = True
        self._waiting: deque[tuple[float, int]] = deque()
        self._urgent = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="mirror-durability", daemon=True)
        self._thread.start()

    def written(self, lsn: int, *, urgent: bool = False) -> None:
        """Everything before `lsn` is inserted and checkpointed. `urgent`: make it durable now, someone waits."""
        self._written = max(self._written, lsn)
        if urgent:
            self._urgent.set()

    def close(self) -> None:
        """Make durable what is written, acknowledge it, and end the thread."""
        self._stopping = True
        self._urgent.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._urgent.wait(_SYNC_SECONDS)
                self._urgent.clear()
                self._step()
            # What was written while the last sync ran.
            self._step()
        except Exception as error:
            self._failed(error)

    def _step(self) -> None:
        lsn = self._written
        if lsn <= self._durable:
            return
        if self._allowed:
            try:
                self._target.sync()
            except DatabaseError as error:
                if error.code is None:
                    # No answer, so no refusal: whoever writes will notice too.
                    raise
                self._allowed = False
                logger.warning(
                    "the warehouse's user may not SYSTEM SYNC FILE CACHE (%s); acknowledging %d s late instead",
                    str(error).splitlines()[0][:200],
                    _WRITEBACK_SECONDS,
                )
            else:
                self._done(lsn)
                return
        self._waiting.append((time.monotonic(), lsn))
        while self._waiting and time.monotonic() - self._waiting[0][0] >= _WRITEBACK_SECONDS:
            self._done(self._waiting.popleft()[1])

    def _done(self, lsn: int) -> None:
        self._durable = lsn
        self._acknowledge(lsn)
