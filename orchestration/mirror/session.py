"""Mirror room: sessions on the source, their text output pinned so that a role's own settings cannot change it."""

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from orchestration.settings import Settings
from orchestration.source.connection import connect, conninfo

# Each of these changes the text of values; a role may have its own defaults for them.
_TEXT_FORMAT = {
    "datestyle": "ISO",
    "intervalstyle": "postgres",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "timezone": "UTC",
    "lc_monetary": "C",
}
# The server ends a replication session that is silent for so long. Ours reports every second from a thread that does
# nothing else. A mirror that hangs keeps the slot from its follower, and delays the server's shutdown, by this time.
_WAL_SENDER_TIMEOUT = "10s"


def open_session(settings: Settings, purpose: str) -> psycopg.Connection:
    """Open an ordinary session in autocommit mode.

    Raises:
        UserError: the source cannot be reached; says why.
    """
    connection = connect(settings, application_name=f"jangar-quant mirror {purpose}")
    for name, value in _TEXT_FORMAT.items():
        connection.execute("select set_config(%s, %s, false)", (name, value))
    connection.execute("set idle_in_transaction_session_timeout = 0")
    connection.execute("set statement_timeout = 0")
    return connection


def replication_conninfo(settings: Settings) -> str:
    """Return the connection string of a replication session on the source; it may hold the password."""
    base = conninfo(settings)
    pinned = {**_TEXT_FORMAT, "wal_sender_timeout": _WAL_SENDER_TIMEOUT, "statement_timeout": "0"}
    options = " ".join([str(conninfo_to_dict(base).get("options") or ""), *(f"-c {n}={v}" for n, v in pinned.items())])
    return make_conninfo(
        base,
        replication="database",
        options=options.strip(),
        application_name="jangar-quant mirror",
        # A network that fails silently is noticed in under a minute.
        keepalives_idle="15",
        keepalives_interval="5",
        keepalives_count="4",
    )
