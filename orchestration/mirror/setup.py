"""Mirror room: prepares a source - publication and a role with no more rights than the mirror needs.

The slot is not made here: its first snapshot belongs to the copy, so the mirror's first start makes it.
"""

import secrets
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from orchestration.errors import UserError
from orchestration.mirror.identity import TableIdentity, known_identities, named_identities, published_identities
from orchestration.settings import Settings


@dataclass
class Plan:
    """What is missing in the source: statements in order, and the tables that must not be published, with the reason.

    `password` is that of a role which the statements make, empty when they make none.
    """

    statements: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    password: str = ""

    @property
    def script(self) -> str:
        """The statements as SQL for an administrator."""
        return "".join(f"{statement};\n" for statement in ["BEGIN", *self.statements, "COMMIT"])


def make_plan(connection: psycopg.Connection, settings: Settings, names: list[str], role: str | None) -> Plan:
    """Find what is missing. `names` are tables to publish, all that the models read when empty; `role` reads them.

    Raises:
        UserError: nothing can be published, or a named table would break the application's updates or is none.
    """
    plan = Plan()
    tables = _chosen(connection, names, plan)
    if not tables:
        raise UserError(
            "The source has no table to publish.",
            "Point TORGHUT_DB_DSN at Torghut's database, or name tables with --table.",
        )
    _publish(connection, settings.mirror_publication, tables, plan)
    if role is not None:
        _grant(connection, role, tables, plan)
    return plan


def carry_out(connection: psycopg.Connection, plan: Plan) -> None:
    """Run the statements in one transaction: all of them or none.

    Raises:
        UserError: the user lacks a right; the remedy is the SQL for an administrator.
    """
    try:
        with connection.transaction():
            for statement in plan.statements:
                connection.execute(statement.encode())
    except psycopg.errors.InsufficientPrivilege as error:
        raise UserError(
            f"The source's user {connection.info.user} may not do this: {error.diag.message_primary}. "
            "Nothing was changed.",
            f"Let an administrator run:\n{plan.script}",
        ) from error


def _chosen(connection: psycopg.Connection, names: list[str], plan: Plan) -> list[TableIdentity]:
    if not names:
        known = known_identities(connection)
        plan.left_out.update({table.label: table.problem for table in known if table.problem})
        return [table for table in known if not table.problem]
    chosen = []
    for name, table in named_identities(connection, names).items():
        if table is None:
            raise UserError(f"The source has no table {name}.", "Write it as schema.table, quoted as in SQL.")
        if table.problem:
            effect = (
                "the application's UPDATE and DELETE would fail from that moment on"
                if table.breaks_application
                else "its rows could not be told apart in the copy"
            )
            raise UserError(
                f"Table {table.label} is not published: {table.problem}, so {effect}.",
                "Give it a primary key that is not deferrable, or leave it out.",
            )
        chosen.append(table)
    return chosen


def _publish(connection: psycopg.Connection, name: str, tables: list[TableIdentity], plan: Plan) -> None:
    row = connection.execute("select puballtables from pg_publication where pubname = %s", (name,)).fetchone()
    if row is not None and row[0]:
        return
    published = {(table.schema, table.name) for table in published_identities(connection, name)}
    missing = [table for table in tables if (table.schema, table.name) not in published]
    if missing:
        verb = "CREATE PUBLICATION {} FOR TABLE {}" if row is None else "ALTER PUBLICATION {} ADD TABLE {}"
        plan.statements.append(_text(connection, verb, sql.Identifier(name), _list(missing)))


def _grant(connection: psycopg.Connection, role: str, tables: list[TableIdentity], plan: Plan) -> None:
    """Log in, replicate, read the published tables: nothing else, and nothing that could write."""
    name = sql.Identifier(role)
    known = connection.execute(
        "select rolcanlogin and (rolreplication or rolsuper) from pg_roles where rolname = %s", (role,)
    ).fetchone()
    if known is None:
        plan.password = secrets.token_urlsafe(24)
        plan.statements.append(
            _text(
                connection,
                "CREATE ROLE {} LOGIN REPLICATION NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD {}",
                name,
                sql.Literal(plan.password),
            )
        )
    elif not known[0]:
        plan.statements.append(_text(connection, "ALTER ROLE {} LOGIN REPLICATION", name))
    database = sql.Identifier(connection.info.dbname)
    if known is None or not _allowed(
        connection, "has_database_privilege(%s::name, current_database(), 'connect')", role
    ):
        plan.statements.append(_text(connection, "GRANT CONNECT ON DATABASE {} TO {}", database, name))
    for schema in sorted({table.schema for table in tables}):
        if known is None or not _allowed(connection, "has_schema_privilege(%s::name, %s::text, 'usage')", role, schema):
            plan.statements.append(_text(connection, "GRANT USAGE ON SCHEMA {} TO {}", sql.Identifier(schema), name))
    unreadable = [
        table
        for table in tables
        if known is None
        or not _allowed(
            connection,
            "has_table_privilege(%s::name, format('%%I.%%I', %s::text, %s::text), 'select')",
            role,
            table.schema,
            table.name,
        )
    ]
    if unreadable:
        plan.statements.append(_text(connection, "GRANT SELECT ON {} TO {}", _list(unreadable), name))


def _allowed(connection: psycopg.Connection, test: str, *parameters: str) -> bool:
    row = connection.execute(f"select {test}".encode(), parameters).fetchone()
    return bool(row and row[0])


def _list(tables: list[TableIdentity]) -> sql.Composable:
    return sql.SQL(", ").join(sql.Identifier(table.schema, table.name) for table in tables)


def _text(connection: psycopg.Connection, template: str, *parts: sql.Composable) -> str:
    return sql.SQL(template).format(*parts).as_string(connection)
