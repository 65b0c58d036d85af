"""Source room: the connection parameters of the source - how a DSN, a TLS mode and a CA certificate become one."""

import hashlib
import ipaddress
import os
import ssl
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from orchestration.errors import UserError

_CONNECT_TIMEOUT_SECONDS = "10"
_DSN_REMEDY = (
    "Write TORGHUT_DB_DSN as postgresql://USER:PASSWORD@HOST:5432/DATABASE with special characters of the password "
    "percent-encoded (@ is %40, / is %2F), or as host=... user=... password=... dbname=..."
)
# Where operating systems keep the public authorities; psycopg's own OpenSSL looks elsewhere.
_PUBLIC_AUTHORITIES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)


def source_parameters(dsn: str, sslmode: str | None, ca_certificate: str | None, tls_dir: Path) -> dict[str, str]:
    """Return the libpq parameters of a source.

    Args:
        dsn: URL or key=value string; SQLAlchemy's `postgresql+driver://` is understood.
        sslmode: TLS mode that wins over the DSN's. Without either: `prefer` on loopback or a Unix socket, else
            `verify-full`.
        ca_certificate: path of a PEM file, or PEM text, which is then kept in a file (mode 0600) under `tls_dir`.

    Raises:
        UserError: the DSN or the certificate cannot be used. The text never holds the DSN.
    """
    parameters = _parse(dsn)
    parameters["sslmode"] = sslmode or parameters.get("sslmode") or _default_sslmode(parameters)
    if ca_certificate:
        parameters["sslrootcert"] = str(_certificate_file(ca_certificate, tls_dir))
    elif parameters["sslmode"].startswith("verify-") and "sslrootcert" not in parameters:
        authorities = _public_authorities()
        if authorities is not None:
            parameters["sslrootcert"] = str(authorities)
    parameters.setdefault("connect_timeout", _CONNECT_TIMEOUT_SECONDS)
    parameters.setdefault("application_name", "jangar-quant")
    return parameters


def _parse(dsn: str) -> dict[str, str]:
    scheme, separator, rest = dsn.strip().partition("://")
    if separator and scheme.startswith(("postgresql+", "postgres+")):
        scheme = "postgresql"
    try:
        parsed = conninfo_to_dict(f"{scheme}{separator}{rest}")
    except psycopg.ProgrammingError:
        # libpq's own message quotes parts of the string, which may be the password.
        raise UserError("TORGHUT_DB_DSN is not a connection string that Postgres understands.", _DSN_REMEDY) from None
    parameters = {name: str(value) for name, value in parsed.items() if value is not None}
    ports = parameters.get("port", "5432").split(",")
    if "@" in parameters.get("host", "") or "@" in parameters.get("dbname", "") or not all(map(_is_port, ports)):
        # An unescaped @ or / in the password moves the rest of it into the host, the port or the database.
        raise UserError("TORGHUT_DB_DSN has no usable host and port; is its password percent-encoded?", _DSN_REMEDY)
    return parameters


def _is_port(text: str) -> bool:
    return text == "" or (text.isdecimal() and 0 < int(text) < 65536)


def _default_sslmode(parameters: dict[str, str]) -> str:
    hosts = parameters.get("hostaddr") or parameters.get("host") or os.environ.get("PGHOST", "")
    return "prefer" if all(_is_local(host) for host in hosts.split(",")) else "verify-full"


def _is_local(host: str) -> bool:
    """Whether traffic to `host` stays on this machine: a Unix socket or a loopback address."""
    if host in ("", "localhost") or host.startswith(("/", "@")):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _certificate_file(certificate: str, tls_dir: Path) -> Path:
    if "-----BEGIN" not in certificate:
        path = Path(certificate).expanduser()
        if not path.is_file():
            raise UserError(
                f"TORGHUT_DB_CA_CERT names {path}, which is not a file.",
                "Set it to the path of the certificate authority's PEM file, or to the PEM text itself.",
            )
        return path.absolute()
    # Environment files often carry line ends as the two characters \n.
    text = certificate.replace("\\n", "\n").strip() + "\n"
    try:
        ssl.create_default_context(cadata=text)
    except ssl.SSLError:
        raise UserError(
            "TORGHUT_DB_CA_CERT is not a complete PEM certificate.",
            "Set it to the whole text, from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----, or to a path.",
        ) from None
    path = tls_dir / f"source-ca-{hashlib.sha256(text.encode()).hexdigest()[:16]}.pem"
    try:
        if not path.exists():
            tls_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft = path.with_suffix(f".{os.getpid()}")
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
                file.write(text)
            draft.replace(path)
    except OSError as error:
        raise UserError(
            f"The certificate authority of the source cannot be kept in {tls_dir}: {error.strerror}.",
            "Make JANGAR_QUANT_STATE_DIR writable, or give TORGHUT_DB_CA_CERT as a path.",
        ) from None
    return path


def _public_authorities() -> Path | None:
    """Return the system's bundle of public authorities, unless libpq has a file of its own to use."""
    if Path("~/.postgresql/root.crt").expanduser().exists():
        return None
    return next((Path(path) for path in _PUBLIC_AUTHORITIES if Path(path).exists()), None)
