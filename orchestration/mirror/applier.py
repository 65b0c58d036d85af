"""Mirror room: turns the messages of the stream into batches, and batches into inserts followed by a checkpoint.

A batch holds whole transactions, or a part of one that is too big for memory: such a part is inserted early, and gets
its checkpoint only when the transaction's end has arrived.
"""

import logging
import time
from collections.abc import Callable

import psycopg

from orchestration.mirror import protocol
from orchestration.mirror.batch import Batch
from orchestration.mirror.catalog import Table, TypeResolver, find_table, target_name
from orchestration.mirror.control import MADE_ANEW, Checkpoint, Control, LossyValue, TableState, format_microseconds
from orchestration.mirror.inbox import KEEPALIVE, Chunk
from orchestration.mirror.inserter import Inserter, Parcel
from orchestration.mirror.keyless import ROW, row_id
from orchestration.mirror.layout import Layout, LayoutColumn, key_text
from orchestration.mirror.numbers import WIDE, Numbers
from orchestration.mirror.protocol import OLD_ROW, UNCHANGED, Relation, Values
from orchestration.mirror.schema import CannotFollow, no_identity, reconcile, wanted_from_relation
from orchestration.mirror.target import Target, is_nullable
from orchestration.mirror.toast import Known, Lookup, PendingRow, RowCache, weight
from orchestration.mirror.visibility import await_visible, read_snapshot

logger = logging.getLogger(__name__)

# Rows kept in memory before they are inserted, whole transaction or not: about 20 thousand orders. Two such batches are
# in memory, one that grows and one that is being inserted.
_BATCH_BYTES = 8 * 1024 * 1024
# Replica identities whose columns the stream flags: DEFAULT and USING INDEX.
_BY_INDEX = "di"
# How soon to look again whether the batch before is inserted.
_BUSY_SECONDS = 0.005
# Postgres takes a commit's time just before it writes the commit to the WAL, so two commits may be in the WAL in the
# other order than their times. The watermark stays behind by more than that takes.
WATERMARK_MARGIN_MICROSECONDS = 10_000


