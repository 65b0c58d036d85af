"""Mirror room: what the source has - tables, columns, types, identities and publications, read from its catalog."""

from dataclasses import dataclass
from typing import Any

import psycopg

from orchestration.mirror.keyless import ROW
from orchestration.mirror.types import SourceType

# The tables of the source that the models know, parents before children; but events before the orders that they tell
# of: orders that come first are computed once without them and then again, which rewrote nearly the whole ledger of a
# first copy and left its readers two versions of each row to merge, 170 of the 1,200 ms of each tick.
KNOWN_TABLES = (
    "strategies",
    "trade_decisions",
    "execution_order_events",
    "executions",
    "position_snapshots",
    "llm_decision_reviews",
    "execution_tca_metrics",
    "lean_backtest_runs",
    "lean_execution_shadow_events",
    "lean_canary_incidents",
    "lean_strategy_shadow_evaluations",
)
SCHEMA = "public"

# Where the rows of a table are: another number after its rows were rewritten. That of a partitioned table changes also
# when a partition comes or goes, with its rows and without a word in the stream.
_STORAGE = """
    case c.relkind
        when 'p' then (
            select hashtext(coalesce(string_agg(concat(relid::oid, ':', pg_relation_filenode(relid)), ','), ''))
                   & 2147483647
            from (select relid from pg_partition_tree(c.oid) where isleaf order by relid) leaves
        )
        else c.relfilenode::bigint
    end
"""


@dataclass(frozen=True)
class Column:
    """A column as the catalog has it now, which may be later than where the stream stands.

    `missing` is the text that rows from before ADD COLUMN ... DEFAULT read as; None when there is none.
    """

    name: str
    type_oid: int
    type_modifier: int
    nullable: bool
    missing: str | None


@dataclass(frozen=True)
class Table:
    """A published table. `key` is its usable identity in index order.

    It is `_row` where rows are only inserted because nothing identifies them, and empty where they are updated all the
    same, under REPLICA IDENTITY FULL without a primary key.

    `membership` is the OID of its entry in the publication, 0 when the publication covers a schema or everything.
    """

    oid: int
    schema: str
    name: str
    storage: int
    identity: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    row_filter: str | None
    membership: int = 0

    @property
    def is_keyless(self) -> bool:
        """Whether nothing identifies its rows, so that they are only inserted."""
        return self.key == (ROW,)

    @property
    def target(self) -> str:
        """Name of the copy in the warehouse."""
        return target_name(self.schema, self.name)

    def column(self, name: str) -> Column | None:
        """Return the column of that name, if the table has it."""
        return next((column for column in self.columns if column.name == name), None)


@dataclass(frozen=True)
class Slot:
    """The replication slot as the server reports it; LSNs are integers."""

    plugin: str
    database: str
    active_pid: int | None
    confirmed_lsn: int
    wal_status: str | None


def current_lsn(connection: psycopg.Connection) -> int:
    """Return the end of the WAL written so far."""
    return int(_one(connection, "select (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint")[0])


def read_slot(connection: psycopg.Connection, name: str) -> Slot | None:
    """Return the slot, None when it does not exist."""
    row = connection.execute(
        """
        select plugin, database, active_pid, coalesce((confirmed_flush_lsn - '0/0'::pg_lsn)::bigint, 0), wal_status
        from pg_replication_slots
        where slot_name = %s
        """,
        (name,),
    ).fetchone()
    return Slot(*row) if row else None


def published_tables(connection: psycopg.Connection, publication: str) -> list[Table]:
    """Return the tables of a publication, parents before children, then by name."""
    rows = connection.execute(
        f"""
        select c.oid::bigint, n.nspname, c.relname, {_STORAGE}, c.relreplident,
               to_jsonb(p) -> 'attnames', to_jsonb(p) ->> 'rowfilter', coalesce(r.oid::bigint, 0)
        from pg_publication_tables p
        join pg_publication b on b.pubname = p.pubname
        join pg_namespace n on n.nspname = p.schemaname
        join pg_class c on c.relnamespace = n.oid and c.relname = p.tablename
        left join pg_publication_rel r on r.prpubid = b.oid and r.prrelid = c.oid
        where p.pubname = %s
        """,
        (publication,),
    ).fetchall()
    tables = [_table(connection, row) for row in rows]
    return sorted(tables, key=lambda table: (insert_rank(table.target), table.target))


@dataclass(frozen=True)
class Member:
    """A table of a publication: OID, storage and membership as in `Table`."""

    oid: int
    storage: int
    membership: int


