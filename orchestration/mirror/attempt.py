"""Mirror room: one attempt to mirror - check the position, copy what is missing, stream until stopped or broken."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import psycopg

from orchestration.errors import UserError
from orchestration.mirror.applier import WATERMARK_MARGIN_MICROSECONDS, Applier
from orchestration.mirror.catalog import current_lsn, published_tables, read_publication, read_slot
from orchestration.mirror.control import Checkpoint, Control, Position, TableState, format_microseconds
from orchestration.mirror.durability import Durability
from orchestration.mirror.heartbeat import Heartbeat
from orchestration.mirror.inbox import Inbox
from orchestration.mirror.lsn import format_lsn
from orchestration.mirror.position import check_mark, check_publication, check_slot
from orchestration.mirror.publication import add_new_tables, ensure_publication
from orchestration.mirror.replication import NewSlot, ReplicationSession, ReplicationStream, SlotInUse
from orchestration.mirror.resync import Resyncer, blocking_sessions
from orchestration.mirror.session import open_session, replication_conninfo
from orchestration.mirror.snapshot import TableCopier
from orchestration.mirror.stall import StallWatch
from orchestration.mirror.target import Target
from orchestration.mirror.trouble import Trouble
from orchestration.settings import Settings

logger = logging.getLogger(__name__)

# Messages in memory between reader and writer, on top of the batches.
_INBOX_BYTES = 32 * 1024 * 1024
_IDLE_SECONDS = 0.2
_STATUS_SECONDS = 5.0
_PUBLICATION_SECONDS = 2.0
_RETENTION_SECONDS = 3600.0


class Stopped(Exception):
    """The process was asked to stop."""


class Attempt:
    """One attempt: from the check of the position to the end of the stream."""

    def __init__(
        self,
        settings: Settings,
        source: psycopg.Connection,
        target: Target,
        stop: threading.Event,
        on_slot_held: Callable[[], None],
        on_streaming: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._source = source
        self._target = target
        self._stop = stop
        self._on_slot_held = on_slot_held
        self._on_streaming = on_streaming
        self._slot = settings.mirror_slot
        self._control = Control(target, self._slot)
        self._inbox = Inbox(_INBOX_BYTES)
        self._stale: dict[str, str] = {}

    def run(self, resnapshot: bool) -> None:
        """Mirror until stopped or until something fails."""
        self._control.ensure_tables()
        self._preflight()
        position = self._control.read_position()
        slot = read_slot(self._source, self._slot)
        if not resnapshot:
            check_slot(position, slot, self._slot, self._source.info.dbname)
        if resnapshot or position is None or position.phase == "creating":
            self._be_the_only_one()
            self._begin(self._control.read_position())
        else:
            self._resume(position)

    def _preflight(self) -> None:
        row = self._source.execute("select pg_is_in_recovery()").fetchone()
        if row is None or row[0]:
            # It may be promoted in a moment.
            raise Trouble("the source is a standby, which cannot be mirrored: name the primary in TORGHUT_DB_DSN")
        row = self._source.execute("show wal_level").fetchone()
        if row is None or row[0] != "logical":
            raise UserError(
                f"The source has wal_level {row[0] if row else '?'}; replication needs logical.",
                "Let an administrator run: ALTER SYSTEM SET wal_level = 'logical'; and restart the server.",
            )

    def _be_the_only_one(self) -> None:
        """Hold a lock of the source until its session ends: the slot, which is the lock later, is about to be made."""
        row = self._source.execute(
            "select pg_try_advisory_lock(hashtextextended('jangar_quant mirror ' || %s, 0))", (self._slot,)
        ).fetchone()
        if row is None or not row[0]:
            raise SlotInUse("another mirror is making the slot")

    def _begin(self, position: Position | None) -> None:
        """Make the slot, and copy all tables in its snapshot while the stream already waits."""
        commands = self._open_replication()
        try:
            slot = read_slot(self._source, self._slot)
            if slot is not None:
                commands.drop_slot(self._slot)
            self._report("starting", "making the replication slot")
            ensure_publication(self._source, self._settings.mirror_publication)
            tables = published_tables(self._source, self._settings.mirror_publication)
            for table in tables:
                if table.key and sorted(self._target.key(table.target)) not in ([], sorted(table.key)):
                    self._target.drop_copy(table.target)
            newest = max((self._target.newest_version(table.target) for table in tables), default=0)
            # Rows of a first copy that nothing followed have version 0, and are rows all the same.
            is_new = all(self._target.is_empty(table.target) for table in tables)
            identity = commands.identify()
            lsn = current_lsn(self._source)
            complete_until = self._source_clock()
            base = position.version_base if position else 0
            if newest and newest >= base + lsn - 1:
                # Another server whose WAL is shorter: its changes must win over what is here all the same.
                base = newest + 1
            position = Position(
                self._slot,
                position.generation + 1 if position else 1,
                identity.system_identifier,
                identity.timeline,
                base,
                0,
                read_publication(self._source, self._settings.mirror_publication)[0],
                "creating",
            )
            self._control.write_position(position)
            created = commands.create_slot(self._slot, self._wait_for_slot)
            position = replace(position, consistent_lsn=created.consistent_lsn, phase="created")
            self._control.write_position(position)
            logger.info("slot %s made at %s", self._slot, format_lsn(created.consistent_lsn))
            # From here the slot is held, as the lock against a second mirror, while the tables are copied.
            stream = self._start_stream()
            self._on_slot_held()
        except BaseException:
            commands.close()
            raise
        try:
            # An empty warehouse gets version 0, which every change beats. Rows that are there already are beaten by
            # the end of the WAL from before the slot, which still is below every change that the slot will send.
            # One below it: the next change may be written right there.
            version = 0 if is_new else base + lsn - 1
            last = self._copy_all(position, created, commands, version)
            last = replace(last, applied=last.applied + 1, watermark=max(last.watermark, complete_until))
            self._control.write_checkpoint(last)
            self._run_stream(stream, position, last)
        finally:
            commands.close()
            stream.close()

    def _copy_all(self, position: Position, created: NewSlot, commands: ReplicationSession, version: int) -> Checkpoint:
        self._report("snapshotting", "")
        before = self._control.read_checkpoint()
        watermark = before.watermark if before else 0
        applied = self._control.first_batch_number()
        with open_session(self._settings, "snapshot") as session:
            session.execute("begin isolation level repeatable read read only")
            session.execute(f"set transaction snapshot '{created.snapshot}'".encode())
            commands.close()
            row = session.execute("select (extract(epoch from now()) * 1000000)::bigint").fetchone()
            now = int(row[0]) if row else 0
            moment = format_microseconds(now)
            copier = TableCopier(session, self._target, self._control, self._check)
            last = Checkpoint(applied - 1, created.consistent_lsn, watermark)
            for table in published_tables(session, self._settings.mirror_publication):
                started = time.monotonic()
                self._report("snapshotting", table.target)
                last = replace(last, applied=last.applied + 1)
                size = copier.copy(table, version, last.applied, moment)
                if version:
                    self._target.bury_rows(table.target, version, moment, last.applied, before=last.applied)
                self._control.write_checkpoint(last)
                state = TableState(table.oid, table.storage, table.membership, position.generation)
                self._control.write_table(table.target, state)
                logger.info("table %s copied: %.1f MB in %.1f s", table.target, size / 1e6, time.monotonic() - started)
            session.rollback()
        return last

    def _resume(self, position: Position) -> None:
        """Continue after the last acknowledged transaction."""
        stream_session = self._open_replication()
        try:
            identity = stream_session.identify()
            # The slot is the lock: what follows is read while no other mirror can write.
            stream_session.start(self._slot, self._settings.mirror_publication)
            self._on_slot_held()
            self._report("leader", "holds the slot and continues")
            slot = read_slot(self._source, self._slot)
            check_slot(position, slot, self._slot, self._source.info.dbname)
            checkpoint = self._control.read_checkpoint()
            if slot is not None:
                whole = self._control.read_tables()
                check_mark(position, slot, identity, checkpoint, whole, self._target.tables())
        except BaseException:
            stream_session.close()
            raise
        stream = ReplicationStream(stream_session, self._inbox)
        try:
            last = checkpoint or Checkpoint(0, position.consistent_lsn, 0)
            self._run_stream(stream, position, replace(last, applied=self._control.first_batch_number() - 1))
        finally:
            stream.close()

    def _run_stream(self, stream: ReplicationStream, position: Position, last: Checkpoint) -> None:
        """Stream until stopped; what is complete is made durable and acknowledged before this returns."""
        sync_target = Target(self._settings)
        durability = Durability(sync_target, stream.acknowledge, self._inbox.fail)
        heartbeat = Heartbeat(self._settings)
        applier = Applier(
            self._source,
            self._target,
            self._control,
            version_base=position.version_base,
            flush_seconds=self._settings.mirror_flush_ms / 1000,
            last=last,
            on_stale=self._stale.__setitem__,
        )
        resyncer = Resyncer(
            self._settings,
            self._source,
            self._target,
            self._control,
            version_base=position.version_base,
            generation=position.generation,
            check=self._check,
        )
        try:
            self._find_incomplete(applier, position)
            self._loop(stream, applier, resyncer, durability, heartbeat, position.publication_oid)
            applier.settle()
            durability.written(applier.checkpoint.lsn, urgent=True)
        finally:
            applier.close()
            heartbeat.close()
            durability.close()
            sync_target.close()

    def _find_incomplete(self, applier: Applier, position: Position) -> None:
        """Learn which tables are whole; ask for a copy of those that an interrupted start left behind."""
        states = self._control.read_tables()
        applier.tables = {name: state for name, state in states.items() if state.generation == position.generation}
        for name in read_publication(self._source, self._settings.mirror_publication)[1]:
            if name not in applier.tables:
                self._stale[name] = "it was not copied completely"

    def _watch_publication(self, applier: Applier, resyncer: Resyncer, publication_oid: int) -> None:
        """Publish known tables that appear, and copy what the stream has not sent from the beginning."""
        add_new_tables(self._source, self._settings.mirror_publication)
        oid, members = read_publication(self._source, self._settings.mirror_publication)
        check_publication(oid, publication_oid, self._settings.mirror_publication)
        for name, membership in members.items():
            state = applier.tables.get(name)
            if name not in resyncer.waiting and (state is None or state.membership != membership):
                self._stale[name] = "it is newly published"

    def _loop(
        self,
        stream: ReplicationStream,
        applier: Applier,
        resyncer: Resyncer,
        durability: Durability,
        heartbeat: Heartbeat,
        publication_oid: int,
    ) -> None:
        next_status = next_tables = next_retention = 0.0
        reported = ""
        watch = StallWatch(self._settings.mirror_heartbeat_seconds)
        while not self._stop.is_set():
            due = applier.seconds_until_due if applier.at_boundary else None
            chunk = self._inbox.take(_IDLE_SECONDS if due is None else min(due, _IDLE_SECONDS))
            applier.is_whole = not self._stale and not resyncer.waiting
            if chunk is not None:
                applier.apply(chunk)
            if applier.seconds_until_due == 0.0:
                applier.flush()
            durability.written(applier.checkpoint.lsn, urgent=applier.take_reply_wanted())
            now = time.monotonic()
            if now >= next_tables:
                next_tables = now + _PUBLICATION_SECONDS
                self._watch_publication(applier, resyncer, publication_oid)
            while self._stale:
                resyncer.request(*self._stale.popitem())
            if applier.at_boundary:
                resyncer.step(applier)
            stalled = watch.observe(stream.progress, heartbeat.source_lsn, now)
            state = "stalled" if stalled else "snapshotting" if resyncer.waiting else "streaming"
            if now >= next_status or state != reported:
                if state != reported:
                    (logger.warning if stalled else logger.info)(
                        "%s from %s %s", state, format_lsn(applier.checkpoint.lsn), stalled
                    )
                    self._on_streaming()
                reported = state
                next_status = now + _STATUS_SECONDS
                detail = stalled or ", ".join(resyncer.waiting)
                last = applier.checkpoint
                source_lsn = max(heartbeat.source_lsn, last.lsn)
                self._control.write_status(state, detail, last.lsn, source_lsn, last.watermark)
            if now >= next_retention and applier.checkpoint.applied > 0:
                next_retention = now + _RETENTION_SECONDS
                self._control.drop_old_checkpoints()

    def _start_stream(self) -> ReplicationStream:
        session = self._open_replication()
        try:
            session.start(self._slot, self._settings.mirror_publication)
        except BaseException:
            session.close()
            raise
        return ReplicationStream(session, self._inbox)

    def _open_replication(self) -> ReplicationSession:
        return ReplicationSession(replication_conninfo(self._settings))

    def _source_clock(self) -> int:
        """Return a time (Unix microseconds) such that all that is committed with an earlier one is visible now."""
        row = self._source.execute("select (extract(epoch from clock_timestamp()) * 1000000)::bigint").fetchone()
        return int(row[0]) - WATERMARK_MARGIN_MICROSECONDS if row else 0

    def _wait_for_slot(self) -> None:
        self._check()
        self._report("starting", "the source makes the slot when running writers end")
        logger.info("the source makes the slot when running writers end: %s", blocking_sessions(self._source))

    def _report(self, state: str, detail: str) -> None:
        last = self._control.read_checkpoint() or Checkpoint(0, 0, 0)
        self._control.write_status(state, detail, last.lsn, 0, last.watermark)

    def _check(self) -> None:
        if self._stop.is_set():
            raise Stopped
