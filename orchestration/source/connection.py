"""Source room: connections to the source, with the TLS contract applied and failures put into plain words."""

from pathlib import Path
from typing import Any

import psycopg
from psycopg.adapt import Buffer, Loader
from psycopg.conninfo import make_conninfo

from orchestration.errors import NotReachable
from orchestration.logs import redact
from orchestration.settings import Settings
from orchestration.source.conninfo import source_parameters
from orchestration.source.embedded import PASSFILE, read_passfile

# Text comes as UTF-8, whatever the database's encoding is. A database without one holds any bytes, and those come as
# they are: a conversion would check them.
_ENCODING = "UTF8"
NO_ENCODING = "SQL_ASCII"
# psycopg's names of the types that hold text; 0 stands for every type that it does not know.
_TEXT_TYPES = ("text", "varchar", "bpchar", "name", '"char"', 0)

_CA_REMEDY = (
    "Set TORGHUT_DB_CA_CERT to the certificate authority's certificate (a path or the PEM text), "
    "or TORGHUT_DB_SSLMODE=require to encrypt without verifying."
)

# Part of libpq's or the server's message (lower case), what is wrong, what to do. First match wins.
_EXPLANATIONS = (
    (
        ("certificate has expired",),
        "The source's TLS certificate has expired.",
        "Renew it on the server.",
    ),
    (
        # What the server's end says of our certificate comes as an alert.
        ("alert unknown ca", "alert bad certificate", "alert certificate unknown"),
        "The source does not trust the client certificate.",
        "Have it signed by the authority in the server's ssl_ca_file, and name it in TORGHUT_DB_DSN: "
        "sslcert=...&sslkey=... (paths).",
    ),
    (
        # libpq does not say which of the two it is.
        ("certificate verify failed", "self-signed certificate", "unable to get local issuer", "unknown ca"),
        "The source's TLS certificate is signed by an authority that is not trusted here "
        "(usually: self-signed certificate in certificate chain).",
        _CA_REMEDY,
    ),
    (
        ("root certificate file",),
        "The source's TLS certificate cannot be verified: no certificate authority is known here.",
        _CA_REMEDY,
    ),
    (
        ("requires a valid client certificate", "certificate required"),
        "The source wants a client certificate for user {user}.",
        "Add sslcert=/path/client.crt&sslkey=/path/client.key to the query of TORGHUT_DB_DSN (both files must exist).",
    ),
    (
        ("certificate authentication failed",),
        "The client certificate is for another user than {user}.",
        "Use a certificate whose common name is the user's name, or have the administrator map it (pg_ident.conf).",
    ),
    (
        ("private key file", "could not load private key", "certificate file", "does not match private key"),
        "The client certificate or its key cannot be used.",
        "Let sslcert and sslkey in TORGHUT_DB_DSN name a matching pair, and give the key mode 0600.",
    ),
    (
        ("does not match host name",),
        "The source's TLS certificate is for another host name than {host}.",
        "Use a host name that the certificate carries in TORGHUT_DB_DSN, "
        "or TORGHUT_DB_SSLMODE=verify-ca to verify the authority alone.",
    ),
    (
        ("does not support ssl",),
        "The source does not offer TLS, and TORGHUT_DB_SSLMODE={sslmode} demands it.",
        "Turn TLS on at the server, or set TORGHUT_DB_SSLMODE=disable if the network is trusted.",
    ),
    (
        ("no encryption", "ssl off"),
        "The source refuses user {user} without TLS (pg_hba.conf).",
        "Set TORGHUT_DB_SSLMODE=verify-full, with TORGHUT_DB_CA_CERT if its authority is private.",
    ),
    (
        ("no pg_hba.conf entry",),
        "The source does not admit user {user} to database {dbname} from this machine.",
        "Add an entry to the server's pg_hba.conf.",
    ),
    (
        ("no password supplied",),
        "The source wants a password for user {user}, and there is none.",
        "Put it into TORGHUT_DB_DSN.",
    ),
    (
        ("password authentication failed", "authentication failed"),
        "The source refuses the password of user {user}.",
        "Correct user and password in TORGHUT_DB_DSN (special characters percent-encoded).",
    ),
    (
        ('role "',),
        "The source has no user {user}.",
        "Correct the user in TORGHUT_DB_DSN.",
    ),
    (
        ('database "',),
        "The source has no database {dbname}.",
        "Correct the database in TORGHUT_DB_DSN, or create it.",
    ),
    (
        ("too many clients", "remaining connection slots", "too many connections"),
        "The source has no free connection.",
        "Raise max_connections there, or close other clients.",
    ),
    (
        ("starting up", "shutting down", "in recovery mode"),
        "The source at {host} port {port} is starting or shutting down.",
        "Try again in a moment.",
    ),
    (
        ("could not translate host name", "name or service not known", "failed to resolve host"),
        "The host name {host} of the source is not known.",
        "Correct the host in TORGHUT_DB_DSN.",
    ),
    (
        ("timeout expired", "timed out", "no route to host", "network is unreachable"),
        "The source at {host} port {port} does not answer.",
        "Check host, port and firewalls between here and there.",
    ),
    (
        ("connection refused", "no such file or directory"),
        "Nothing accepts connections at {host} port {port}.",
        "Start the server, or correct host and port in TORGHUT_DB_DSN.",
    ),
)


