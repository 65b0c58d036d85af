"""The instance files of deploy/dagster: Dagster takes them as they are."""

from pathlib import Path

import dagster as dg
import pytest

from orchestration.settings import PROJECT_DIR
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
