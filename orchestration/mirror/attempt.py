"""Mirror room: one attempt to mirror - check the position, copy what is missing, stream until stopped or broken."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial

import psycopg

from orchestration.errors import UserError
from orchestration.mirror.applier import WATERMARK_MARGIN_MICROSECONDS, Applier
from orchestration.mirror.assembly import Assembly
from orchestration.mirror.catalog import Table, current_lsn, published_tables, read_publication, read_slot
from orchestration.mirror.contact import Contact, answered_within
from orchestration.mirror.control import MADE_ANEW, Checkpoint, Control, Copying, Position, TableState
from orchestration.mirror.copier import Copier
from orchestration.mirror.durability import Durability
from orchestration.mirror.heartbeat import Heartbeat
from orchestration.mirror.inbox import Inbox
from orchestration.mirror.labels import is_renamed, read_labels
from orchestration.mirror.lsn import format_lsn
from orchestration.mirror.numbers import Numbers
from orchestration.mirror.position import check_mark, check_publication, check_server, check_slot
from orchestration.mirror.publication import add_new_tables, ensure_publication
from orchestration.mirror.replication import ReplicationSession, ReplicationStream, SlotInUse
from orchestration.mirror.resync import Resyncer, blocking_sessions
from orchestration.mirror.retention import keep_histories
from orchestration.mirror.schema import CannotFollow
from orchestration.mirror.session import replication_conninfo
from orchestration.mirror.stall import StallWatch
from orchestration.mirror.target import Target
from orchestration.mirror.trouble import Trouble
from orchestration.settings import Settings

logger = logging.getLogger(__name__)

# Messages in memory between reader and writer, on top of the batches.
_INBOX_BYTES = 32 * 1024 * 1024
_IDLE_SECONDS = 0.2
_STATUS_SECONDS = 5.0
# While the source is silent: how long is what an alert opens by.
_TROUBLE_STATUS_SECONDS = 1.0
_PATIENCE_SECONDS = 5.0
_PUBLICATION_SECONDS = 2.0
_RETENTION_SECONDS = 3600.0


class Stopped(Exception):
    """The process was asked to stop."""


class Attempt:
    """One attempt: from the check of the position to the end of the stream.

    `early`: the source sends big transactions while they are still open.
    """

    def __init__(
        self,
        settings: Settings,
        source: psycopg.Connection,
        target: Target,
        contact: Contact,
        stop: threading.Event,
        on_slot_held: Callable[[], None],
        on_streaming: Callable[[], None],
        *,
        early: bool,
    ) -> None:
        self._settings = settings
        self._source = source
        self._target = target
        self._contact = contact
        self._stop = stop
        self._on_slot_held = on_slot_held
        self._on_streaming = on_streaming
        self._early = early
        self._slot = settings.mirror_slot
        self._control = Control(target, self._slot)
        self._inbox = Inbox(_INBOX_BYTES)
        self._stale: dict[str, str] = {}
        # When the copies that were asked for here were asked for: a clock that runs ahead asks once all the same.
        self._asked: dict[str, datetime] = {}

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
        check_server(self._source.info.server_version)
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
            labels = read_labels(self._source, self._settings.mirror_publication)
            for table in tables:
                if table.key and sorted(self._target.key(table.target)) not in ([], sorted(table.key)):
                    self._target.drop_copy(table.target)
            newest = max((self._target.newest_version(table.target) for table in tables), default=0)
            # Rows of a first copy that nothing followed have version 0, and are rows all the same.
            is_empty = all(self._target.is_empty(table.target) for table in tables)
            identity = commands.identify()
            lsn = current_lsn(self._source)
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
            complete_until = clock = self._source_clock()

            def wait() -> None:
                nonlocal complete_until, clock
                self._wait_for_slot()
                # That of a second ago: the slot may be made by now.
                complete_until, clock = clock, self._source_clock()

            created = commands.create_slot(self._slot, wait)
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
            version = 0 if is_empty else base + lsn - 1
            checkpoint = self._control.read_checkpoint()
            last = Checkpoint(0, created.consistent_lsn, checkpoint.watermark if checkpoint else 0)
            numbers = Numbers(self._control.first_number())
            exported = (created.snapshot, complete_until)
            with Copier(self._settings, self._target, self._control, numbers, self._check, exported) as copier:
                commands.close()
                plan = {
                    table.target: Copying(_state_of(table, position.generation), version, set())
                    for table in copier.tables()
                }
                for name, copying in plan.items():
                    self._control.write_range(name, copying)
                # What ends before this begins anew. A later snapshot lacks what was there when the slot was made and
                # was truncated since, and the stream does not tell which rows a TRUNCATE removes.
                position = replace(position, consistent_lsn=created.consistent_lsn, phase="created")
                self._control.write_position(position)
                self._copy(copier, plan, labels, numbers, last, own_snapshot=True)
            last = Checkpoint(numbers.take(), last.lsn, max(last.watermark, complete_until))
            self._control.write_checkpoint(last)
            self._run_stream(stream, position, numbers, last)
        finally:
            commands.close()
            stream.close()

    def _copy(
        self,
        copier: Copier,
        plan: dict[str, Copying],
        labels: dict[str, str],
        numbers: Numbers,
        last: Checkpoint,
        *,
        own_snapshot: bool,
    ) -> None:
        """Copy what is not done of the planned tables that are still the same. `labels` are from before the snapshot.

        A range that was copied in the slot's own snapshot stays right, for all changes since are in the stream. So does
        one that is copied in a later snapshot, at the same version: what it has of those changes is beaten by them. But
        where nothing identifies a row, only the slot's own snapshot has none that the stream brings as well.
        """
        for table in copier.tables():
            copying = plan.get(table.target)
            if copying is None or copying.state != _state_of(table, copying.state.generation):
                continue
            if table.is_keyless and not own_snapshot:
                continue
            started = time.monotonic()
            self._report("snapshotting", table.target)
            record = partial(self._control.write_range, table.target, copying)
            try:
                size = copier.copy(table, copying.version, copying.done, record)
            except CannotFollow as reason:
                logger.info("table %s will be made anew: %s", table.target, reason)
                continue
            self._control.write_checkpoint(replace(last, applied=numbers.take()))
            self._control.write_table(table.target, replace(copying.state, labels=labels.get(table.target, "")))
            logger.info("table %s copied: %.1f MB in %.1f s", table.target, size / 1e6, time.monotonic() - started)

    def _resume(self, position: Position) -> None:
        """Continue after the last acknowledged transaction."""
        stream_session = self._open_replication()
        try:
            identity = stream_session.identify()
            # The slot is the lock: what follows is read while no other mirror can write.
            stream_session.start(self._slot, self._settings.mirror_publication, early=self._early)
            self._on_slot_held()
            self._report("leader", "holds the slot and continues")
            slot = read_slot(self._source, self._slot)
            check_slot(position, slot, self._slot, self._source.info.dbname)
            checkpoint = self._control.read_checkpoint()
            whole = self._control.read_tables()
            if slot is not None:
                check_mark(position, slot, identity, checkpoint, whole, self._target.tables())
        except BaseException:
            stream_session.close()
            raise
        stream = ReplicationStream(stream_session, self._inbox)
        try:
            last = checkpoint or Checkpoint(0, position.consistent_lsn, 0)
            numbers = Numbers(self._control.first_number())
            copying = self._control.read_copying(position.generation)
            unfinished = {name: table for name, table in copying.items() if not _is_whole(whole.get(name), table)}
            if unfinished:
                labels = read_labels(self._source, self._settings.mirror_publication)
                with Copier(self._settings, self._target, self._control, numbers, self._check) as copier:
                    self._copy(copier, unfinished, labels, numbers, last, own_snapshot=False)
            self._run_stream(stream, position, numbers, last)
        finally:
            stream.close()

    def _run_stream(self, stream: ReplicationStream, position: Position, numbers: Numbers, last: Checkpoint) -> None:
        """Stream until stopped; what is complete is made durable and acknowledged before this returns."""
        sync_target = Target(self._settings)
        durability = Durability(sync_target, stream.acknowledge, self._inbox.fail)
        heartbeat = Heartbeat(self._settings, self._contact)
        assembly = Assembly(self._inbox, self._settings.state_dir / "mirror")
        applier = Applier(
            self._source,
            self._target,
            self._control,
            version_base=position.version_base,
            flush_seconds=self._settings.mirror_flush_ms / 1000,
            last=last,
            numbers=numbers,
            on_stale=self._stale.__setitem__,
            check=self._check,
        )
        resyncer = Resyncer(
            self._settings,
            self._source,
            self._target,
            self._control,
            version_base=position.version_base,
            generation=position.generation,
            numbers=numbers,
            check=self._check,
        )
        try:
            self._find_incomplete(applier, position)
            self._loop(stream, assembly, applier, resyncer, durability, heartbeat, position.publication_oid)
            applier.settle()
            durability.written(applier.checkpoint.lsn, urgent=True)
        finally:
            assembly.close()
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
        labels = read_labels(self._source, self._settings.mirror_publication)
        for name, member in members.items():
            state = applier.tables.get(name)
            if name in resyncer.waiting:
                continue
            if state is None or state.membership != member.membership:
                self._stale[name] = "it is newly published"
            elif (state.oid, state.storage) != (member.oid, member.storage):
                self._stale[name] = "its storage was rewritten"
            elif is_renamed(state.labels, labels.get(name, "")):
                self._stale[name] = "a value of its enums was renamed"
            elif state.labels != labels.get(name, ""):
                applier.tables[name] = replace(state, labels=labels.get(name, ""))
                self._control.write_table(name, applier.tables[name])

    def _take_requests(self, applier: Applier) -> None:
        """Take in which tables somebody wants to have copied again."""
        for name, (reason, asked_at) in self._control.read_wanted().items():
            if name in applier.tables and self._asked.get(name) != asked_at:
                self._asked[name] = asked_at
                self._stale[name] = reason

    def _loop(
        self,
        stream: ReplicationStream,
        assembly: Assembly,
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
            chunk = assembly.take(_IDLE_SECONDS if due is None else min(due, _IDLE_SECONDS))
            applier.is_whole = not self._stale and not resyncer.waiting
            if chunk is not None:
                applier.apply(chunk)
            if applier.seconds_until_due == 0.0:
                applier.flush()
            durability.written(applier.checkpoint.lsn, urgent=applier.take_reply_wanted())
            now = time.monotonic()
            if now >= next_tables:
                next_tables = now + _PUBLICATION_SECONDS
                with answered_within(_PATIENCE_SECONDS, self._source):
                    self._watch_publication(applier, resyncer, publication_oid)
                self._take_requests(applier)
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
                is_silent = self._contact.silent_seconds > _STATUS_SECONDS
                next_status = now + (_TROUBLE_STATUS_SECONDS if is_silent else _STATUS_SECONDS)
                detail = stalled or ", ".join(resyncer.waiting)
                last = applier.checkpoint
                source_lsn = max(heartbeat.source_lsn, last.lsn)
                self._control.write_status(state, detail, last.lsn, source_lsn, last.watermark, self._contact.heard_at)
            if now >= next_retention and applier.checkpoint.applied > 0:
                next_retention = now + _RETENTION_SECONDS
                self._control.drop_old_checkpoints()
                keep_histories(self._target, self._settings.mirror_history_days)

    def _start_stream(self) -> ReplicationStream:
        session = self._open_replication()
        try:
            session.start(self._slot, self._settings.mirror_publication, early=self._early)
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
        # Between two questions that the source answered.
        self._contact.hear()
        last = self._control.read_checkpoint() or Checkpoint(0, 0, 0)
        self._control.write_status(state, detail, last.lsn, 0, last.watermark, self._contact.heard_at)

    def _check(self) -> None:
        if self._stop.is_set():
            raise Stopped


def _state_of(table: Table, generation: int) -> TableState:
    return TableState(table.oid, table.storage, table.membership, generation)


def _is_whole(state: TableState | None, copying: Copying) -> bool:
    """Whether the first copy of a table has no more to do: it came to its end, or the table must be made anew."""
    return state is not None and state.generation in (copying.state.generation, MADE_ANEW)
