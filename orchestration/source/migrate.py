"""Source room: the schema of Torghut as numbered migrations of our own, applied to a database of our own.

A real Torghut migrates itself with Alembic; such a database is never touched.
"""

import logging
import re
from dataclasses import dataclass
from pathlib import Path

import psycopg

from orchestration.errors import UserError
from orchestration.source.connection import connect_dsn

logger = logging.getLogger(__name__)

_DIRECTORY = Path(__file__).with_name("migrations")
_FILE_NAME = re.compile(r"(?P<version>\d{4})_(?P<name>\w+)\.sql")
# Any number will do, as long as every migrator of this database takes the same one.
_ADVISORY_LOCK = 4_725_190_113
_LOCK_TIMEOUT = "30s"
LATEST = "latest"


@dataclass(frozen=True)
class Migration:
    """One file of SQL: its four-digit version, its name and where it is."""

    version: str
    name: str
    path: Path


def migrations() -> list[Migration]:
    """Return all migrations in the order of their versions."""
    found = [(_FILE_NAME.fullmatch(path.name), path) for path in _DIRECTORY.iterdir()]
    return sorted(
        (Migration(match["version"], match["name"], path) for match, path in found if match),
        key=lambda migration: migration.version,
    )


def migrate(dsn: str, head: str = LATEST) -> str:
    """Apply the migrations up to and including `head` ("0005", "0013", ... or "latest") that are missing.

    Each runs in a transaction of its own, so a failure leaves the schema at the version before. Applying again changes
    nothing, and a schema beyond `head` stays as it is.

    Returns:
        The version at which the schema stands afterwards.

    Raises:
        UserError: unknown head; not our database; database unreachable or locked; a migration failed.
    """
    known = migrations()
    wanted = known[-1].version if head == LATEST else head
    if wanted not in {migration.version for migration in known}:
        raise UserError(
            f"There is no schema version {head}.",
            f"Use one of: {', '.join(migration.version for migration in known)}, {LATEST}.",
        )
    with connect_dsn(dsn) as connection:
        try:
            connection.execute(f"set lock_timeout = '{_LOCK_TIMEOUT}'")
            connection.execute("select pg_advisory_lock(%s)", (_ADVISORY_LOCK,))
            applied = _applied_versions(connection)
            missing = [step for step in known if step.version <= wanted and step.version not in applied]
            for migration in missing:
                _apply(connection, migration)
            if missing:
                logger.info("source schema migrated from %s to %s", max(applied, default="nothing"), wanted)
            return max([*applied, wanted])
        except psycopg.errors.LockNotAvailable as error:
            raise UserError(
                f"Another session holds a lock that the schema migration needs for more than {_LOCK_TIMEOUT}.",
                "End the long transactions of other clients of the source, then try again.",
            ) from error


def schema_version(connection: psycopg.Connection) -> str | None:
    """Return the version at which our own schema stands; None when the database has no migration of ours."""
    if not _relation_exists(connection, "jangar_schema_migrations"):
        return None
    row = connection.execute("select max(version) from jangar_schema_migrations").fetchone()
    return row[0] if row else None


def require_own_schema(connection: psycopg.Connection) -> None:
    """Refuse a database whose Torghut schema was made by somebody else.

    Raises:
        UserError: it is managed by Alembic (a real Torghut), or has tables that we did not make.
    """
    if _relation_exists(connection, "alembic_version"):
        raise UserError(
            "This database belongs to a real Torghut: Alembic manages its schema, so nothing is written to it.",
            "Unset TORGHUT_DB_DSN to use the embedded Postgres, or point it at an empty database.",
        )
    if _relation_exists(connection, "trade_decisions") and not _relation_exists(connection, "jangar_schema_migrations"):
        raise UserError(
            "This database already has trade tables that jangar-quant did not make, so nothing is written to it.",
            "Unset TORGHUT_DB_DSN to use the embedded Postgres, or point it at an empty database.",
        )


def _applied_versions(connection: psycopg.Connection) -> list[str]:
    require_own_schema(connection)
    connection.execute(
        """
        create table if not exists jangar_schema_migrations (
            version varchar(4) primary key,
            name text not null,
            applied_at timestamptz not null default now()
        )
        """
    )
    return [row[0] for row in connection.execute("select version from jangar_schema_migrations order by version")]


def _apply(connection: psycopg.Connection, migration: Migration) -> None:
    try:
        with connection.transaction():
            connection.execute(migration.path.read_bytes())
            connection.execute(
                "insert into jangar_schema_migrations (version, name) values (%s, %s)",
                (migration.version, migration.name),
            )
    except psycopg.errors.LockNotAvailable:
        raise
    except psycopg.Error as error:
        detail = error.diag.message_primary or str(error)
        raise UserError(
            f"Schema migration {migration.version} ({migration.name}) failed: {detail}.",
            "The schema stands at the version before it; correct the cause, then try again.",
        ) from error
    logger.debug("schema migration %s (%s) applied", migration.version, migration.name)


def _relation_exists(connection: psycopg.Connection, name: str) -> bool:
    row = connection.execute(
        """
        select exists (
            select 1
            from pg_class
            join pg_namespace on pg_namespace.oid = pg_class.relnamespace
            where pg_class.relname = %s and pg_class.relkind in ('r', 'p') and pg_namespace.nspname !~ '^pg_'
        )
        """,
        (name,),
    ).fetchone()
    return bool(row and row[0])
