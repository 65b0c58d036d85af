"""Settings: where values come from, bounds, and secrets that do not show."""

from pathlib import Path

import pytest

from orchestration.errors import UserError
from orchestration.logs import redact
from orchestration.settings import Settings, get_settings


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    get_settings.cache_clear()


def test_environment_wins_over_env_file_wins_over_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("JANGAR_QUANT_API_PORT=9001\nJANGAR_QUANT_DAGSTER_PORT=9002\n")
    monkeypatch.setenv("JANGAR_QUANT_API_PORT", "9003")
    settings = get_settings()
    assert (settings.api_port, settings.dagster_port, settings.source_port) == (9003, 9002, 54329)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("JANGAR_QUANT_API_PORT", "70000"),
        ("JANGAR_QUANT_API_PORT", "http"),
        ("JANGAR_TORGHUT_QUANT_COMPUTE_INTERVAL_MS", "250"),
        ("TORGHUT_DB_SSLMODE", "yes"),
        ("JANGAR_QUANT_MIRROR_SLOT", "drop table"),
    ],
)
def test_a_value_out_of_bounds_names_the_variable(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UserError) as caught:
        get_settings()
    assert caught.value.message.startswith(name)


def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORGHUT_DB_DSN", "postgresql://torghut:hunter2@db.internal/torghut")
    monkeypatch.setenv("CLICKHOUSE_PASSWORD", "hunter2")
    settings = Settings()
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings.model_dump())


@pytest.mark.parametrize(
    "text",
    [
        "cannot reach postgresql://torghut:hunter2@db/torghut now",
        "http://reader:hunter2@10.0.0.1:8123/?query=1",
        "host=db password=hunter2 user=x",
        "host=db password='hunter2 with space' user=x",
    ],
)
def test_log_lines_lose_passwords(text: str) -> None:
    assert "hunter2" not in redact(text)
    assert "***" in redact(text)


def test_log_lines_keep_everything_else() -> None:
    assert (
        redact("batch 7: 12:30:01 applied, lag 0:00:02 user@host") == "batch 7: 12:30:01 applied, lag 0:00:02 user@host"
    )