def read_publication(connection: psycopg.Connection, publication: str) -> tuple[int, dict[str, Member]]:
    """Return the OID of a publication, 0 when it does not exist, and its tables by name of the copy."""
    rows = connection.execute(
        f"""
        select b.oid::bigint, p.schemaname, p.tablename, coalesce(c.oid::bigint, 0), coalesce({_STORAGE}, 0),
               coalesce(r.oid::bigint, 0)
        from pg_publication b
        left join pg_publication_tables p on p.pubname = b.pubname
        left join pg_namespace n on n.nspname = p.schemaname
        left join pg_class c on c.relnamespace = n.oid and c.relname = p.tablename
        left join pg_publication_rel r on r.prpubid = b.oid and r.prrelid = c.oid
        where b.pubname = %s
        """,
        (publication,),
    ).fetchall()
    members = {target_name(schema, name): Member(*member) for _, schema, name, *member in rows if name is not None}
    return (rows[0][0] if rows else 0), members


def target_name(schema: str, name: str) -> str:
    """Return the name of a table's copy in the warehouse."""
    return name if schema == SCHEMA else f"{schema}__{name}"


def find_table(connection: psycopg.Connection, oid: int) -> Table | None:
    """Return a table by its OID, None when it was dropped. Publication filters are not read."""
    row = connection.execute(
        f"""
        select c.oid::bigint, n.nspname, c.relname, {_STORAGE}, c.relreplident, null, null, 0
        from pg_class c
        join pg_namespace n on n.oid = c.relnamespace
        where c.oid = %s
        """,
        (oid,),
    ).fetchone()
    return _table(connection, row) if row else None


def insert_rank(target: str) -> int:
    """Return the place of a table in the order of inserts: parents before children, unknown ones last."""
    return KNOWN_TABLES.index(target) if target in KNOWN_TABLES else len(KNOWN_TABLES)


def existing_known_tables(connection: psycopg.Connection) -> dict[str, bool]:
    """Return the known tables that exist in the source, each with whether it has a usable identity."""
    rows = connection.execute(
        """
        select c.oid::bigint, c.relname, c.relreplident
        from pg_class c
        join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = %s and c.relkind in ('r', 'p') and c.relpersistence = 'p' and c.relname = any(%s)
        """,
        (SCHEMA, list(KNOWN_TABLES)),
    ).fetchall()
    found = {name: bool(_key(connection, oid, identity)) for oid, name, identity in rows}
    return {name: found[name] for name in KNOWN_TABLES if name in found}


class TypeResolver:
    """Resolves type OIDs to base types; remembers them, since a type's OID is never given to another one soon."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self._known: dict[tuple[int, int], SourceType] = {}

    def resolve(self, oid: int, modifier: int) -> SourceType:
        """Return the type; a type that no longer exists counts as text."""
        found = self._known.get((oid, modifier))
        if found is None:
            found = self._known[oid, modifier] = self._read(oid, modifier)
        return found

    def _read(self, oid: int, modifier: int) -> SourceType:
        row = self._connection.execute(
            """
            select typname, typtype, typbasetype::bigint, typtypmod,
                   case when typcategory = 'A' and typlen = -1 then typelem::bigint else 0 end
            from pg_type
            where oid = %s
            """,
            (oid,),
        ).fetchone()
        if row is None:
            return SourceType("text")
        name, kind, base, base_modifier, element = row
        if kind == "d":
            return self.resolve(base, base_modifier)
        return SourceType(name, kind, modifier, self.resolve(element, modifier) if element else None)


def _table(connection: psycopg.Connection, row: tuple[Any, ...]) -> Table:
    oid, schema, name, storage, identity, published_columns, row_filter, membership = row
    columns = connection.execute(
        """
        select attname, atttypid::bigint, atttypmod, not attnotnull,
               case when atthasmissing then (attmissingval::text::text[])[1] end
        from pg_attribute
        where attrelid = %s and attnum > 0 and not attisdropped and attgenerated = ''
        order by attnum
        """,
        (oid,),
    ).fetchall()
    return Table(
        oid,
        schema,
        name,
        storage,
        identity,
        _key(connection, oid, identity) or (() if identity == "f" else (ROW,)),
        tuple(Column(*column) for column in columns if published_columns is None or column[0] in published_columns),
        row_filter,
        membership,
    )


def _key(connection: psycopg.Connection, oid: int, identity: str) -> tuple[str, ...]:
    """Return the columns that identify a row in the stream, in index order.

    A deferrable primary key is no identity. Under REPLICA IDENTITY FULL the primary key is the key of the copy; so it
    is under NOTHING, where rows are only inserted.
    """
    rows = connection.execute(
        """
        select a.attname
        from pg_index i
        cross join lateral unnest(i.indkey::int2[]) with ordinality k (attnum, place)
        join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
        where i.indrelid = %s
          and i.indimmediate
          and a.attgenerated = ''
          and case when %s = 'i' then i.indisreplident else i.indisprimary end
        order by k.place
        """,
        (oid, identity),
    ).fetchall()
    return tuple(row[0] for row in rows)


def _one(connection: psycopg.Connection, query: str) -> tuple[Any, ...]:
    row = connection.execute(query.encode()).fetchone()
    if row is None:
        raise psycopg.DataError("the source answered a question about itself with nothing")
    return row
