"""The instance files of deploy/dagster: Dagster takes them as they are."""

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from orchestration.defs.command import dagster_home
from orchestration.errors import UserError
from orchestration.settings import PROJECT_DIR, Settings
from orchestration.source.embedded import EmbeddedPostgres
from tests.databases import fresh_database

TEMPLATES = PROJECT_DIR / "deploy" / "dagster"


def instance(template: str, home: Path) -> dg.DagsterInstance:
    """An instance made from a template."""
    (home / "dagster.yaml").write_text((TEMPLATES / template).read_text())
    return dg.DagsterInstance.from_config(str(home))


def test_the_embedded_instance_keeps_to_itself(tmp_path: Path) -> None:
    with instance("embedded.yaml", tmp_path) as found:
        assert found.telemetry_enabled is False
        assert found.run_monitoring_enabled
        assert found.get_concurrency_config().pool_config.default_pool_limit == 1
        assert found.run_storage.get_runs_count() == 0


def test_the_production_instance_stores_in_postgres(
    tmp_path: Path, postgres_server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fresh_database(postgres_server) as dsn:
        monkeypatch.setenv("DAGSTER_POSTGRES_URL", dsn)
        with instance("production.yaml", tmp_path) as found:
            assert type(found.run_storage).__name__ == "PostgresRunStorage"
            assert found.telemetry_enabled is False
            assert found.run_retries_enabled
            assert found.get_concurrency_config().run_queue_config is not None
            assert found.run_storage.get_runs_count() == 0


def test_production_keeps_its_runs_in_postgres(tmp_path: Path) -> None:
    given = {"state_dir": tmp_path, "dagster_environment": "production"}
    with pytest.raises(UserError, match="DAGSTER_POSTGRES_URL"):
        dagster_home(Settings(**given))
    home = dagster_home(Settings(**given, dagster_postgres_url="postgresql://dagster:secret@127.0.0.1:1/dagster"))
    assert "env: DAGSTER_POSTGRES_URL" in (home / "dagster.yaml").read_text()
    assert "secret" not in "".join(path.read_text() for path in home.iterdir())


def test_an_environment_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nightly"):
        dagster_home(Settings(state_dir=tmp_path, dagster_environment="nightly"))


# Dagster tries for a quarter of a minute.
@pytest.mark.slow
def test_a_storage_that_does_not_answer_is_told_without_its_password(tmp_path: Path) -> None:
    url = "postgresql://dagster:secret@127.0.0.1:1/dagster"
    run = subprocess.run(
        [sys.executable, "-m", "orchestration", "dagster", "daemon"],
        env={
            **os.environ,
            "JANGAR_QUANT_STATE_DIR": str(tmp_path),
            "JANGAR_QUANT_DAGSTER_ENVIRONMENT": "production",
            "DAGSTER_POSTGRES_URL": url,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    told = run.stdout + run.stderr
    assert run.returncode == 1, told
    assert "DAGSTER_POSTGRES_URL" in told
    assert "Traceback" not in told
    assert "secret" not in told
