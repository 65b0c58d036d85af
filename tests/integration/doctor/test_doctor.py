"""The doctor against real servers: what is fine, what is not, and what to do about it."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from orchestration.cli import app
from orchestration.doctor.finding import Finding
from orchestration.doctor.machine import check_machine
from orchestration.doctor.source import check_source
from orchestration.settings import Settings, get_settings
from orchestration.source.embedded import EmbeddedPostgres
from orchestration.source.migrate import migrate
from tests.ports import free_port


def _by_check(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.check: finding for finding in findings}


def _settings(dsn: str, **more: object) -> Settings:
    return Settings(torghut_db_dsn=SecretStr(dsn), **more)  # type: ignore[arg-type]


@pytest.fixture
def outsider(source_dsn: str, postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """Connection string of a user who may log in and nothing else."""
    migrate(source_dsn)
    with psycopg.connect(source_dsn, autocommit=True) as connection:
        connection.execute("create role outsider login password 'hunter2'")
    database = source_dsn.partition("?")[0].rpartition("/")[2]
    yield f"postgresql://outsider:hunter2@127.0.0.1:{postgres_server.port}/{database}"
    with psycopg.connect(source_dsn, autocommit=True) as connection:
        connection.execute("drop owned by outsider cascade")
        connection.execute("drop role outsider")


def test_a_source_of_our_own_is_fine(source_dsn: str) -> None:
    migrate(source_dsn)
    findings = check_source(_settings(source_dsn))
    assert [finding for finding in findings if finding.state != "ok"] == []
    assert {"wal_level", "clock", "publication", "replica identity", "slot"} <= _by_check(findings).keys()


def test_an_empty_database_is_told_how_to_get_its_tables(source_dsn: str) -> None:
    finding = _by_check(check_source(_settings(source_dsn)))["tables"]
    assert finding.state == "fail"
    assert "jangar-quant source migrate" in finding.remedy


def test_missing_privileges_come_with_their_statement(outsider: str) -> None:
    found = _by_check(check_source(_settings(outsider)))
    assert found["replication privilege"].state == "fail"
    assert 'ALTER ROLE "outsider" REPLICATION' in found["replication privilege"].remedy
    assert found["read privilege"].state == "fail"
    assert "GRANT SELECT ON" in found["read privilege"].remedy
    assert found["publication"].state == "fail"
    assert 'CREATE PUBLICATION "jangar_quant"' in found["publication"].remedy


def test_a_refused_password_is_one_finding_without_the_password(outsider: str) -> None:
    (finding,) = check_source(_settings(outsider.replace("hunter2", "hunter3")))
    assert finding.state == "fail"
    assert "refuses the password of user outsider" in finding.detail
    assert "hunter3" not in finding.detail + finding.remedy


def test_unusable_identities_are_named(source_dsn: str) -> None:
    migrate(source_dsn)
    with psycopg.connect(source_dsn) as connection:
        connection.execute(
            """
            alter table llm_decision_reviews replica identity nothing;
            alter table lean_canary_incidents drop constraint lean_canary_incidents_pkey;
            alter table position_snapshots drop constraint position_snapshots_pkey;
            alter table position_snapshots add primary key (id) deferrable;
            alter table strategies replica identity full;
            """
        )
    finding = _by_check(check_source(_settings(source_dsn)))["replica identity"]
    assert finding.state == "fail"
    assert "llm_decision_reviews: replica identity NOTHING" in finding.detail
    assert "lean_canary_incidents: no primary key" in finding.detail
    assert "position_snapshots: its key is deferrable" in finding.detail
    assert "strategies" not in finding.detail


def test_a_publication_that_lacks_something_is_named(source_dsn: str) -> None:
    migrate(source_dsn)
    with psycopg.connect(source_dsn, autocommit=True) as connection:
        connection.execute("create publication jangar_quant for table strategies")
        found = _by_check(check_source(_settings(source_dsn)))["publication"]
        assert (found.state, "executions" in found.detail) == ("warn", True)
        connection.execute("alter publication jangar_quant set (publish = 'insert')")
        assert _by_check(check_source(_settings(source_dsn)))["publication"].state == "fail"


def test_a_slot_of_another_plugin_is_refused(source_dsn: str) -> None:
    migrate(source_dsn)
    with psycopg.connect(source_dsn, autocommit=True) as connection:
        connection.execute("select pg_create_physical_replication_slot('doctor_test')")
        try:
            finding = _by_check(check_source(_settings(source_dsn, mirror_slot="doctor_test")))["slot"]
        finally:
            connection.execute("select pg_drop_replication_slot('doctor_test')")
    assert finding.state == "fail"
    assert "JANGAR_QUANT_MIRROR_SLOT" in finding.remedy


def test_a_server_without_logical_wal_or_room_says_which_setting(tmp_path: Path) -> None:
    options = {"wal_level": "replica", "max_replication_slots": "0", "max_wal_senders": "0"}
    server = EmbeddedPostgres(tmp_path / "data", free_port(), options=options)
    server.start()
    try:
        found = _by_check(check_source(_settings(server.dsn())))
    finally:
        server.stop()
    for check in ("wal_level", "max_replication_slots", "max_wal_senders"):
        assert found[check].state == "fail"
        assert f"ALTER SYSTEM SET {check}" in found[check].remedy


def test_an_occupied_port_names_its_setting_and_ours_is_fine(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        found = _by_check(check_machine(Settings(state_dir=tmp_path, api_port=port)))
        assert found[f"port {port}"].state == "fail"
        assert "JANGAR_QUANT_API_PORT" in found[f"port {port}"].remedy
    settings = Settings(state_dir=tmp_path, source_port=free_port())
    server = EmbeddedPostgres(settings.source_data_dir, settings.source_port)
    server.start()
    try:
        assert _by_check(check_machine(settings))[f"port {settings.source_port}"].state == "ok"
    finally:
        server.stop()


def test_a_state_directory_that_cannot_be_written_fails_and_a_missing_one_is_not_made(tmp_path: Path) -> None:
    assert _by_check(check_machine(Settings(state_dir=tmp_path / "new")))["state directory"].state == "ok"
    assert not (tmp_path / "new").exists()
    finding = _by_check(check_machine(Settings(state_dir=Path("/proc/nowhere"))))["state directory"]
    assert finding.state == "fail"
    assert "JANGAR_QUANT_STATE_DIR" in finding.remedy


def test_the_command_prints_json_and_fails_when_something_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORGHUT_DB_DSN", f"postgresql://u:hunter2@127.0.0.1:{free_port()}/d")
    monkeypatch.setenv("CLICKHOUSE_URL", f"http://u:hunter2@127.0.0.1:{free_port()}")
    get_settings.cache_clear()
    result = CliRunner().invoke(app, ["doctor", "--json"])
    get_settings.cache_clear()
    assert result.exit_code == 1
    failed = [row["area"] for row in json.loads(result.stdout) if row["state"] == "fail" and row["area"] != "machine"]
    assert failed == ["source", "warehouse"]
    assert "hunter2" not in result.output


def test_a_bad_setting_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JANGAR_QUANT_API_PORT", "99999")
    get_settings.cache_clear()
    result = CliRunner().invoke(app, ["doctor"])
    get_settings.cache_clear()
    assert result.exit_code == 1
    assert "JANGAR_QUANT_API_PORT" in result.output
