"""Connection parameters of the source: TLS mode, certificate authority, unusable strings."""

import stat
from pathlib import Path

import psycopg
import pytest

from orchestration.errors import UserError
from orchestration.settings import Settings
from orchestration.source.connection import explain, parameters
from orchestration.source.conninfo import source_parameters


@pytest.fixture(scope="module")
def authority() -> str:
    """PEM text of a real certificate: the first public authority of the system."""
    bundle = Path("/etc/ssl/certs/ca-certificates.crt")
    if not bundle.exists():
        pytest.skip("the system has no bundle of public authorities")
    end = "-----END CERTIFICATE-----"
    return bundle.read_text(encoding="ascii").split(end, 1)[0] + end + "\n"


@pytest.mark.parametrize(
    ("dsn", "explicit", "expected"),
    [
        ("postgresql://u@db.example.com/d", None, "verify-full"),
        ("postgresql://u@db.example.com/d?sslmode=require", None, "require"),
        ("postgresql://u@db.example.com/d?sslmode=require", "verify-ca", "verify-ca"),
        ("host=10.0.0.5 dbname=d", None, "verify-full"),
        ("host=localhost,db.example.com dbname=d", None, "verify-full"),
        ("postgresql://u@127.0.0.1/d", None, "prefer"),
        ("postgresql://u@[::1]/d", None, "prefer"),
        ("host=localhost dbname=d", None, "prefer"),
        ("host=/var/run/postgresql dbname=d", None, "prefer"),
        ("dbname=d", None, "prefer"),
    ],
)
def test_tls_mode_is_explicit_or_the_dsns_or_strict_off_this_machine(
    dsn: str, explicit: str | None, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PGHOST", raising=False)
    assert source_parameters(dsn, explicit, None, tmp_path)["sslmode"] == expected


def test_a_host_from_the_environment_is_not_taken_for_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "db.example.com")
    assert source_parameters("dbname=d", None, None, tmp_path)["sslmode"] == "verify-full"


def test_sqlalchemy_urls_are_understood(tmp_path: Path) -> None:
    found = source_parameters("postgresql+psycopg://u:p%40ss@127.0.0.1:6543/d", None, None, tmp_path)
    assert (found["user"], found["password"], found["port"], found["dbname"]) == ("u", "p@ss", "6543", "d")


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://u:hunter2@extra@h/d",
        "postgresql://u:hunter2/extra@h/d",
        "host=h hunter2",
        "postgresql://u:hunter2%zz@h/d",
        "postgresql://u:hunter2@h:port/d",
    ],
)
def test_an_unusable_string_is_refused_without_repeating_it(dsn: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        source_parameters(dsn, None, None, tmp_path)
    assert "TORGHUT_DB_DSN" in caught.value.message
    assert "hunter2" not in str(caught.value)
    assert "extra" not in str(caught.value)


def test_certificate_text_is_kept_in_a_private_file(authority: str, tmp_path: Path) -> None:
    for text in (authority, authority.replace("\n", "\\n")):
        found = source_parameters("postgresql://u@db.example.com/d", None, text, tmp_path / "tls")
        path = Path(found["sslrootcert"])
        assert path.parent == tmp_path / "tls"
        assert path.read_text(encoding="ascii").strip() == authority.strip()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(list((tmp_path / "tls").iterdir())) == 1


def test_certificate_path_is_used_as_it_is(authority: str, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_text(authority, encoding="ascii")
    assert source_parameters("host=db.example.com", None, str(path), tmp_path)["sslrootcert"] == str(path)


@pytest.mark.parametrize("certificate", ["/no/such/ca.pem", "-----BEGIN CERTIFICATE-----\nabc\n"])
def test_an_unusable_certificate_is_refused(certificate: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="TORGHUT_DB_CA_CERT"):
        source_parameters("host=db.example.com", None, certificate, tmp_path)


def test_without_a_certificate_public_authorities_are_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = tmp_path / "public.pem"
    bundle.touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("orchestration.source.conninfo._PUBLIC_AUTHORITIES", ("/no/such/file", str(bundle)))
    assert source_parameters("host=db.example.com", None, None, tmp_path)["sslrootcert"] == str(bundle)
    assert "sslrootcert" not in source_parameters("host=127.0.0.1", None, None, tmp_path)


def test_the_embedded_server_is_asked_without_tls_and_with_its_own_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "of another server")
    settings = Settings(state_dir=tmp_path, torghut_db_sslmode="verify-full", torghut_db_ca_cert="/no/such/file")
    settings.source_data_dir.mkdir()
    (settings.source_data_dir / "client.pgpass").write_text("127.0.0.1:*:*:torghut_app:right\n", encoding="utf-8")
    found = parameters(settings)
    assert (found["sslmode"], found["password"]) == ("disable", "right")
    assert "right" not in settings.source_dsn()


@pytest.mark.parametrize(
    ("text", "message", "remedy"),
    [
        (
            "SSL error: certificate verify failed (self-signed certificate in certificate chain)",
            "self-signed certificate in certificate chain",
            "TORGHUT_DB_CA_CERT",
        ),
        ("SSL error: certificate verify failed", "not trusted here", "TORGHUT_DB_CA_CERT"),
        ('root certificate file "/root/.postgresql/root.crt" does not exist', "no certificate authority", "CA_CERT"),
        ('server certificate for "a" does not match host name "b"', "another host name than db", "verify-ca"),
        ("server does not support SSL, but SSL was required", "does not offer TLS", "disable"),
        (
            'FATAL:  no pg_hba.conf entry for host "::1", user "u", database "d", no encryption',
            "without TLS",
            "SSLMODE",
        ),
        ('FATAL:  password authentication failed for user "u"', "refuses the password of user u", "TORGHUT_DB_DSN"),
        ("fe_sendauth: no password supplied", "wants a password", "TORGHUT_DB_DSN"),
        ('FATAL:  database "d" does not exist', "no database d", "create it"),
        ('FATAL:  role "u" does not exist', "no user u", "TORGHUT_DB_DSN"),
        (
            'could not translate host name "db" to address: Name or service not known',
            "host name db",
            "Correct the host",
        ),
        ("connection to server failed: Connection refused", "Nothing accepts connections at db port 5432", "Start"),
        ("timeout expired", "does not answer", "firewalls"),
        ("FATAL:  sorry, too many clients already", "no free connection", "max_connections"),
        ("something new about hunter2", "something new about ***", ""),
    ],
)
def test_failures_are_explained_without_secrets(text: str, message: str, remedy: str) -> None:
    used = {"host": "db", "user": "u", "dbname": "d", "sslmode": "verify-full", "password": "hunter2"}
    explained = explain(psycopg.OperationalError(text), used)
    assert message in explained.message
    assert remedy in explained.remedy
    assert "hunter2" not in str(explained)
