"""Doctor room: checks of the source - reachable, safe to read, ready for logical replication."""

import time

import psycopg

from orchestration.doctor.finding import Finding, State
from orchestration.errors import UserError
from orchestration.mirror.identity import known_identities, published_identities
from orchestration.settings import Settings
from orchestration.source.connection import connect, parameters

_AREA = "source"
_OLDEST_VERSION = 130_000
_SKEW_WARN_SECONDS = 1.0
_SKEW_FAIL_SECONDS = 30.0
# The trading system's own alert fires at 2 GiB of retained WAL.
_RETAINED_WARN_BYTES = 2 * 1024**3
_RESTART = "and restart the server"


def check_source(settings: Settings) -> list[Finding]:
    """Check the source from reachability to replica identities; what needs a connection is left out without one."""
    try:
        connection = connect(settings)
    except UserError as error:
        if settings.embedded_source and "Nothing accepts connections" in error.message:
            return [Finding(_AREA, "connection", "warn", "the embedded Postgres does not run", "Start it: `make up`.")]
        return [Finding(_AREA, "connection", "fail", error.message, error.remedy)]
    with connection:
        try:
            return [
                _connected(connection, settings),
                _clock(connection),
                _version(connection),
                _wal_level(connection),
                _replication_role(connection),
                *_capacity(connection, settings.mirror_slot),
                *_tables(connection, settings.mirror_publication),
                _slot(connection, settings.mirror_slot),
            ]
        except psycopg.Error as error:
            detail = error.diag.message_primary or str(error).strip()
            return [Finding(_AREA, "catalog", "fail", f"the source's catalog cannot be read: {detail}", "")]


def _connected(connection: psycopg.Connection, settings: Settings) -> Finding:
    used = parameters(settings)
    where = f"{used.get('host', 'local socket')}:{used.get('port', '5432')}/{connection.info.dbname}"
    row = connection.execute("select ssl, version, cipher from pg_stat_ssl where pid = pg_backend_pid()").fetchone()
    if row and row[0]:
        detail = f"{where} over {row[1]} ({row[2]}), sslmode {used['sslmode']}"
        if used["sslmode"] in ("verify-ca", "verify-full"):
            return Finding(_AREA, "connection", "ok", detail)
        return Finding(_AREA, "connection", "ok", detail + ", certificate not verified")
    state: State = "warn" if used["sslmode"] in ("allow", "prefer", "disable") and not _is_local(used) else "ok"
    remedy = "Set TORGHUT_DB_SSLMODE=verify-full, and TORGHUT_DB_CA_CERT if the authority is private."
    return Finding(_AREA, "connection", state, f"{where} without TLS, sslmode {used['sslmode']}", remedy)


def _is_local(used: dict[str, str]) -> bool:
    hosts = (used.get("hostaddr") or used.get("host") or "").split(",")
    return all(host.startswith(("/", "127.")) or host in ("", "localhost", "::1") for host in hosts)


def _clock(connection: psycopg.Connection) -> Finding:
    before = time.time()
    row = connection.execute("select extract(epoch from clock_timestamp())::float8").fetchone()
    after = time.time()
    # Half the round trip is the least that the comparison can be wrong by.
    skew = (row[0] if row else before) - (before + after) / 2
    detail = f"source is {skew:+.3f} s from here, round trip {(after - before) * 1000:.1f} ms"
    remedy = "Synchronise both clocks (NTP): freshness and trailing windows compare their times."
    if abs(skew) > _SKEW_FAIL_SECONDS:
        return Finding(_AREA, "clock", "fail", detail, remedy)
    return Finding(_AREA, "clock", "warn" if abs(skew) > _SKEW_WARN_SECONDS else "ok", detail, remedy)


def _version(connection: psycopg.Connection) -> Finding:
    version = connection.info.server_version
    detail = f"Postgres {version // 10_000}.{version % 10_000}"
    if version < _OLDEST_VERSION:
        return Finding(_AREA, "version", "fail", detail, f"Upgrade to Postgres {_OLDEST_VERSION // 10_000} or newer.")
    return Finding(_AREA, "version", "ok", detail)


def _wal_level(connection: psycopg.Connection) -> Finding:
    level = _setting(connection, "wal_level")
    if level == "logical":
        return Finding(_AREA, "wal_level", "ok", level)
    return Finding(
        _AREA, "wal_level", "fail", level, f"As an administrator: ALTER SYSTEM SET wal_level = 'logical'; {_RESTART}."
    )


def _replication_role(connection: psycopg.Connection) -> Finding:
    row = connection.execute(
        """
        select
            current_user,
            rolsuper or rolreplication or exists (
                -- Amazon's managed Postgres grants a role instead of the attribute.
                select 1 from pg_roles as r where r.rolname = 'rds_replication' and pg_has_role(r.oid, 'usage')
            )
        from pg_roles
        where rolname = current_user
        """
    ).fetchone()
    user, allowed = row if row else ("", False)
    if allowed:
        return Finding(_AREA, "replication privilege", "ok", f"user {user} may replicate")
    return Finding(
        _AREA,
        "replication privilege",
        "fail",
        f"user {user} may not replicate",
        f'As an administrator: ALTER ROLE "{user}" REPLICATION;',
    )


