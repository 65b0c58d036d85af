"""Mirror room: notices a silent stall - the stream is connected, the source writes, and nothing arrives.

Seen with a server that waits for a standby which is gone (`synchronized_standby_slots`) and with a hung walsender: the
client gets no error. The heartbeat moves the source's WAL every second, so silence is never idleness.
"""

_SHORTEST_SECONDS = 5.0
_HEARTBEATS = 10


class StallWatch:
    """Compares how far the source is with what arrives."""

    def __init__(self, heartbeat_seconds: float) -> None:
        self._limit = max(_SHORTEST_SECONDS, _HEARTBEATS * heartbeat_seconds)
        self._progress = -1
        self._since = 0.0
        self._source_lsn = 0

    def observe(self, progress: int, source_lsn: int, now: float) -> str:
        """Return what is wrong, empty while all is well.

        `progress` is any number that changes when something arrives, `source_lsn` the end of the source's WAL as far as
        it is known, `now` a monotonic time.
        """
        if progress != self._progress:
            self._progress, self._since, self._source_lsn = progress, now, source_lsn
        silent = now - self._since
        if silent < self._limit or source_lsn <= self._source_lsn:
            return ""
        return (
            f"the stream is connected but silent for {silent:.0f} s while the source writes: look at the server's log, "
            "at synchronized_standby_slots and at the slot's walsender"
        )
