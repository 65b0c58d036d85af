"""Mirror room: copies single tables again while the stream runs.

New ones, those whose rows DDL rewrote, and those that somebody asked for.

Order makes it exact. The version of the copied rows is the end of the WAL when the copy was asked for; then a
transaction ID is taken, and all transactions with an earlier one are awaited; then the snapshot is taken. So a change
that the snapshot lacks comes from a transaction that first wrote after that version and wins over the copied row; every
other change is in the snapshot. The wait also covers writers that were busy in a table while it was added to the
publication: their changes are not sent.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import psycopg

from orchestration.mirror.applier import Applier
from orchestration.mirror.catalog import Table, current_lsn, published_tables
from orchestration.mirror.control import Control, TableState
from orchestration.mirror.copier import Copier
from orchestration.mirror.labels import read_labels
from orchestration.mirror.numbers import Numbers
from orchestration.mirror.schema import CannotFollow
from orchestration.mirror.target import NEXT, Target
from orchestration.settings import Settings

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.2
_TELL_SECONDS = 10.0


@dataclass
class _Request:
    table: Table
    version: int
    horizon: int
    labels: str
    asked: float


class Resyncer:
    """Queue of tables to copy again. Belongs to the writer's thread."""

    def __init__(
        self,
        settings: Settings,
        source: psycopg.Connection,
        target: Target,
        control: Control,
        *,
        version_base: int,
        generation: int,
        numbers: Numbers,
        check: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._source = source
        self._target = target
        self._control = control
        self._version_base = version_base
        self._generation = generation
        self._numbers = numbers
        self._check = check
        self._requests: dict[str, _Request] = {}
        self._next_poll = 0.0
        self._next_tell = 0.0

    def request(self, name: str, reason: str) -> None:
        """Ask for a table to be copied again; asking again while it waits starts the wait anew."""
        found = [t for t in published_tables(self._source, self._settings.mirror_publication) if t.target == name]
        if not found:
            return
        logger.info("table %s will be copied: %s", name, reason)
        # The catalog is read first: a change of the table after this moment is noticed by comparing with it.
        # One below the end: the next change may be written right there, and the copy must not tie with it.
        version = self._version_base + current_lsn(self._source) - 1
        # An ID of our own is above that of every running transaction. The end of a snapshot is not: it follows the last
        # transaction that ended, so those that began after that one, and may have written already, are beyond it.
        horizon = self._number("select pg_current_xact_id()::text::bigint")
        labels = read_labels(self._source, self._settings.mirror_publication).get(name, "")
        self._requests[name] = _Request(found[0], version, horizon, labels, time.monotonic())

    @property
    def waiting(self) -> list[str]:
        """Names of the tables that wait for older transactions of the source to end."""
        return list(self._requests)

    def step(self, applier: Applier) -> None:
        """Copy one table whose wait is over. Call it between transactions only."""
        if not self._requests or time.monotonic() < self._next_poll:
            return
        self._next_poll = time.monotonic() + _POLL_SECONDS
        oldest = self._number("select pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
        for name, request in list(self._requests.items()):
            if oldest >= request.horizon:
                self._copy(name, request, applier)
                return
        self._tell_who_blocks()

    def _copy(self, name: str, request: _Request, applier: Applier) -> None:
        applier.settle()
        started = time.monotonic()
        # What the snapshot does not have was deleted unseen: the copier buries it.
        with Copier(self._settings, self._target, self._control, self._numbers, self._check) as copier:
            try:
                if request.table.is_keyless and self._target.has_history(name):
                    raise CannotFollow("nothing identifies its rows")
                size = copier.copy(request.table, request.version)
            except CannotFollow as reason:
                size = self._copy_anew(copier, request, str(reason))
        applier.write_checkpoint()
        table = request.table
        snapshot = copier.snapshot if table.is_keyless else ""
        before = applier.tables.get(name) or self._planned(name)
        is_same = before is not None and (before.oid, before.membership) == (table.oid, table.membership)
        since = before.since if before is not None and is_same else request.version
        state = TableState(
            table.oid, table.storage, table.membership, self._generation, snapshot, since, request.labels
        )
        self._control.write_table(name, state)
        applier.tables[name] = state
        applier.take_up(name)
        del self._requests[name]
        logger.info("table %s copied: %.1f MB in %.1f s", name, size / 1e6, time.monotonic() - started)

    def _copy_anew(self, copier: Copier, request: _Request, reason: str) -> int:
        """Copy into new tables beside the old ones, then let them change places: readers see one or the other."""
        name = request.table.target
        logger.info("table %s will be made anew: %s", name, reason)
        self._target.drop_copy(name + NEXT)
        size = copier.copy(request.table, request.version, name=name + NEXT)
        kept = self._target.exchange_copy(name, request.version)
        logger.info("table %s was made anew; its history until now is %s", name, kept)
        return size

    def _planned(self, name: str) -> TableState | None:
        """Return the table as it was when the slot was made, if it was published then: all since is in the stream."""
        copying = self._control.read_copying(self._generation).get(name)
        return copying.state if copying else None

    def _number(self, query: str) -> int:
        row = self._source.execute(query.encode()).fetchone()
        return int(row[0]) if row else 0

    def _tell_who_blocks(self) -> None:
        now = time.monotonic()
        oldest = min(request.asked for request in self._requests.values())
        if now - oldest < _TELL_SECONDS or now < self._next_tell:
            return
        self._next_tell = now + _TELL_SECONDS
        logger.warning("waiting to copy %s: %s", ", ".join(self._requests), blocking_sessions(self._source))


def blocking_sessions(connection: psycopg.Connection) -> str:
    """Name the sessions of the source with the oldest open transactions that wrote something."""
    rows = connection.execute(
        """
        select pid, coalesce(usename, '?'), extract(epoch from now() - xact_start)::int
        from pg_stat_activity
        where backend_xid is not null and pid <> pg_backend_pid()
        order by xact_start
        limit 3
        """
    ).fetchall()
    if not rows:
        return "no open transaction is visible (prepared ones count too: see pg_prepared_xacts)"
    return "; ".join(f"open transaction of pid {pid} ({user}) for {seconds} s" for pid, user, seconds in rows)