def _capacity(connection: psycopg.Connection, slot: str) -> list[Finding]:
    row = connection.execute(
        """
        select
            (select count(*) from pg_replication_slots),
            (select count(*) from pg_replication_slots where slot_name = %s),
            (select count(*) from pg_stat_activity where backend_type = 'walsender')
        """,
        (slot,),
    ).fetchone()
    slots, own, senders = row if row else (0, 0, 0)
    findings = []
    for name, used, needed in (("max_replication_slots", slots, 1 - own), ("max_wal_senders", senders, 1 - own)):
        limit = int(_setting(connection, name))
        detail = f"{used} of {limit} in use"
        if used + needed > limit:
            remedy = f"As an administrator: ALTER SYSTEM SET {name} = {limit + 4}; {_RESTART}, or drop unused slots."
            findings.append(Finding(_AREA, name, "fail", detail, remedy))
        else:
            findings.append(Finding(_AREA, name, "ok", detail))
    return findings


def _tables(connection: psycopg.Connection, publication: str) -> list[Finding]:
    tables = known_identities(connection)
    if not tables:
        return [
            Finding(
                _AREA,
                "tables",
                "fail",
                "none of the tables that the models read exists",
                "Point TORGHUT_DB_DSN at Torghut's database; an empty one of your own: `jangar-quant source migrate`.",
            )
        ]
    names = {table.name for table in tables}
    unreadable = [table.name for table in tables if not table.readable]
    problems = [f"{table.label}: {table.problem}" for table in tables if table.problem]
    return [
        Finding(
            _AREA,
            "read privilege",
            "fail" if unreadable else "ok",
            f"no SELECT on {', '.join(unreadable)}" if unreadable else f"SELECT on all {len(names)} tables",
            f'As their owner: GRANT SELECT ON {", ".join(unreadable)} TO "{connection.info.user}";',
        ),
        Finding(
            _AREA,
            "replica identity",
            "fail" if problems else "ok",
            "; ".join(problems) or f"usable on all {len(names)} tables",
            "As the owner, for each: ALTER TABLE ... REPLICA IDENTITY DEFAULT; its primary key must not be deferrable.",
        ),
        _publication(connection, publication, names, all(table.owned for table in tables)),
    ]


def _publication(connection: psycopg.Connection, name: str, tables: set[str], owned: bool) -> Finding:
    known = connection.execute(
        "select pg_has_role(pubowner, 'usage'), puballtables, pubinsert and pubupdate and pubdelete, "
        "pubupdate or pubdelete "
        "from pg_publication where pubname = %s",
        (name,),
    ).fetchone()
    listed = ", ".join(sorted(tables))
    if known is None:
        row = connection.execute("select has_database_privilege(current_database(), 'create')").fetchone()
        if owned and row and row[0]:
            return Finding(_AREA, "publication", "ok", f"{name} is made by the first start of the mirror")
        return Finding(
            _AREA,
            "publication",
            "fail",
            f"{name} does not exist, and the user may not create it",
            f'As the tables\' owner: CREATE PUBLICATION "{name}" FOR TABLE {listed};',
        )
    broken = [table for table in published_identities(connection, name) if table.breaks_application]
    if known[3] and broken:
        return Finding(
            _AREA,
            "publication",
            "fail",
            "the application cannot UPDATE or DELETE in "
            + "; ".join(f"{table.label} ({table.problem})" for table in broken)
            + f" while {name} publishes it",
            "At once: "
            + " ".join(f'ALTER PUBLICATION "{name}" DROP TABLE "{t.schema}"."{t.name}";' for t in broken)
            + " Then give it a primary key that is not deferrable.",
        )
    if not known[2]:
        return Finding(
            _AREA,
            "publication",
            "fail",
            f"{name} does not publish inserts, updates and deletes",
            f"As its owner: ALTER PUBLICATION \"{name}\" SET (publish = 'insert, update, delete, truncate');",
        )
    covered = connection.execute(
        "select tablename from pg_publication_tables where pubname = %s and schemaname = 'public'", (name,)
    )
    missing = sorted(tables - {row[0] for row in covered})
    if not missing:
        return Finding(_AREA, "publication", "ok", f"{name} covers all {len(tables)} tables")
    return Finding(
        _AREA,
        "publication",
        "warn" if known[0] and owned else "fail",
        f"{name} lacks {', '.join(missing)}",
        f'As the tables\' owner: ALTER PUBLICATION "{name}" ADD TABLE {", ".join(missing)};',
    )


def _slot(connection: psycopg.Connection, name: str) -> Finding:
    row = connection.execute(
        """
        select
            plugin, database, active_pid, wal_status,
            pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint, current_database()
        from pg_replication_slots
        where slot_name = %s
        """,
        (name,),
    ).fetchone()
    if row is None:
        return Finding(_AREA, "slot", "ok", f"{name} is made by the first start of the mirror")
    plugin, database, active_pid, wal_status, retained, here = row
    if plugin != "pgoutput" or database != here:
        return Finding(
            _AREA,
            "slot",
            "fail",
            f"{name} belongs to database {database} with plugin {plugin}",
            "Set JANGAR_QUANT_MIRROR_SLOT to another name.",
        )
    if wal_status in ("lost", "unreserved"):
        return Finding(
            _AREA,
            "slot",
            "fail",
            f"{name} has lost WAL that it needs ({wal_status})",
            "Run `jangar-quant mirror --resnapshot` to copy the tables again, and raise max_slot_wal_keep_size there.",
        )
    reader = f"read by process {active_pid}" if active_pid else "not read now"
    detail = f"{name} is {reader}, {(retained or 0) / 1e6:,.0f} MB of WAL retained"
    if (retained or 0) > _RETAINED_WARN_BYTES:
        return Finding(_AREA, "slot", "warn", detail, "Start the mirror, or drop the slot if it is no longer used.")
    return Finding(_AREA, "slot", "ok", detail)


def _setting(connection: psycopg.Connection, name: str) -> str:
    row = connection.execute("select current_setting(%s)", (name,)).fetchone()
    return str(row[0]) if row else ""
