"""Mirror room: the publication - made, and extended by known tables that appear, when we own it."""

import logging

import psycopg
from psycopg import sql

from orchestration.errors import UserError
from orchestration.mirror.catalog import SCHEMA, existing_known_tables

logger = logging.getLogger(__name__)


def ensure_publication(connection: psycopg.Connection, name: str) -> None:
    """Create the publication over the known tables that exist.

    Raises:
        UserError: none of them exists, or we lack the rights: then the remedy is the SQL for an administrator.
    """
    if _owner(connection, name) is not None:
        return
    tables = _usable(connection)
    if not tables:
        raise UserError(
            "The source has none of the tables that the models read (strategies, trade_decisions, executions, ...).",
            "Point TORGHUT_DB_DSN at Torghut's database, or run `jangar-quant source migrate` on an empty one.",
        )
    statement = sql.SQL("create publication {} for table {} with (publish_via_partition_root = true)").format(
        sql.Identifier(name), _list(tables)
    )
    try:
        connection.execute(statement)
    except psycopg.errors.InsufficientPrivilege as error:
        raise UserError(
            "The source's user may not create the publication.",
            f"Let an administrator run: {statement.as_string(connection)};",
        ) from error
    except psycopg.errors.DuplicateObject:
        return
    logger.info("publication %s created for %s", name, ", ".join(tables))


def add_new_tables(connection: psycopg.Connection, name: str) -> list[str]:
    """Add known tables that exist and are not published yet, if the publication is ours; return their names."""
    missing = sorted(set(_usable(connection)) - _published(connection, name))
    if not missing:
        return []
    owner = _owner(connection, name)
    if owner is None or not owner:
        return []
    try:
        connection.execute(sql.SQL("alter publication {} add table {}").format(sql.Identifier(name), _list(missing)))
    except psycopg.errors.DuplicateObject:
        return []
    logger.info("publication %s: added %s", name, ", ".join(missing))
    return missing


def _owner(connection: psycopg.Connection, name: str) -> bool | None:
    """Whether the publication is ours to change (no schema-wide one, and we are its owner); None if it is missing."""
    row = connection.execute(
        "select not puballtables and pg_has_role(pubowner, 'usage') from pg_publication where pubname = %s", (name,)
    ).fetchone()
    return bool(row[0]) if row else None


def _usable(connection: psycopg.Connection) -> list[str]:
    """Return the known tables with an identity. One without would make the application's updates fail if published."""
    found = existing_known_tables(connection)
    return [table for table, usable in found.items() if usable]


def _published(connection: psycopg.Connection, name: str) -> set[str]:
    rows = connection.execute(
        "select tablename from pg_publication_tables where pubname = %s and schemaname = %s", (name, SCHEMA)
    ).fetchall()
    return {row[0] for row in rows}


def _list(tables: list[str]) -> sql.Composable:
    return sql.SQL(", ").join(sql.Identifier(SCHEMA, table) for table in tables)
