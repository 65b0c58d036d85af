"""The TLS contract against a server that speaks TLS; the embedded one does not, so the system's is used if it is there.

The certificate chain is root -> intermediate -> server, as managed databases have it.
"""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from orchestration.doctor.source import check_source
from orchestration.errors import UserError
from orchestration.mirror.replication import ReplicationSession
from orchestration.mirror.session import open_session, replication_conninfo
from orchestration.mirror.trouble import source_trouble
from orchestration.settings import Settings
from orchestration.source.connection import connect, parameters
from orchestration.source.embedded import EmbeddedPostgres
from tests.ports import free_port

_MAJORS = [major for major in (17, 16, 15, 14) if Path(f"/usr/lib/postgresql/{major}/bin/postgres").exists()]

pytestmark = pytest.mark.skipif(
    not _MAJORS or shutil.which("openssl") is None, reason="needs a system Postgres with TLS, and openssl"
)


@dataclass(frozen=True)
class TlsServer:
    """A server whose certificate is for the name `localhost` only."""

    port: int
    directory: Path

    @property
    def root(self) -> Path:
        return self.directory / "root.pem"

    def dsn(self, host: str = "localhost", password: str = "secret-of-app") -> SecretStr:
        return SecretStr(f"postgresql://app:{password}@{host}:{self.port}/torghut")

    def certified_dsn(self, certificate: str = "", user: str = "certified") -> SecretStr:
        """Return the connection string of a user who logs in with a certificate, or without one."""
        pair = f"sslcert={self.directory}/{certificate}.pem&sslkey={self.directory}/{certificate}.key"
        return SecretStr(f"postgresql://{user}@localhost:{self.port}/torghut?{pair if certificate else ''}")

    def settings(self, dsn: SecretStr, state_dir: Path, **more: object) -> Settings:
        """Return settings that verify everything."""
        return Settings(
            state_dir=state_dir,
            torghut_db_dsn=dsn,
            torghut_db_sslmode="verify-full",
            torghut_db_ca_cert=str(self.root),
            **more,  # type: ignore[arg-type]
        )


def _openssl(directory: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)


def _make_chain(directory: Path) -> None:
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    authority = "basicConstraints=critical,CA:TRUE"
    _openssl(
        directory, "req", "-x509", *key, "-keyout", "root.key", "-out", "root.pem", "-subj", "/CN=root", "-days", "2",
        "-addext", authority,
    )  # fmt: skip
    for name, issuer, extension in (
        ("middle", "root", authority),
        ("server", "middle", "subjectAltName=DNS:localhost"),
        ("certified", "root", "extendedKeyUsage=clientAuth"),
    ):
        (directory / f"{name}.ext").write_text(extension, encoding="ascii")
        _openssl(directory, "req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        _openssl(
            directory, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{issuer}.pem", "-CAkey", f"{issuer}.key",
            "-CAcreateserial", "-out", f"{name}.pem", "-days", "2", "-extfile", f"{name}.ext",
        )  # fmt: skip
    _openssl(
        directory, "req", "-x509", *key, "-keyout", "stranger.key", "-out", "stranger.pem", "-subj", "/CN=certified",
        "-days", "2",
    )  # fmt: skip
    # A key that others may read, which libpq refuses.
    for suffix in ("pem", "key"):
        shutil.copy(directory / f"certified.{suffix}", directory / f"loose.{suffix}")
    (directory / "loose.key").chmod(0o644)
    chain = "".join((directory / f"{name}.pem").read_text(encoding="ascii") for name in ("server", "middle", "root"))
    (directory / "chain.pem").write_text(chain, encoding="ascii")


@pytest.fixture(scope="module")
def tls_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsServer]:
    directory = tmp_path_factory.mktemp("tls")
    _make_chain(directory)
    server = EmbeddedPostgres(directory / "data", free_port(), major=_MAJORS[0])
    server.start()
    for source, target in (("chain.pem", "server.crt"), ("server.key", "server.key"), ("root.pem", "root.crt")):
        shutil.copy(directory / source, server.data_dir / target)
        (server.data_dir / target).chmod(0o600)
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute("create role app login replication password 'secret-of-app'")
        connection.execute("create role certified login replication")
        connection.execute("grant create on database torghut to certified")
        connection.execute("create role other login")
    server.stop()
    (server.data_dir / "pg_hba.conf").write_text(
        "host all torghut_app 127.0.0.1/32 scram-sha-256\nhostssl all app 127.0.0.1/32 scram-sha-256\n"
        "hostssl all certified,other 127.0.0.1/32 cert\n"
    )
    server.options.update({"ssl": "on", "ssl_ca_file": "root.crt"})
    server.start()
    yield TlsServer(server.port, directory)
    server.stop()


def _connected(settings: Settings) -> bool:
    with connect(settings) as connection:
        row = connection.execute("select ssl from pg_stat_ssl where pid = pg_backend_pid()").fetchone()
        return bool(row and row[0])


