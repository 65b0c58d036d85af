"""Mirror room: the tables of `torghut_raw` - their definitions, and inserts into them.

Rows are inserted into `<table>__history` alone; the materialized view `<table>__feed` puts them into `<table>` within
the same insert. Measured against two inserts: half the time and half the CPU (10 rows: 8 ms instead of 20). An insert
that fails between the two is harmless: the stream is read again, and equal versions collapse in both tables.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from orchestration.settings import Settings
from orchestration.warehouse.client import connect

logger = logging.getLogger(__name__)

DATABASE = "torghut_raw"
HISTORY = "__history"
_FEED = "__feed"
# A copy that is made anew beside the one that readers see.
NEXT = "__next"

# Columns that the mirror adds, in the order in which inserts give them, after the source's own.
META = ("_version", "_deleted", "_commit_ts", "_op", "_applied")
_META_DEFINITIONS = (
    "_version UInt64",
    "_deleted UInt8",
    "_commit_ts DateTime64(6, 'UTC')",
    "_applied UInt64",
)
_OWN_COLUMNS = {*META, "_synced_at"}
_SYNCED_AT = "_synced_at DateTime64(6, 'UTC') DEFAULT now64(6)"
_OP = "_op LowCardinality(String)"

_INSERT_SETTINGS = {
    "async_insert": 0,
    # A re-sent block must reach the materialized view again.
    "insert_deduplicate": 0,
    "input_format_null_as_default": 0,
    "input_format_parallel_parsing": 0,
    "date_time_input_format": "basic",
    "bool_true_representation": "t",
    "bool_false_representation": "f",
    # One part per insert: 1 million rows or 256 MB, whichever comes first.
    "max_insert_block_size": 1_048_576,
    "max_insert_threads": 1,
    # Versions of a row collapse when parts merge and in reads with FINAL. To collapse them in each insert as well cost
    # 8 of 12.7 microseconds per row of executions, in both tables.
    "optimize_on_insert": 0,
}


# What grouping the keys of a table may keep in memory.
_GROUPING_BYTES = 256 * 1024 * 1024

_ACCESS_DENIED = 497


class Target:
    """The mirror's side of the warehouse; may be used from several threads."""

    def __init__(self, settings: Settings) -> None:
        self._cluster = settings.clickhouse_cluster
        self.client: Client = connect(settings, send_receive_timeout=120)

    def close(self) -> None:
        """Close the client."""
        self.client.close()

    def command(self, statement: str, parameters: Mapping[str, object] | None = None) -> None:
        """Run a statement that returns nothing."""
        self.client.command(statement, parameters=dict(parameters or {}))

    def ensure_database(self) -> None:
        """Create the database."""
        self.command(f"CREATE DATABASE IF NOT EXISTS {DATABASE}{self._on_cluster()}")

    def create(self, name: str, columns: Sequence[str], engine: str, clauses: str) -> None:
        """Create a table unless it exists. `engine` such as `ReplacingMergeTree(updated_at)`."""
        replicated = "Replicated" if self._cluster else ""
        self.command(
            f"CREATE TABLE IF NOT EXISTS {table_name(name)}{self._on_cluster()} ({', '.join(columns)}) "
            f"ENGINE = {replicated}{engine} {clauses}"
        )

    def create_copy(self, name: str, columns: Sequence[tuple[str, str]], key: Sequence[str]) -> None:
        """Create the current table, the history and the feed between them, unless they exist.

        `columns` are the source's columns as (name, ClickHouse type); `key` identifies a row.
        """
        defined = [f"{quote(column)} {kind}" for column, kind in columns]
        identity = ", ".join(quote(column) for column in key)
        index = "INDEX applied_minmax _applied TYPE minmax GRANULARITY 1"
        own = [*_META_DEFINITIONS, _SYNCED_AT]
        self.create(name, [*defined, *own, index], "ReplacingMergeTree(_version, _deleted)", f"ORDER BY ({identity})")
        self.create(
            name + HISTORY,
            [*defined, *own, _OP, index],
            "ReplacingMergeTree(_version)",
            f"ORDER BY ({identity}, _version)",
        )
        self.complete(name, [*columns, *_split(own)])
        self.complete(name + HISTORY, [*columns, *_split([*own, _OP])])
        self._align(name, dict(columns))
        self._create_feed(name)

    def _align(self, name: str, wanted: Mapping[str, str]) -> None:
        """Give current table and history the same columns: an earlier start may have made one of them, for a table of
        other columns. Neither has a row of ours, since nothing is inserted before there is a feed between them.
        """
        tables = (name, name + HISTORY)
        types = [self._types(table) for table in tables]
        for column in sorted({*types[0], *types[1]} - _OWN_COLUMNS):
            found = [kinds.get(column) for kinds in types]
            if found[0] == found[1]:
                continue
            kind = wanted.get(column) or next(kind for kind in found if kind)
            if any(is_nullable(other) for other in found if other) and not is_nullable(kind):
                kind = make_nullable(kind)
            for table in tables:
                self.command(
                    f"ALTER TABLE {table_name(table)}{self._on_cluster()} "
                    f"ADD COLUMN IF NOT EXISTS {quote(column)} {kind}"
                )
                self.command(
                    f"ALTER TABLE {table_name(table)}{self._on_cluster()} MODIFY COLUMN {quote(column)} {kind}"
                )

    def _types(self, table: str) -> dict[str, str]:
        """Return the columns of a table with their types."""
        rows = self.client.query(
            "SELECT name, type FROM system.columns WHERE database = {database:String} AND table = {table:String}",
            parameters={"database": DATABASE, "table": table},
        ).result_rows
        return {row[0]: row[1] for row in rows}

    def _create_feed(self, name: str) -> None:
        self.command(
            f"CREATE MATERIALIZED VIEW IF NOT EXISTS {table_name(name + _FEED)}{self._on_cluster()} "
            f"TO {table_name(name)} AS {self._feed_query(name)}"
        )

    def complete(self, table: str, columns: Sequence[tuple[str, str]]) -> None:
        """Give a table that was there before the columns that it lacks.

        The dbt project creates the tables that its models read, empty and with those columns only, when it is built
        before the mirror first ran.
        """
        existing = self._types(table)
        missing = [f"ADD COLUMN IF NOT EXISTS {quote(name)} {kind}" for name, kind in columns if name not in existing]
        if missing:
            self.command(f"ALTER TABLE {table_name(table)}{self._on_cluster()} {', '.join(missing)}")

    def is_copy(self, name: str) -> bool:
        """Whether the mirror has made this copy: it makes the feed last."""
        return name + _FEED in self.tables()

    def drop_copy(self, name: str) -> None:
        """Drop current table, history and feed."""
        for suffix in (_FEED, HISTORY, ""):
            self.drop(name + suffix)

    def exchange_copy(self, name: str, version: int) -> str:
        """Put the copy `<name>__next` in the place of `<name>`, drop that one but its history, and return its name.

        Each table changes at once. A crash in between leaves no copy that is taken for whole: it is made anew again.
        """
        kept = f"{name}{HISTORY}_until_{version}"
        for copy in (name, name + NEXT):
            self.drop(copy + _FEED)
        for suffix in (HISTORY, ""):
            old, new = table_name(name + suffix), table_name(name + NEXT + suffix)
            self.command(f"EXCHANGE TABLES {old} AND {new}{self._on_cluster()}")
        self._create_feed(name)
        self.command(f"RENAME TABLE {table_name(name + NEXT + HISTORY)} TO {table_name(kept)}{self._on_cluster()}")
        self.drop_copy(name + NEXT)
        return kept

    def alter_copy(self, name: str, actions: Sequence[str]) -> None:
        """Apply ALTER actions to both tables, then make the feed follow. Safe to repeat after a crash in between."""
        for suffix in ("", HISTORY):
            self.command(f"ALTER TABLE {table_name(name + suffix)}{self._on_cluster()} {', '.join(actions)}")
        self.command(
            f"ALTER TABLE {table_name(name + _FEED)}{self._on_cluster()} MODIFY QUERY {self._feed_query(name)}"
        )

    def columns(self, name: str) -> dict[str, str]:
        """Return the source's columns of a copy with their types, empty when the table does not exist.

        Both tables must have a column for it to count, and its type is the history's: that one is altered last, so a
        change that a crash left half done is not taken for done.
        """
        rows = self.client.query(
            "SELECT name, anyIf(type, table = {history:String}) FROM system.columns "
            "WHERE database = {database:String} AND table IN ({current:String}, {history:String}) "
            "GROUP BY name HAVING count() = 2 ORDER BY min(position)",
            parameters={"database": DATABASE, "current": name, "history": name + HISTORY},
        ).result_rows
        return {row[0]: row[1] for row in rows if row[0] not in _OWN_COLUMNS}

    def key(self, name: str) -> tuple[str, ...]:
        """Return the columns of the current table's sorting key, empty when there is no such table."""
        rows = self.client.query(
            "SELECT name FROM system.columns WHERE database = {database:String} AND table = {table:String} "
            "AND is_in_sorting_key",
            parameters={"database": DATABASE, "table": name},
        ).result_rows
        return tuple(row[0] for row in rows)

    def tables(self) -> set[str]:
        """Return the names of all tables in the database."""
        rows = self.client.query(
            "SELECT name FROM system.tables WHERE database = {database:String}", parameters={"database": DATABASE}
        ).result_rows
        return {row[0] for row in rows}

    def insert_lines(self, name: str, columns: Iterable[str], lines: bytes) -> None:
        """Insert TabSeparated lines into the history of a copy, hence into the copy; visible when this returns."""
        self.client.raw_insert(
            table_name(name + HISTORY),
            column_names=[*columns, *META],
            insert_block=lines,
            settings=_INSERT_SETTINGS,
            fmt="TabSeparated",
        )

    def insert_rows(self, name: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Insert a few rows of plain text values into one of the mirror's own tables."""
        body = "".join("\t".join(row) + "\n" for row in rows)
        self.client.raw_insert(
            table_name(name),
            column_names=list(columns),
            insert_block=body.encode("utf-8", errors="surrogateescape"),
            settings=_INSERT_SETTINGS,
            fmt="TabSeparated",
        )

    def bury_rows(self, name: str, version: int, commit_ts: str, applied: int, *, truncated: bool = False) -> None:
        """Mark current rows older than `version` as deleted at that version; their numbers begin with `applied`.

        Repeating it changes nothing: rows written after `version` are newer and stay. The stream may tell of a TRUNCATE
        (`truncated`) when a newer copy of the table is here already: rows that were there at its time get their end in
        the history all the same. So do rows that only the history has: the server died in the middle of an insert, and
        the copy that they were of was given up.
        """
        key_columns = self.key(name)
        key = ", ".join(quote(column) for column in key_columns)
        # NULL, not the default that ADD COLUMN ... DEFAULT left behind: nothing invented in a deleted row.
        empty = [c for c, kind in self.columns(name).items() if c not in key_columns and is_nullable(kind)]
        names = "".join(f", {quote(column)}" for column in empty)
        operation = "delete" if truncated else "snapshot"
        meta = f"{version}, 1, toDateTime64('{commit_ts}', 6, 'UTC'), '{operation}', {applied} + rowNumberInAllBlocks()"
        nulls = ", NULL" * len(empty)
        current, history = table_name(name), table_name(name + HISTORY)
        rows = (
            f"SELECT {key} FROM {current} FINAL WHERE _version < {version} UNION DISTINCT SELECT {key} FROM "
            f"(SELECT {key}, 1 AS is_current FROM {current} UNION ALL "
            f"SELECT {key}, 0 AS is_current FROM {history} WHERE _version < {version}) "
            f"GROUP BY {key} HAVING max(is_current) = 0"
        )
        if truncated:
            # Whose end the copy told already, or who are back since: a copy's tombstone is no end of its own.
            rows += (
                f" UNION DISTINCT SELECT {key} FROM {history} WHERE _version < {version} "
                f"AND ({key}) IN (SELECT {key} FROM {current} WHERE _version > {version} OR _deleted) "
                f"GROUP BY {key} HAVING argMaxIf(_deleted, _version, _op != 'snapshot' OR NOT _deleted) = 0"
            )
        self.command(
            f"INSERT INTO {history} ({key}{names}, {', '.join(META)}) SELECT {key}{nulls}, {meta} FROM ({rows}) "
            "SETTINGS async_insert = 0, insert_deduplicate = 0, final = 0, "
            f"max_bytes_before_external_group_by = {_GROUPING_BYTES}"
        )

    def has_history(self, name: str) -> bool:
        """Whether there may be rows of a copy."""
        return name + HISTORY in self.tables()

    def is_empty(self, name: str) -> bool:
        """Whether a copy has no row, or does not exist."""
        if not self.has_history(name):
            return True
        rows = "UNION ALL ".join(f"SELECT 1 FROM {table} LIMIT 1 " for table in self._both(name))
        return not self.client.query(rows).result_rows

    def newest_version(self, name: str) -> int:
        """Return the highest version in a copy, 0 when it is empty or missing."""
        if not self.has_history(name):
            return 0
        versions = "UNION ALL ".join(f"SELECT max(_version) FROM {table} " for table in self._both(name))
        return max(int(row[0]) for row in self.client.query(versions).result_rows)

    def _both(self, name: str) -> tuple[str, str]:
        """Current table and history: a crash leaves rows in one alone, and old versions leave the history."""
        return table_name(name), table_name(name + HISTORY)

    def histories(self) -> dict[str, tuple[str, int]]:
        """Return the definition and the number of rows of every history, also of those of copies made anew since."""
        rows = self.client.query(
            "SELECT name, engine_full, total_rows FROM system.tables "
            "WHERE database = {database:String} AND match(name, '__history(_until_[0-9]+)?$')",
            parameters={"database": DATABASE},
        ).result_rows
        return {row[0]: (row[1], int(row[2])) for row in rows}

    def alter(self, table: str, action: str) -> None:
        """Alter one table."""
        self.command(f"ALTER TABLE {table_name(table)}{self._on_cluster()} {action}")

    def drop(self, table: str) -> None:
        """Drop one table."""
        self.command(f"DROP TABLE IF EXISTS {table_name(table)}{self._on_cluster()} SYNC")

    def sync(self) -> None:
        """Return when everything inserted before is on disk.

        Raises:
            DatabaseError: the server does not allow it to this user.
        """
        self.command("SYSTEM SYNC FILE CACHE")

    def sync_if_allowed(self) -> None:
        """As `sync`; where it is not allowed (a managed server) durability is the server's own business."""
        try:
            self.sync()
        except DatabaseError as error:
            if error.code != _ACCESS_DENIED:
                raise

    def _feed_query(self, name: str) -> str:
        """Every column of the history but its own: an explicit list, since `*` is expanded only once."""
        return f"SELECT * EXCEPT (_op) FROM {table_name(name + HISTORY)}"

    def _on_cluster(self) -> str:
        return f" ON CLUSTER {quote(self._cluster)}" if self._cluster else ""


def _split(definitions: Sequence[str]) -> list[tuple[str, str]]:
    """Column definitions as (name, rest)."""
    return [(name, rest) for name, _, rest in (definition.partition(" ") for definition in definitions)]


def table_name(name: str) -> str:
    """Return the quoted, qualified name of a table of the mirror."""
    return f"{DATABASE}.{quote(name)}"


def quote(name: str) -> str:
    """Quote a ClickHouse identifier."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def is_nullable(column_type: str) -> bool:
    """Whether a column of this ClickHouse type can hold NULL itself."""
    return column_type.startswith(("Nullable(", "LowCardinality(Nullable("))


def make_nullable(column_type: str) -> str:
    """Return the Nullable form of a ClickHouse type."""
    if column_type.startswith("LowCardinality("):
        return f"LowCardinality(Nullable({column_type[len('LowCardinality(') : -1]}))"
    return f"Nullable({column_type})"
