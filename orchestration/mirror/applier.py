"""Mirror room: turns the messages of the stream into batches, and batches into inserts followed by a checkpoint.

A batch holds whole transactions, or a part of one that is too big for memory: such a part is inserted early, and its
number gets its checkpoint only when the transaction's end has arrived.
"""

import logging
import time
from collections.abc import Callable

import psycopg

from orchestration.errors import UserError
from orchestration.mirror import protocol
from orchestration.mirror.batch import Batch, TableRows
from orchestration.mirror.catalog import Table, TypeResolver, find_table, target_name
from orchestration.mirror.control import Checkpoint, Control, LossyValue, TableState, format_microseconds
from orchestration.mirror.inbox import KEEPALIVE, Chunk
from orchestration.mirror.layout import Layout, LayoutColumn
from orchestration.mirror.protocol import OLD_ROW, UNCHANGED, Relation, Values
from orchestration.mirror.schema import apply, reconcile, wanted_from_relation
from orchestration.mirror.target import Target, is_nullable, quote
from orchestration.mirror.toast import PendingRow, RowCache, fetch_from_source, look_up

logger = logging.getLogger(__name__)

# Rows kept in memory before they are inserted, whole transaction or not. 16 MB are about 50 thousand orders.
_BATCH_BYTES = 16 * 1024 * 1024
# Postgres takes a commit's time just before it writes the commit to the WAL, so two commits may be in the WAL in the
# other order than their times. The watermark stays behind by more than that takes.
WATERMARK_MARGIN_MICROSECONDS = 10_000