def test_a_known_authority_and_the_right_name_connect_as_path_and_as_text(
    tls_server: TlsServer, tmp_path: Path
) -> None:
    for certificate in (str(tls_server.root), tls_server.root.read_text(encoding="ascii")):
        settings = Settings(
            state_dir=tmp_path,
            torghut_db_dsn=tls_server.dsn(),
            torghut_db_sslmode="verify-full",
            torghut_db_ca_cert=certificate,
        )
        assert _connected(settings)
        connection = next(finding for finding in check_source(settings) if finding.check == "connection")
        assert (connection.state, "verify-full" in connection.detail) == ("ok", True)


def test_an_unknown_authority_says_to_set_the_certificate(tls_server: TlsServer, tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path, torghut_db_dsn=tls_server.dsn(), torghut_db_sslmode="verify-full")
    with pytest.raises(UserError) as caught:
        connect(settings)
    assert "self-signed certificate in certificate chain" in caught.value.message
    assert "Set TORGHUT_DB_CA_CERT" in caught.value.remedy
    assert "secret-of-app" not in str(caught.value)


def test_another_host_name_is_told_and_verify_ca_accepts_it(tls_server: TlsServer, tmp_path: Path) -> None:
    dsn = tls_server.dsn(host="127.0.0.1")
    strict = Settings(
        state_dir=tmp_path,
        torghut_db_dsn=dsn,
        torghut_db_sslmode="verify-full",
        torghut_db_ca_cert=str(tls_server.root),
    )
    with pytest.raises(UserError, match=r"another host name than 127\.0\.0\.1"):
        connect(strict)
    assert _connected(strict.model_copy(update={"torghut_db_sslmode": "verify-ca"}))


def test_on_loopback_tls_is_used_when_offered(tls_server: TlsServer, tmp_path: Path) -> None:
    assert _connected(Settings(state_dir=tmp_path, torghut_db_dsn=tls_server.dsn()))


def test_a_server_that_demands_tls_is_understood(tls_server: TlsServer, tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path, torghut_db_dsn=tls_server.dsn(), torghut_db_sslmode="disable")
    with pytest.raises(UserError, match="refuses user app without TLS"):
        connect(settings)


def test_a_wrong_password_is_told_without_it(tls_server: TlsServer, tmp_path: Path) -> None:
    settings = Settings(
        state_dir=tmp_path, torghut_db_dsn=tls_server.dsn(password="hunter2"), torghut_db_sslmode="require"
    )
    with pytest.raises(UserError, match="refuses the password of user app") as caught:
        connect(settings)
    assert "hunter2" not in str(caught.value)


def test_a_server_without_tls_is_told(postgres_server: EmbeddedPostgres, tmp_path: Path) -> None:
    settings = Settings(
        state_dir=tmp_path, torghut_db_dsn=SecretStr(postgres_server.dsn()), torghut_db_sslmode="require"
    )
    with pytest.raises(UserError, match="does not offer TLS"):
        connect(settings)


def test_a_client_certificate_logs_in_and_replicates(tls_server: TlsServer, tmp_path: Path) -> None:
    settings = tls_server.settings(tls_server.certified_dsn("certified"), tmp_path)
    assert _connected(settings)
    session = ReplicationSession(replication_conninfo(settings))
    try:
        assert session.identify().timeline == 1
    finally:
        session.close()


@pytest.mark.parametrize(
    ("certificate", "user", "message", "remedy"),
    [
        ("", "certified", "wants a client certificate for user certified", "sslcert="),
        ("stranger", "certified", "does not trust the client certificate", "ssl_ca_file"),
        ("certified", "other", "for another user than other", "common name is the user's"),
        ("missing", "certified", "wants a client certificate", "both files must exist"),
        ("loose", "certified", "certificate or its key cannot be used", "0600"),
    ],
)
def test_a_client_certificate_that_does_not_do_is_told(
    tls_server: TlsServer, tmp_path: Path, certificate: str, user: str, message: str, remedy: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        connect(tls_server.settings(tls_server.certified_dsn(certificate, user), tmp_path))
    assert remedy in caught.value.remedy


def test_off_loopback_the_certificate_is_verified_unless_told_otherwise(tmp_path: Path) -> None:
    remote = Settings(state_dir=tmp_path, torghut_db_dsn=SecretStr("postgresql://u:p@db.example/torghut"))
    assert parameters(remote)["sslmode"] == "verify-full"


def test_the_mirror_stops_with_what_to_set_when_the_authority_is_unknown(tls_server: TlsServer, tmp_path: Path) -> None:
    """A private authority is the usual first obstacle; retrying would not help."""
    settings = Settings(state_dir=tmp_path, torghut_db_dsn=tls_server.dsn(), torghut_db_sslmode="verify-full")
    with pytest.raises(UserError) as caught:
        open_session(settings, "catalog")
    assert source_trouble(caught.value, final=True) is caught.value
    assert "Set TORGHUT_DB_CA_CERT" in caught.value.remedy
