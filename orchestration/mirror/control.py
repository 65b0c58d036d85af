"""Mirror room: the mirror's own tables - how far the copy is, of which server, what is whole, what was lost."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestration.mirror.ranges import Range
from orchestration.mirror.target import DATABASE, Target, table_name

CHECKPOINT, STATUS, POSITION, TABLE, RANGE, LOSSY, WANTED = (
    "mirror_checkpoint",
    "mirror_status",
    "mirror_position",
    "mirror_table",
    "mirror_range",
    "mirror_lossy_values",
    "mirror_wanted",
)
_POSITION_COLUMNS = (
    *("slot", "generation", "system_identifier", "timeline"),
    *("version_base", "consistent_lsn", "publication_oid", "phase"),
)
_CHECKPOINT_DAYS = 3
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIME = "DateTime64(6, 'UTC')"
_NOTHING = Range(0, 0)

# The generation of a table that must be made anew: of none.
MADE_ANEW = 0

# A restart skips so many numbers. The rows that have no checkpoint when a process died, or of a paused process that
# does not know yet that another took over, are fewer by far: their numbers are never given again.
_RESTART_GAP = 1 << 40


@dataclass(frozen=True)
class Checkpoint:
    """Everything numbered up to `applied` is visible, which is the source as of `lsn`.

    `watermark` is in Unix microseconds, 0 when nothing is known to be complete.
    """

    applied: int
    lsn: int
    watermark: int


@dataclass(frozen=True)
class Position:
    """Which server this copy belongs to and since when.

    `phase` is `creating` until the slot is made and what is to be copied in its snapshot is recorded, `created` after.
    `version_base` is added to LSNs to make versions; it is 0 until the source is replaced by a server whose LSNs start
    lower.
    """

    slot: str
    generation: int
    system_identifier: str
    timeline: int
    version_base: int
    consistent_lsn: int
    publication_oid: int
    phase: str


@dataclass(frozen=True)
class TableState:
    """A table whose rows are all copied: OID and storage (relfilenode) in the source at that time.

    `membership` is the OID of its entry in the publication: another one means that it was taken out and put back.
    `snapshot` is that of a copy that was made beside the stream, of a table whose rows nothing identifies. From the
    version `since` on, every change was sent. `labels` are those of its enums when it was copied, as in `read_labels`.
    """

    oid: int
    storage: int
    membership: int
    generation: int
    snapshot: str = ""
    since: int = 0
    labels: str = field(default="", compare=False)


@dataclass
class Copying:
    """A table that is being copied since the slot was made, at `version`, and the ranges that are done.

    `state` is the one that it gets when it is whole.
    """

    state: TableState
    version: int
    done: set[Range]


@dataclass(frozen=True)
class LossyValue:
    """A value that the copy could not hold, as text; `key` identifies the row, `version` the change."""

    table: str
    column: str
    key: str
    version: int
    original: str


class Control:
    """Reads and writes the mirror's own tables for one slot."""

    def __init__(self, target: Target, slot: str) -> None:
        self._target = target
        self._slot = slot
        self._newest: dict[str, datetime] = {}

    def ensure_tables(self) -> None:
        """Create what is missing."""
        self._target.ensure_database()
        create = self._target.create
        create(
            CHECKPOINT,
            ["slot String", "applied UInt64", "lsn UInt64", f"watermark {_TIME}", f"recorded_at {_TIME}"],
            "MergeTree",
            "PARTITION BY (slot, toDate(recorded_at)) ORDER BY (slot, applied)",
        )
        create(
            STATUS,
            [
                *("slot String", "state LowCardinality(String)", "detail String", "lsn UInt64", "source_lsn UInt64"),
                *("lag_bytes Int64", f"watermark Nullable({_TIME})", f"source_heard_at Nullable({_TIME})"),
                f"updated_at {_TIME}",
            ],
            "ReplacingMergeTree(updated_at)",
            "ORDER BY slot",
        )
        # Made without it by earlier versions.
        self._target.complete(STATUS, [("source_heard_at", f"Nullable({_TIME})")])
        create(
            POSITION,
            [
                *("slot String", "generation UInt32", "system_identifier String", "timeline UInt32"),
                *("version_base UInt64", "consistent_lsn UInt64", "publication_oid UInt32"),
                *("phase LowCardinality(String)", f"recorded_at {_TIME}"),
            ],
            "MergeTree",
            "ORDER BY (slot, recorded_at)",
        )
        create(
            TABLE,
            [
                *("slot String", "table_name String", "oid UInt32", "storage UInt32", "membership UInt32"),
                *("generation UInt32", "snapshot String", "since UInt64", "labels String", f"recorded_at {_TIME}"),
            ],
            "ReplacingMergeTree(recorded_at)",
            "ORDER BY (slot, table_name)",
        )
        # Made without them by earlier versions.
        self._target.complete(TABLE, [("snapshot", "String"), ("since", "UInt64"), ("labels", "String")])
        create(
            RANGE,
            [
                *("slot String", "generation UInt32", "table_name String", "oid UInt32", "storage UInt32"),
                *("membership UInt32", "version UInt64", "first_block UInt32", "end_block UInt32"),
                f"recorded_at {_TIME}",
            ],
            "ReplacingMergeTree(recorded_at)",
            "ORDER BY (slot, generation, table_name, first_block, end_block)",
        )
        create(
            LOSSY,
            [
                *("slot String", "table_name String", "column_name String", "row_key String", "version UInt64"),
                *("original String", f"recorded_at {_TIME}"),
            ],
            "ReplacingMergeTree(recorded_at)",
            "ORDER BY (slot, table_name, column_name, row_key, version)",
        )
        create(
            WANTED,
            ["slot String", "table_name String", "reason String", f"recorded_at {_TIME}"],
            "ReplacingMergeTree(recorded_at)",
            "ORDER BY (slot, table_name)",
        )

    def exists(self) -> bool:
        """Whether the tables are there: a mirror has been here."""
        return {POSITION, CHECKPOINT, TABLE} <= self._target.tables()

    def read_statuses(self) -> list[tuple[str, str, str, int, float | None, float]]:
        """Return what every mirror of this warehouse reports.

        Slot, state, detail, bytes behind the source, and the ages in seconds of the watermark and of the report.
        """
        rows = self._query(
            "slot, state, detail, lag_bytes, dateDiff('millisecond', watermark, now64(6)) / 1000, "
            "dateDiff('millisecond', updated_at, now64(6)) / 1000",
            STATUS,
            "FINAL ORDER BY slot",
        )
        return [(row[0], row[1], row[2], row[3], row[4], row[5]) for row in rows]

    def read_position(self) -> Position | None:
        """Return the newest position, None when this slot never fed this warehouse."""
        rows = self._query(
            ", ".join(_POSITION_COLUMNS),
            POSITION,
            # Not by the clock, which may have been set back; of one generation, `created` comes before `creating`.
            "WHERE slot = {slot:String} ORDER BY generation DESC, phase LIMIT 1",
        )
        return Position(*rows[0]) if rows else None

    def write_position(self, position: Position) -> None:
        """Record a position."""
        self._insert(POSITION, _POSITION_COLUMNS, [[getattr(position, column) for column in _POSITION_COLUMNS]])

    def read_checkpoint(self) -> Checkpoint | None:
        """Return the newest checkpoint of this slot."""
        rows = self._query(
            "applied, lsn, toUnixTimestamp64Micro(watermark)",
            CHECKPOINT,
            "WHERE slot = {slot:String} ORDER BY applied DESC LIMIT 1",
        )
        return Checkpoint(*rows[0]) if rows else None

    def first_number(self) -> int:
        """Return a number for `_applied` above all that were ever given, to any slot.

        In a warehouse without any checkpoint it starts at the clock's milliseconds, so that readers who kept a cursor
        while `torghut_raw` was dropped and made again still see growing numbers.
        """
        rows = self._query("count(), max(applied)", CHECKPOINT, "")
        count, newest = rows[0]
        return int(newest) + _RESTART_GAP if count else int(datetime.now(UTC).timestamp() * 1000)

    def write_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Append a checkpoint: call it after all tables of the batch are inserted."""
        self._insert(
            CHECKPOINT,
            ("applied", "lsn", "watermark"),
            [[checkpoint.applied, checkpoint.lsn, format_microseconds(checkpoint.watermark)]],
        )

    def drop_old_checkpoints(self) -> None:
        """Drop this slot's checkpoints of past days. Call it after writing one: the newest row must never go."""
        oldest = (datetime.now(UTC) - timedelta(days=_CHECKPOINT_DAYS)).date()
        rows = self._query("DISTINCT toDate(recorded_at) AS day", CHECKPOINT, "WHERE slot = {slot:String}")
        for (day,) in rows:
            if day < oldest:
                self._target.command(
                    f"ALTER TABLE {table_name(CHECKPOINT)} DROP PARTITION ('{self._slot}', '{day.isoformat()}')"
                )

    def read_tables(self) -> dict[str, TableState]:
        """Return the tables that are whole, by name of the copy."""
        rows = self._query(
            "table_name, oid, storage, membership, generation, snapshot, since, labels",
            TABLE,
            "FINAL WHERE slot = {slot:String}",
        )
        return {row[0]: TableState(*row[1:]) for row in rows}

    def write_table(self, name: str, state: TableState) -> None:
        """Record that a table is whole."""
        self._insert(
            TABLE,
            ("table_name", "oid", "storage", "membership", "generation", "snapshot", "since", "labels"),
            [
                [
                    *(name, state.oid, state.storage, state.membership, state.generation),
                    *(state.snapshot, state.since, state.labels),
                ]
            ],
        )

    def ask_for_copy(self, name: str, reason: str) -> datetime:
        """Ask the mirror, whichever runs, to copy a table again; returns the moment that the request carries."""
        self._insert(WANTED, ("table_name", "reason"), [[name, reason]])
        return self._newest[WANTED]

    def read_wanted(self) -> dict[str, tuple[str, datetime]]:
        """Return the tables that somebody asked for and that were not copied since: why, and when it was asked."""
        rows = self._query(
            "table_name, any(wanted.reason), max(wanted.recorded_at) AS asked_at",
            f"{WANTED} AS wanted FINAL LEFT JOIN (SELECT table_name, recorded_at FROM {DATABASE}.{TABLE} FINAL"
            " WHERE slot = {slot:String}) AS copied USING (table_name)",
            "WHERE wanted.slot = {slot:String} GROUP BY table_name HAVING asked_at > max(copied.recorded_at)",
        )
        return {row[0]: (row[1], row[2]) for row in rows}

    def read_copying(self, generation: int) -> dict[str, Copying]:
        """Return the tables whose first copy has begun in this generation, by name."""
        rows = self._query(
            "table_name, oid, storage, membership, generation, version, first_block, end_block",
            RANGE,
            f"FINAL WHERE slot = {{slot:String}} AND generation = {generation}",
        )
        found: dict[str, Copying] = {}
        for name, *state, version, first, end in rows:
            copying = found.setdefault(name, Copying(TableState(*state), version, set()))
            if end:
                copying.done.add(Range(first, end))
        return found

    def write_range(self, name: str, copying: Copying, blocks: Range = _NOTHING) -> None:
        """Record that a range of a table is copied; without one, that its copy begins."""
        state = copying.state
        self._insert(
            RANGE,
            ("table_name", "oid", "storage", "membership", "generation", "version", "first_block", "end_block"),
            [
                [
                    *(name, state.oid, state.storage, state.membership, state.generation),
                    *(copying.version, blocks.first, blocks.end),
                ]
            ],
        )

    def write_lossy(self, values: Iterable[LossyValue]) -> None:
        """Keep the originals of values that the copy could not hold."""
        rows = [[value.table, value.column, value.key, value.version, value.original] for value in values]
        if rows:
            self._insert(LOSSY, ("table_name", "column_name", "row_key", "version", "original"), rows)

    def write_status(
        self, state: str, detail: str, lsn: int, source_lsn: int, watermark: int, source_heard_at: int
    ) -> None:
        """Report the state of the mirror, and when the source last answered (Unix microseconds, 0: never)."""
        self._insert(
            STATUS,
            ("state", "detail", "lsn", "source_lsn", "lag_bytes", "watermark", "source_heard_at"),
            [
                [
                    state,
                    detail,
                    lsn,
                    source_lsn,
                    max(source_lsn - lsn, 0) if source_lsn and lsn else 0,
                    format_microseconds(watermark) if watermark else None,
                    format_microseconds(source_heard_at) if source_heard_at else None,
                ]
            ],
            moment="updated_at",
        )

    def _insert(
        self, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]], moment: str = "recorded_at"
    ) -> None:
        now = self._now(table, moment).strftime("%Y-%m-%d %H:%M:%S.%f")
        names = ["slot", *(column for column in columns if column != "slot"), moment]
        lines = [
            [self._slot, *(_field(value) for column, value in zip(columns, row, strict=True) if column != "slot"), now]
            for row in rows
        ]
        self._target.insert_rows(table, names, lines)

    def _now(self, table: str, moment: str) -> datetime:
        """Return the time, or just after the newest row of the table where the clock was set back: newer rows win."""
        newest = self._newest.get(table)
        if newest is None:
            (row,) = self._query(f"toUnixTimestamp64Micro(max({moment}))", table, "WHERE slot = {slot:String}")
            newest = _EPOCH + timedelta(microseconds=row[0])
        self._newest[table] = max(datetime.now(UTC), newest + timedelta(microseconds=1))
        return self._newest[table]

    def _query(self, columns: str, table: str, clauses: str) -> Sequence[Sequence[Any]]:
        query = f"SELECT {columns} FROM {DATABASE}.{table} {clauses}"
        return self._target.client.query(query, parameters={"slot": self._slot}).result_rows


def format_microseconds(moment: int) -> str:
    """Return Unix microseconds as ClickHouse's DateTime64(6) reads them."""
    seconds, microseconds = divmod(moment, 1_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}.{microseconds:06d}"


def _field(value: object) -> str:
    if value is None:
        return "\\N"
    text = str(value).replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
    return text.replace("\0", "\\0")
