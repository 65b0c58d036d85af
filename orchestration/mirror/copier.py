"""Mirror room: copies tables in one snapshot of the source, several ranges at a time."""

import threading
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor, as_completed
from queue import SimpleQueue
from types import TracebackType

import psycopg

from orchestration.mirror.catalog import Table, TypeResolver, published_tables
from orchestration.mirror.control import Control, format_microseconds
from orchestration.mirror.numbers import WIDE, Numbers
from orchestration.mirror.ranges import Range, cut
from orchestration.mirror.schema import apply, no_identity, reconcile, wanted_from_table
from orchestration.mirror.session import open_session
from orchestration.mirror.snapshot import RangeCopier
from orchestration.mirror.target import Target, is_nullable, make_nullable, quote
from orchestration.settings import Settings

# Sessions on the source: two saturate two processors; more keep one of them busy while others wait for the warehouse.
_SESSIONS = 3


class Copier:
    """Sessions that share one snapshot. `check` is called between inserts and may raise to give up."""

    def __init__(
        self,
        settings: Settings,
        target: Target,
        control: Control,
        numbers: Numbers,
        check: Callable[[], None],
        exported: tuple[str, int] | None = None,
    ) -> None:
        """Open the sessions in a new snapshot, or in an exported one.

        `exported` is its name, and a time (Unix microseconds) before any commit that it does not hold.
        """
        self._settings = settings
        self._target = target
        self._control = control
        self._numbers = numbers
        self._check = check
        self._sessions: list[psycopg.Connection] = []
        self._failed = False
        snapshot, moment = exported or (None, None)
        try:
            for _ in range(_SESSIONS):
                session = open_session(settings, "snapshot")
                self._sessions.append(session)
                session.execute("begin isolation level repeatable read read only")
                if snapshot is not None:
                    session.execute(f"set transaction snapshot '{snapshot}'".encode())
                else:
                    row = session.execute("select pg_export_snapshot()").fetchone()
                    snapshot = str(row[0]) if row else None
            # The clock is read behind the snapshot: whatever is committed later is not in it.
            row = (
                self._sessions[0]
                .execute(
                    "select (extract(epoch from clock_timestamp()) * 1000000)::bigint, pg_current_snapshot()::text"
                )
                .fetchone()
            )
        except BaseException:
            self.close()
            raise
        if row is None:
            raise psycopg.DataError("the source does not know what time it is")
        self._moment = format_microseconds(int(row[0]) if moment is None else moment)
        # Which transactions the copies hold.
        self.snapshot = str(row[1])

    def __enter__(self) -> "Copier":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the sessions."""
        for session in self._sessions:
            session.close()

    def tables(self) -> list[Table]:
        """Return the published tables as the snapshot has them."""
        return published_tables(self._sessions[0], self._settings.mirror_publication)

    def copy(
        self,
        table: Table,
        version: int,
        done: Collection[Range] = (),
        on_range: Callable[[Range], None] = lambda _: None,
        *,
        name: str | None = None,
    ) -> int:
        """Copy all rows at `version`, and bury what is older; return how many bytes of text that were.

        `name` is that of another copy than the table's own. The ranges in `done` are left out. `on_range` is called
        for each range whose rows are on the warehouse's disk.

        Raises:
            UserError: the table has no usable identity.
            CannotFollow: the copy that is there must be made anew.
        """
        name = name or table.target
        if not table.key:
            raise no_identity(table.schema, table.name)
        wanted = wanted_from_table(table, TypeResolver(self._sessions[0]))
        types = reconcile(self._target, name, wanted, table.key).types
        lock = threading.Lock()

        def widen(columns: set[str]) -> None:
            with lock:
                for column in sorted(columns):
                    if not is_nullable(types[column]):
                        types[column] = make_nullable(types[column])
                        apply(self._target, name, [f"MODIFY COLUMN {quote(column)} {types[column]}"])

        ranges = [found for found in cut(self._sessions[0], table) if found not in done]
        copier = RangeCopier(
            *(table, name, wanted, version, self._moment),
            *(self._target, self._control, self._numbers, self._check_all, widen),
        )
        size = self._run(copier, ranges, on_range)
        if version:
            self._target.bury_rows(name, version, self._moment, self._numbers.take(WIDE))
        self._target.sync_if_allowed()
        return size

    def _run(self, copier: RangeCopier, ranges: list[Range], on_range: Callable[[Range], None]) -> int:
        idle: SimpleQueue[psycopg.Connection] = SimpleQueue()
        for session in self._sessions:
            idle.put(session)

        def copy(blocks: Range) -> int:
            session = idle.get()
            try:
                size = copier.copy(session, blocks)
            except BaseException:
                self._failed = True
                raise
            finally:
                idle.put(session)
            self._target.sync_if_allowed()
            on_range(blocks)
            return size

        executor = ThreadPoolExecutor(len(self._sessions), thread_name_prefix="mirror-copy")
        try:
            return sum(future.result() for future in as_completed([executor.submit(copy, r) for r in ranges]))
        finally:
            executor.shutdown(cancel_futures=True)

    def _check_all(self) -> None:
        self._check()
        if self._failed:
            raise CopyFailed


class CopyFailed(Exception):
    """Another range of the same copy failed; what it raised is the reason."""
