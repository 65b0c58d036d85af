"""Mirror room: whether the rows of a table can be told apart in the stream, and if not, why and what that breaks."""

from dataclasses import dataclass

import psycopg

from orchestration.mirror.catalog import KNOWN_TABLES, SCHEMA

# Every usable identity of a table, as logical decoding sees it: what it is, or why it is not.
_QUERY = """
select
    n.nspname,
    c.relname,
    c.relreplident::text,
    i.indexrelid is not null,
    coalesce(not i.indimmediate, false),
    exists (
        select 1 from pg_attribute as a
        where a.attrelid = c.oid and a.attnum = any(i.indkey) and a.attgenerated <> ''
    ),
    has_table_privilege(c.oid, 'select'),
    pg_has_role(c.relowner, 'usage')
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
left join pg_index as i
    on i.indrelid = c.oid and case c.relreplident when 'i' then i.indisreplident else i.indisprimary end
where c.relkind in ('r', 'p') and c.relpersistence = 'p' and c.oid = any(%s::oid[])
order by n.nspname, c.relname
"""


@dataclass(frozen=True)
class TableIdentity:
    """One table of the source: why its rows cannot be followed (empty: they can), and what we may do with it."""

    schema: str
    name: str
    problem: str
    breaks_application: bool
    readable: bool
    owned: bool

    @property
    def label(self) -> str:
        """The table's name for messages, with the schema where it is not the usual one."""
        return self.name if self.schema == SCHEMA else f"{self.schema}.{self.name}"


def known_identities(connection: psycopg.Connection) -> list[TableIdentity]:
    """Return the tables that the models read and the source has."""
    return _identities(
        connection,
        "select c.oid::bigint from pg_class c join pg_namespace n on n.oid = c.relnamespace "
        "where n.nspname = %s and c.relname = any(%s)",
        (SCHEMA, list(KNOWN_TABLES)),
    )


def named_identities(connection: psycopg.Connection, names: list[str]) -> dict[str, TableIdentity | None]:
    """Return tables by the names that a person gave, which may have a schema; None for a name that is no table."""
    found: dict[str, TableIdentity | None] = {}
    for name in names:
        tables = _identities(connection, "select to_regclass(%s)::oid::bigint", (name,))
        found[name] = tables[0] if tables else None
    return found


def published_identities(connection: psycopg.Connection, publication: str) -> list[TableIdentity]:
    """Return the tables of a publication."""
    return _identities(
        connection,
        "select c.oid::bigint from pg_publication_tables p join pg_namespace n on n.nspname = p.schemaname "
        "join pg_class c on c.relnamespace = n.oid and c.relname = p.tablename where p.pubname = %s",
        (publication,),
    )


def _identities(connection: psycopg.Connection, oids: str, parameters: tuple[object, ...]) -> list[TableIdentity]:
    numbers = [row[0] for row in connection.execute(oids.encode(), parameters).fetchall() if row[0] is not None]
    found = []
    for schema, name, identity, *facts, readable, owned in connection.execute(_QUERY, (numbers,)).fetchall():
        problem = _problem(identity, *facts)
        # Under FULL the whole old row is sent, so Postgres lets the application change it all the same.
        found.append(TableIdentity(schema, name, problem, bool(problem) and identity != "f", readable, owned))
    return found


def _problem(identity: str, has_index: bool, deferrable_index: bool, generated_key: bool) -> str:
    if identity == "n":
        return "replica identity NOTHING makes the application's updates fail once it is published"
    if not has_index:
        return "no primary key"
    if deferrable_index:
        return "its key is deferrable, which is no identity"
    if generated_key:
        return "its key has a generated column, which is not sent"
    return ""