def parameters(settings: Settings) -> dict[str, str]:
    """Return the libpq parameters of the source that the settings name.

    Raises:
        UserError: a setting of the source cannot be used.
    """
    ca_certificate = None if settings.embedded_source else settings.torghut_db_ca_cert
    sslmode = "disable" if settings.embedded_source else settings.torghut_db_sslmode
    found = source_parameters(settings.source_dsn(), sslmode, ca_certificate, settings.state_dir / "tls")
    return _with_password({**found, "client_encoding": _ENCODING})


def conninfo(settings: Settings) -> str:
    """Return the source's connection string for libpq; it may hold the password."""
    return make_conninfo("", **parameters(settings))


def connect(settings: Settings, *, autocommit: bool = True, **options: Any) -> psycopg.Connection:
    """Connect to the source; `options` go to `psycopg.connect`.

    Raises:
        NotReachable: says why there is no connection and what to do about it.
    """
    return _open(parameters(settings), autocommit, options)


def connect_dsn(dsn: str, *, autocommit: bool = True, **options: Any) -> psycopg.Connection:
    """Connect to a Postgres by its connection string alone, with the same defaults and the same errors.

    Raises:
        NotReachable: says why there is no connection and what to do about it.
    """
    return _open(_with_password(source_parameters(dsn, None, None, Path())), autocommit, options)


def explain(error: psycopg.Error, used: dict[str, str]) -> NotReachable:
    """Put a failure to connect with the parameters `used` into one sentence and a remedy, without any secret."""
    text = str(error)
    facts = {
        "host": used.get("host") or used.get("hostaddr") or "the local socket",
        "port": used.get("port", "5432"),
        "user": used.get("user", "(the operating system's)"),
        "dbname": used.get("dbname") or used.get("user", ""),
        "sslmode": used.get("sslmode", ""),
    }
    for signs, message, remedy in _EXPLANATIONS:
        if any(sign in text.lower() for sign in signs):
            if PASSFILE in used.get("passfile", "") and "Start the server" in remedy:
                remedy = "Start the embedded Postgres with `jangar-quant postgres` or `make up`."
            return NotReachable(message.format(**facts), remedy)
    password = used.get("password")
    if password:
        text = text.replace(password, "***")
    detail = " ".join(redact(text).split())
    return NotReachable(f"The source at {facts['host']} port {facts['port']} cannot be used: {detail}.")


def _open(used: dict[str, str], autocommit: bool, options: dict[str, Any]) -> psycopg.Connection:
    try:
        connection = psycopg.connect(make_conninfo("", **used), autocommit=autocommit, **options)
    except psycopg.OperationalError as error:
        raise explain(error, used) from None
    if connection.info.parameter_status("server_encoding") == NO_ENCODING:
        connection.execute(f"set client_encoding = '{NO_ENCODING}'")
        if not autocommit:
            connection.commit()
        for name in _TEXT_TYPES:
            connection.adapters.register_loader(name, _AnyTextLoader)
    return connection


class _AnyTextLoader(Loader):
    """Loads text of a database without encoding; psycopg itself would give bytes, also for the names of the catalog."""

    def load(self, data: Buffer) -> str:
        return bytes(data).decode("utf-8", errors="surrogateescape")


def _with_password(found: dict[str, str]) -> dict[str, str]:
    """Add the embedded server's password, so that a PGPASSWORD meant for another server cannot get in the way."""
    passfile = Path(found.get("passfile", ""))
    if passfile.name == PASSFILE and "password" not in found and passfile.is_file():
        return {**found, "password": read_passfile(passfile)}
    return found