class Applier:
    """Applies the stream to the warehouse. Belongs to one replication session and one thread.

    `on_stale(table_name, reason)` is called when a table's existing rows must be copied again, `check()` while the
    source is awaited; it may raise to give up.
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
        numbers: Numbers,
        on_stale: Callable[[str, str], None],
        check: Callable[[], None],
    ) -> None:
        self._source = source
        self._target = target
        self._control = control
        self._version_base = version_base
        self._flush_seconds = flush_seconds
        self._on_stale = on_stale
        self._check = check
        self._resolver = TypeResolver(source)
        self._layouts: dict[int, Layout] = {}
        self._announced: dict[int, tuple[Relation, Table | None]] = {}
        # Tables whose copies are made anew. What comes of them is in the copy that they will get, which is taken later.
        self._awaiting: dict[int, Relation] = {}
        self._cache = RowCache()
        self._batch = Batch()
        self._lost: list[tuple[int, bytes]] = []
        # The state of the stream: inside a transaction, and what has been committed but not checkpointed.
        self._in_transaction = False
        self._xid = self._commit_time = 0
        # The record of the last row that nothing identifies, and its place among the rows of that record.
        self._record, self._place = 0, 0
        self._commits = False
        self._reply_wanted = False
        self._arrived = 0.0
        self._lsn, self._watermark = last.lsn, last.watermark
        self._numbers = numbers
        # While a table waits to be copied, nothing more counts as complete: the watermark stands.
        self.is_whole = True
        self._inserter = Inserter(source, target, control, last)
        self.tables: dict[str, TableState] = {}
        self._suffixes()

    @property
    def at_boundary(self) -> bool:
        """Whether the stream stands between transactions."""
        return not self._in_transaction

    @property
    def seconds_until_due(self) -> float | None:
        """Seconds until the batch should be flushed, None when there is nothing to flush."""
        if not self._commits:
            return None
        if self._inserter.busy:
            return max(_BUSY_SECONDS, self._arrived + self._flush_seconds - time.monotonic())
        return max(0.0, self._arrived + self._flush_seconds - time.monotonic())

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
                self._xid, self._commit_time = protocol.decode_begin(payload)
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
                self._submit(None)

    def flush(self) -> None:
        """Begin to insert what is complete, with its checkpoint; only between transactions, and if there is any."""
        if self._commits and not self._in_transaction:
            self._checkpoint()

    def settle(self) -> None:
        """Insert and checkpoint everything that is complete, and wait for it."""
        self.flush()
        self._inserter.drain()

    def write_checkpoint(self) -> None:
        """Record that everything that has a number is visible."""
        self._checkpoint()
        self._inserter.drain()

    def _due(self) -> bool:
        """Whether the first change has waited long enough, and nothing is being inserted.

        Behind a backlog every change has waited long enough: there, batches grow while the one before is inserted.
        """
        return time.monotonic() >= self._arrived + self._flush_seconds and not self._inserter.busy

    def _checkpoint(self) -> None:
        self._submit(Checkpoint(self._numbers.take(), self._lsn, self._watermark))
        self._commits = False

    @property
    def checkpoint(self) -> Checkpoint:
        """The newest checkpoint that is written."""
        return self._inserter.checkpoint

    def close(self) -> None:
        """End the inserting thread."""
        self._inserter.close()

    def take_reply_wanted(self) -> bool:
        """Whether the server asked for a reply since the last call: it may be shutting down and wait for us."""
        wanted, self._reply_wanted = self._reply_wanted, False
        return wanted

    def _suffixes(self) -> None:
        """Render what stands between version and number in each line; it is the same for all rows of a transaction."""
        moment = format_microseconds(self._commit_time)
        self._inserted, self._updated, self._deleted = (
            f"\t{deleted}\t{moment}\t{operation}\t".encode()
            for deleted, operation in ((0, "insert"), (0, "update"), (1, "delete"))
        )

    def _commit(self, end_lsn: int, arrived: float) -> None:
        if not self._commits:
            self._arrived = arrived
        self._in_transaction = False
        self._commits = True
        # After a restart the server sends again what is here but was not acknowledged. The mark must not go back: the
        # slot follows it, and a slot ahead of the mark counts as a gap.
        self._lsn = max(self._lsn, end_lsn)
        if self.is_whole:
            self._watermark = max(self._watermark, self._commit_time - WATERMARK_MARGIN_MICROSECONDS)
        if self._due():
            self.flush()

    def _keepalive(self, wal_end: int) -> None:
        """The server asks for a reply: all it has sent is here, so the mark may move over WAL that is not for us."""
        if self._in_transaction:
            return
        self._reply_wanted = True
        self.flush()
        if wal_end > self._lsn:
            self._lsn = wal_end
            self._checkpoint()

    def _insert(self, lsn: int, payload: bytes) -> None:
        oid, values = protocol.decode_insert(payload)
        layout = self._layouts.get(oid)
        if layout is None:
            return
        if layout.is_keyless:
            state = self.tables.get(layout.target)
            if state is not None and state.snapshot and read_snapshot(state.snapshot).holds(self._xid):
                return
            self._record, self._place = lsn, self._place + 1 if lsn == self._record else 0
            values.append(row_id(lsn + self._version_base, self._place))
        else:
            self._cache.put((oid, layout.key_of(values)), Known(values), len(payload))
        self._add(oid, layout, values, lsn, len(payload), self._inserted)

    def _update(self, lsn: int, payload: bytes) -> None:
        oid, kind, old, values = protocol.decode_update(payload)
        layout = self._layouts.get(oid)
        if layout is None:
            return
        key = layout.key_of(values)
        old_key = layout.key_of(old) if kind else key
        lookup = None
        if UNCHANGED in values:
            known = Known(old) if kind == OLD_ROW else self._cache.get((oid, old_key))
            if known is not None:
                values = [b if value == UNCHANGED else value for value, b in zip(values, known.values, strict=True)]
                lookup = known.lookup
        if old_key != key:
            self._cache.forget((oid, old_key))
            self._bury(oid, layout, old_key, lsn)
        if UNCHANGED in values:
            version = lsn + self._version_base
            if lookup is None:
                state = self.tables.get(layout.target)
                lookup = Lookup(old_key, version, self._commit_time, state.since if state else 0)
            self._cache.put((oid, key), Known(values, lookup), len(payload))
            missing = tuple(index for index, value in enumerate(values) if value == UNCHANGED)
            rows = self._batch.rows_of(oid, layout)
            suffix = b"%b%d\n" % (self._updated, self._numbers.take())
            rows.pending.append(PendingRow(layout, lookup, version, missing, values, suffix))
            # What it weighs in the cache: there it must stay until its batch is inserted.
            self._batch.size += weight(values)
            return
        self._cache.put((oid, key), Known(values), sum(map(len, values)))
        self._add(oid, layout, values, lsn, len(payload), self._updated)

    def _delete(self, lsn: int, payload: bytes) -> None:
        oid, kind, old = protocol.decode_delete(payload)
        layout = self._layouts.get(oid)
        if layout is None:
            return
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
        self._numbers.last += 1
        line = b"%b\t%d%b%d\n" % (line, version, suffix, self._numbers.last)
        self._batch.rows_of(oid, layout).lines.append(line)
        self._batch.size += size

    def _bury(self, oid: int, layout: Layout, key: tuple[bytes, ...], lsn: int) -> None:
        self._numbers.last += 1
        version = lsn + self._version_base
        line = b"%b\t%d%b%d\n" % (layout.render_key(key), version, self._deleted, self._numbers.last)
        self._batch.rows_of(oid, layout).lines.append(line)
        self._batch.size += len(line)

    def _truncate(self, lsn: int, oids: tuple[int, ...]) -> None:
        self._settle()
        for oid in oids:
            if oid in self._awaiting:
                continue
            self._cache.forget_relation(oid)
            version = lsn + self._version_base
            moment = format_microseconds(self._commit_time)
            self._target.bury_rows(self._layouts[oid].target, version, moment, self._numbers.take(WIDE), truncated=True)

    def _relation(self, relation: Relation) -> None:
        """Follow the layout that the stream announces. It may change within a transaction."""
        if self._in_transaction:
            await_visible(self._source, self._xid, self._check)
        table = find_table(self._source, relation.oid)
        if self._announced.get(relation.oid) == (relation, table):
            # Each big transaction announces its tables anew, for none knows whether another one will be rolled back.
            return
        name = target_name(relation.schema, relation.name)
        # Rows at hand have the layout from before.
        self._settle()
        self._cache.forget_relation(relation.oid)
        key = table.key if table else tuple(column.name for column in relation.columns if column.in_identity)
        if not key:
            raise no_identity(relation.schema, relation.name)
        if not _same_identity(relation, key):
            # The catalog is ahead of the stream: all rows of this layout are older than the next copy of the table.
            self._await(name, relation, table, "its rows are identified by other columns now")
            return
        wanted = wanted_from_relation(relation, table, self._resolver)
        try:
            outcome = reconcile(self._target, name, wanted, key)
        except CannotFollow as reason:
            self._await(name, relation, table, str(reason))
            return
        self._awaiting.pop(relation.oid, None)
        names = [column.name for column in wanted]
        columns = tuple(LayoutColumn(column.name, column.mapping, column.name in key) for column in wanted)
        not_null = tuple(
            index
            for index, column in enumerate(wanted)
            if column.name not in key and column.mapping.nullable and not is_nullable(outcome.types[column.name])
        )
        places = tuple(names.index(column) for column in key)
        self._announced[relation.oid] = (relation, table)
        self._layouts[relation.oid] = Layout(name, (relation.schema, relation.name), columns, places, not_null)
        self._notice_stale(name, table, outcome.stale)

    def _await(self, name: str, relation: Relation, table: Table | None, reason: str) -> None:
        """Leave out what comes of a table until it is made anew, also after a restart."""
        if table is None:
            return
        self._layouts.pop(relation.oid, None)
        self._announced.pop(relation.oid, None)
        self._awaiting[relation.oid] = relation
        if self.tables.pop(name, None) is not None:
            self._control.write_table(name, TableState(table.oid, table.storage, table.membership, MADE_ANEW))
        self._on_stale(name, reason)

    def take_up(self, name: str) -> None:
        """Apply again what comes of a table that was made anew; not what is from before the change that led to it."""
        for relation in [r for r in self._awaiting.values() if target_name(r.schema, r.name) == name]:
            table = find_table(self._source, relation.oid)
            if table is not None and _same_identity(relation, table.key):
                self._relation(relation)

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

    def _submit(self, checkpoint: Checkpoint | None) -> None:
        """Hand the rows at hand to the inserter."""
        batch, self._batch = self._batch, Batch()
        self._inserter.submit(Parcel(batch.in_insert_order(), batch.lossy, checkpoint))

    def _settle(self) -> None:
        """Have everything received so far inserted: what follows changes tables or reads them."""
        if self._batch:
            self._submit(None)
        self._inserter.drain()

    def _report(self, index: int, original: bytes) -> None:
        self._lost.append((index, original))

    def _record_lost(self, layout: Layout, values: Values, version: int) -> None:
        """Keep the originals of what the copy could not hold. `values` are rendered already."""
        key = key_text(layout, values)
        for index, original in self._lost:
            text = original.decode("utf-8", errors="replace")
            self._batch.lossy.append(LossyValue(layout.target, layout.names[index], key, version, text))
        self._lost.clear()


def _same_identity(relation: Relation, key: tuple[str, ...]) -> bool:
    """Whether the stream and the catalog identify rows by the same columns."""
    if relation.identity not in _BY_INDEX:
        return True
    return {column.name for column in relation.columns if column.in_identity} == set(key) - {ROW}
