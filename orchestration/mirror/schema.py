"""Mirror room: keeps the copies' columns in step with the source's - created, added, widened, never dropped."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from clickhouse_connect.driver.exceptions import DatabaseError

from orchestration.errors import UserError
from orchestration.mirror.catalog import Table, TypeResolver
from orchestration.mirror.keyless import ROW, ROW_MAPPING
from orchestration.mirror.protocol import Relation
from orchestration.mirror.target import Target, is_nullable, make_nullable, quote
from orchestration.mirror.types import Lossy, Mapping, holds, map_type

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class WantedColumn:
    """A column as the source has it. `missing` is the TabSeparated field that rows from before it read as."""

    name: str
    mapping: Mapping
    nullable: bool
    missing: bytes | None = None


class CannotFollow(Exception):
    """The copy cannot be altered to what the source's table is now; it must be made anew."""


@dataclass(frozen=True)
class Outcome:
    """The copy's columns after reconciling, and why existing rows must be copied again (empty: they need not)."""

    types: dict[str, str]
    stale: str


def wanted_from_table(table: Table, resolver: TypeResolver) -> list[WantedColumn]:
    """Return the columns of a table as the catalog has them now."""
    found = []
    for column in table.columns:
        mapping = map_type(resolver.resolve(column.type_oid, column.type_modifier))
        found.append(WantedColumn(column.name, mapping, column.name not in table.key and column.nullable))
    return found + _row_of(table)


def wanted_from_relation(relation: Relation, table: Table | None, resolver: TypeResolver) -> list[WantedColumn]:
    """Return the columns that the stream announces: layout and types from the stream, the rest from the catalog.

    A stream that is behind announces columns as they were. Where today's type holds what it sends, that one is wanted:
    else a copy of today would be narrowed, copied again for that, and widened and copied once more in the end.
    """
    key = table.key if table else ()
    found = []
    for column in relation.columns:
        mapping = map_type(resolver.resolve(column.type_oid, column.type_modifier))
        known = table.column(column.name) if table else None
        if known is not None and column.name not in key:
            today = map_type(resolver.resolve(known.type_oid, known.type_modifier)).clickhouse
            mapping = replace(mapping, clickhouse=today) if holds(today, mapping) else mapping
        missing = _missing_field(mapping, known.missing) if known else None
        nullable = column.name not in key and (known is None or known.nullable)
        found.append(WantedColumn(column.name, mapping, nullable, missing))
    return found + _row_of(table)


def reconcile(target: Target, name: str, wanted: Sequence[WantedColumn], key: Sequence[str]) -> Outcome:
    """Create the copy, or add and widen its columns to hold the source's.

    A column that the source no longer has stays, and can be NULL from now on.

    Raises:
        CannotFollow: the identity of the table's rows changed, or a column's type in a way that ClickHouse refuses.
    """
    existing = target.columns(name)
    if not target.is_copy(name):
        columns = [(column.name, column.mapping.column_type(nullable=column.nullable)) for column in wanted]
        target.create_copy(name, columns, key)
        existing = target.columns(name)
        if existing == dict(columns):
            return Outcome(existing, "")
        # Part of it was there before (see Target.create_copy), with narrower types: it follows below.
    if sorted(key) != sorted(target.key(name)):
        raise CannotFollow(f"its rows are identified by ({', '.join(key)}) now")
    actions, stale = [], ""
    names = {column.name for column in wanted}
    dropped = [column for column in existing if column not in names]
    for announced in wanted:
        column = announced
        before = existing.get(column.name)
        if before is None:
            # The catalog may be ahead of the stream and say NOT NULL where the rows at hand have nothing yet.
            unknown = column.missing is None and not target.is_empty(name)
            column = replace(column, nullable=column.nullable or unknown)
            kind = column.mapping.column_type(nullable=column.nullable)
            actions.append(f"ADD COLUMN IF NOT EXISTS {quote(column.name)} {kind}{_default(column)}")
            existing[column.name] = kind
            if dropped:
                stale = f"column {column.name} may be another one renamed"
            continue
        kind = column.mapping.column_type(nullable=column.nullable or is_nullable(before))
        if kind != before:
            actions.append(f"MODIFY COLUMN {quote(column.name)} {kind}")
            existing[column.name] = kind
            if kind != column.mapping.column_type(nullable=True) or not _only_nullability(kind, before):
                stale = f"column {column.name} changed from {before} to {kind}"
    for dropped_name in dropped:
        kind = existing[dropped_name]
        if dropped_name not in key and not is_nullable(kind) and not kind.startswith("Array("):
            existing[dropped_name] = make_nullable(kind)
            actions.append(f"MODIFY COLUMN {quote(dropped_name)} {existing[dropped_name]}")
    if actions:
        try:
            apply(target, name, actions)
        except UserError as error:
            raise CannotFollow(error.message) from error
    return Outcome(existing, stale)


def no_identity(schema: str, name: str) -> UserError:
    """Explain that a table's rows cannot be told apart."""
    return UserError(
        f"Table {schema}.{name} is published with REPLICA IDENTITY FULL but has no primary key that is not deferrable.",
        f'Add a primary key, or take it out: ALTER PUBLICATION ... DROP TABLE "{schema}"."{name}";',
    )


def apply(target: Target, name: str, actions: Sequence[str]) -> None:
    """Alter a copy.

    Raises:
        UserError: ClickHouse refuses; names the table and gives ClickHouse's reason.
    """
    try:
        target.alter_copy(name, actions)
    except DatabaseError as error:
        if error.code is None:
            # The connection failed, not the statement.
            raise
        raise UserError(
            f"The copy of table {name} cannot follow a change of its columns ({'; '.join(actions)}): "
            f"{str(error).splitlines()[0][:300]}",
            "Run `jangar-quant mirror --resnapshot` to copy the table again.",
        ) from error
    logger.info("table %s: %s", name, "; ".join(actions))


def _row_of(table: Table | None) -> list[WantedColumn]:
    return [WantedColumn(ROW, ROW_MAPPING, False)] if table is not None and table.is_keyless else []


def _only_nullability(kind: str, before: str) -> bool:
    return not is_nullable(before) and kind == make_nullable(before)


def _missing_field(mapping: Mapping, text: str | None) -> bytes | None:
    if text is None:
        return None
    raw = text.encode("utf-8", errors="surrogateescape")
    try:
        return mapping.convert(raw) if mapping.convert else raw
    except Lossy:
        return None


def _default(column: WantedColumn) -> str:
    if column.missing is None:
        return ""
    text = column.missing.decode("utf-8", errors="replace").replace("\\", "\\\\").replace("'", "\\'")
    if column.mapping.clickhouse == "Bool":
        return f" DEFAULT {'true' if text == 't' else 'false'}"
    kind = column.mapping.column_type(nullable=column.nullable)
    return f" DEFAULT CAST('{text}' AS {kind})"