class Applier:
    """Applies the stream to the warehouse. Belongs to one replication session and one thread.

    `on_stale(table_name, reason)` is called when a table's existing rows must be copied again.
    """

    def __init__(
        self,
        source: psycopg.Connection,
        target: Target,
        control: Control,
        *,
        version_base: int,
        flush_seconds: float,
        last: Checkpoint,
        on_stale: Callable[[str, str], None],
    ) -> None:
        self._source = source
        self._target = target
        self._control = control
        self._version_base = version_base
        self._flush_seconds = flush_seconds
        self._on_stale = on_stale
        self._resolver = TypeResolver(source)
        self._relations: dict[int, Relation] = {}
        self._layouts: dict[int, Layout] = {}
        self._cache = RowCache()
        self._batch = Batch()
        self._lost: list[tuple[int, bytes]] = []
        # The state of the stream: inside a transaction, and what has been committed but not checkpointed.
        self._in_transaction = False
        self._commit_time = 0
        self._commits = False
        self._reply_wanted = False
        self._arrived = self._flushed_at = self._flush_took = 0.0
        self._next = last
        self.checkpoint = last
        self.tables: dict[str, TableState] = {}
        self._number(last.applied + 1)

    @property
    def at_boundary(self) -> bool:
        """Whether the stream stands between transactions."""
        return not self._in_transaction

    @property
    def seconds_until_due(self) -> float | None:
        """Seconds until the batch should be flushed, None when there is nothing to flush."""
        if not self._commits:
            return None
        return max(0.0, self._due_at() - time.monotonic())

    def apply(self, chunk: Chunk) -> None:
        """Apply messages in stream order; flushes on the way when the batch is due or big."""
        if not self._commits and not self._batch:
            self._arrived = chunk.arrived
        for lsn, payload in chunk.messages:
            kind = payload[0] if payload else None
            if kind == protocol.INSERT:
                self._insert(lsn, payload)
            elif kind == protocol.UPDATE:
                self._update(lsn, payload)
            elif kind == protocol.DELETE:
                self._delete(lsn, payload)
            elif kind == protocol.BEGIN:
                _, self._commit_time = protocol.decode_begin(payload)
                self._in_transaction = True
                self._suffixes()
                continue
            elif kind == protocol.COMMIT:
                self._commit(protocol.decode_commit(payload), chunk.arrived)
                continue
            elif kind == protocol.RELATION:
                self._relation(protocol.decode_relation(payload))
            elif kind == protocol.TRUNCATE:
                self._truncate(lsn, protocol.decode_truncate(payload))
            elif payload == KEEPALIVE:
                self._keepalive(lsn)
            if self._batch.size >= _BATCH_BYTES:
                self._insert_batch()

    def flush(self) -> None:
        """Insert what is complete and write its checkpoint; only between transactions, and only if there is any."""
        if self._commits and not self._in_transaction:
            started = time.monotonic()
            self._insert_batch()
            self.write_checkpoint(self._next.lsn, self._next.watermark)
            self._flushed_at = time.monotonic()
            self._flush_took = self._flushed_at - started

    def write_checkpoint(self, lsn: int, watermark: int) -> None:
        """Record that everything up to `lsn` is visible under the current batch number, and begin the next batch."""
        self.checkpoint = Checkpoint(self._applied, max(lsn, self.checkpoint.lsn), watermark)
        self._control.write_checkpoint(self.checkpoint)
        self._next = self.checkpoint
        self._commits = False
        self._number(self._applied + 1)

    def _due_at(self) -> float:
        """When the batch should be flushed: when its first change has waited long enough.

        But no sooner than the last flush took after its end: behind a backlog every change has waited long enough, and
        one flush per transaction would never catch up.
        """
        return max(self._arrived + self._flush_seconds, self._flushed_at + self._flush_took)

    @property
    def applied(self) -> int:
        """The number of the batch in progress."""
        return self._applied

    def take_reply_wanted(self) -> bool:
        """Whether the server asked for a reply since the last call: it may be shutting down and wait for us."""
        wanted, self._reply_wanted = self._reply_wanted, False
        return wanted

    def _number(self, applied: int) -> None:
        self._applied = applied
        self._suffixes()

    def _suffixes(self) -> None:
        """Render what follows the version in each line; it is the same for all rows of a transaction and batch."""
        moment = format_microseconds(self._commit_time)
        self._inserted, self._updated, self._deleted = (
            f"\t{deleted}\t{moment}\t{self._applied}\t{operation}\n".encode()
            for deleted, operation in ((0, "insert"), (0, "update"), (1, "delete"))
        )

    def _commit(self, end_lsn: int, arrived: float) -> None:
        if not self._commits:
            self._arrived = arrived
        self._in_transaction = False
        self._commits = True
        watermark = max(self._next.watermark, self._commit_time - WATERMARK_MARGIN_MICROSECONDS)
        self._next = Checkpoint(self._applied, end_lsn, watermark)
        if time.monotonic() >= self._due_at():
            self.flush()

    def _keepalive(self, wal_end: int) -> None:
        """The server asks for a reply: all it has sent is here, so the mark may move over WAL that is not for us."""
        if self._in_transaction:
            return
        self._reply_wanted = True
        self.flush()
        if wal_end > self.checkpoint.lsn:
            self.write_checkpoint(wal_end, self.checkpoint.watermark)

    def _insert(self, lsn: int, payload: bytes) -> None:
        oid, values = protocol.decode_insert(payload)
        layout = self._layouts[oid]
        self._cache.put((oid, layout.key_of(values)), values, len(payload))
        self._add(oid, layout, values, lsn, len(payload), self._inserted)

    def _update(self, lsn: int, payload: bytes) -> None:
        oid, kind, old, values = protocol.decode_update(payload)
        layout = self._layouts[oid]
        key = layout.key_of(values)
        old_key = layout.key_of(old) if kind else key
        if UNCHANGED in values:
            known = old if kind == OLD_ROW else self._cache.get((oid, old_key))
            if known is not None:
                values = [before if value == UNCHANGED else value for value, before in zip(values, known, strict=True)]
        if old_key != key:
            self._cache.forget((oid, old_key))
            self._bury(oid, layout, old_key, lsn)
        if UNCHANGED in values:
            self._cache.forget((oid, key))
            missing = tuple(index for index, value in enumerate(values) if value == UNCHANGED)
            rows = self._batch.rows_of(oid, layout)
            rows.pending.append(PendingRow(layout, old_key, lsn + self._version_base, missing, values, self._updated))
            self._batch.size += len(payload)
            return
        self._cache.put((oid, key), values, sum(map(len, values)))
        self._add(oid, layout, values, lsn, len(payload), self._updated)

    def _delete(self, lsn: int, payload: bytes) -> None:
        oid, kind, old = protocol.decode_delete(payload)
        layout = self._layouts[oid]
        key = layout.key_of(old)
        self._cache.forget((oid, key))
        if kind == OLD_ROW:
            self._add(oid, layout, old, lsn, len(payload), self._deleted)
        else:
            self._bury(oid, layout, key, lsn)

    def _add(self, oid: int, layout: Layout, values: Values, lsn: int, size: int, suffix: bytes) -> None:
        line = layout.render(values, self._report)
        version = lsn + self._version_base
        if self._lost:
            self._record_lost(layout, values, version)
        self._batch.rows_of(oid, layout).lines.append(b"%b\t%d%b" % (line, version, suffix))
        self._batch.size += size

    def _bury(self, oid: int, layout: Layout, key: tuple[bytes, ...], lsn: int) -> None:
        line = b"%b\t%d%b" % (layout.render_key(key), lsn + self._version_base, self._deleted)
        self._batch.rows_of(oid, layout).lines.append(line)
        self._batch.size += len(line)

    def _truncate(self, lsn: int, oids: tuple[int, ...]) -> None:
        self._insert_batch()
        for oid in oids:
            self._cache.forget_relation(oid)
            version = lsn + self._version_base
            moment = format_microseconds(self._commit_time)
            self._target.bury_rows(self._layouts[oid].target, version, moment, self._applied)

    def _relation(self, relation: Relation) -> None:
        """Follow the layout that the stream announces. It may change within a transaction."""
        table = find_table(self._source, relation.oid)
        name = target_name(relation.schema, relation.name)
        # Rows at hand have the layout from before.
        self._insert_batch()
        self._cache.forget_relation(relation.oid)
        key = table.key if table else tuple(column.name for column in relation.columns if column.in_identity)
        if not key:
            raise no_identity(relation.schema, relation.name)
        wanted = wanted_from_relation(relation, table, self._resolver)
        outcome = reconcile(self._target, name, wanted, key)
        names = [column.name for column in wanted]
        columns = tuple(LayoutColumn(column.name, column.mapping, column.name in key) for column in wanted)
        not_null = tuple(
            index
            for index, column in enumerate(wanted)
            if column.name not in key and column.mapping.nullable and not is_nullable(outcome.types[column.name])
        )
        self._layouts[relation.oid] = Layout(name, columns, tuple(names.index(column) for column in key), not_null)
        self._relations[relation.oid] = relation
        self._notice_stale(name, table, outcome.stale)

    def _notice_stale(self, name: str, table: Table | None, reason: str) -> None:
        state = self.tables.get(name)
        if table is None:
            return
        if state is None:
            reason = "it is new here"
        elif state.oid != table.oid:
            reason = "it was dropped and made again"
        elif state.storage != table.storage:
            # ALTER TABLE rewrote the rows without a word in the stream (so do TRUNCATE, VACUUM FULL and CLUSTER).
            reason = "its storage was rewritten"
        if reason:
            self._on_stale(name, reason)

    def _insert_batch(self) -> None:
        """Insert the rows at hand, parents before children, under the current batch number."""
        if not self._batch:
            return
        for rows in self._batch.in_insert_order():
            self._insert_table(rows)
        self._control.write_lossy(self._batch.lossy)
        self._batch.clear()

    def _insert_table(self, rows: TableRows) -> None:
        layout = rows.layout
        self._send(layout, rows.lines)
        waiting = sorted(rows.pending, key=lambda row: row.version)
        while waiting:
            # A row may need the value of another one that waits here too: go round until nothing more is found.
            found = look_up(self._target, waiting)
            lines = [self._complete(waiting[number], fields) for number, fields in found.items()]
            waiting = [row for number, row in enumerate(waiting) if number not in found]
            if not found:
                first, *waiting = waiting
                lines = [self._complete_from_source(first)]
            self._send(layout, lines)

    def _complete(self, row: PendingRow, fields: dict[int, bytes]) -> bytes:
        fields = {index: fields[index] for index in row.missing}
        line = row.layout.render_with(row.values, fields, self._report)
        if self._lost:
            self._record_lost(row.layout, row.values, row.version)
        return b"%b\t%d%b" % (line, row.version, row.suffix)

    def _complete_from_source(self, row: PendingRow) -> bytes:
        oid = next(oid for oid, layout in self._layouts.items() if layout is row.layout)
        relation = self._relations[oid]
        for index, value in fetch_from_source(self._source, relation.schema, relation.name, row).items():
            row.values[index] = value
        line = row.layout.render(row.values, self._report)
        if self._lost:
            self._record_lost(row.layout, row.values, row.version)
        return b"%b\t%d%b" % (line, row.version, row.suffix)

    def _send(self, layout: Layout, lines: list[bytes]) -> None:
        if layout.surprised:
            self._widen(layout)
        if lines:
            self._target.insert_lines(layout.target, layout.names, b"".join(lines))

    def _widen(self, layout: Layout) -> None:
        """Let columns hold NULL where one arrived although the catalog says NOT NULL."""
        actions = []
        for index in sorted(layout.surprised):
            column = layout.columns[index]
            actions.append(f"MODIFY COLUMN {quote(column.name)} {column.mapping.column_type(nullable=True)}")
        apply(self._target, layout.target, actions)
        layout.not_null = tuple(index for index in layout.not_null if index not in layout.surprised)
        layout.surprised.clear()

    def _report(self, index: int, original: bytes) -> None:
        self._lost.append((index, original))

    def _record_lost(self, layout: Layout, values: Values, version: int) -> None:
        """Keep the originals of what the copy could not hold. `values` are rendered already."""
        key = "\t".join(values[index].decode("utf-8", errors="replace") for index in layout.key)
        for index, original in self._lost:
            text = original.decode("utf-8", errors="replace")
            self._batch.lossy.append(LossyValue(layout.target, layout.names[index], key, version, text))
        self._lost.clear()


def no_identity(schema: str, name: str) -> UserError:
    """Explain that a table's rows cannot be told apart."""
    return UserError(
        f"Table {schema}.{name} is published but has no usable identity (a primary key that is not deferrable).",
        f'Add a primary key, or take it out: ALTER PUBLICATION ... DROP TABLE "{schema}"."{name}";',
    )
