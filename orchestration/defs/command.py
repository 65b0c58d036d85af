"""The command `jangar-quant dagster`."""

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from orchestration.errors import UserError
from orchestration.settings import PROJECT_DIR, Settings, get_settings
from orchestration.transform.dbt import dbt_environment

# SQLite storage in the state directory, no telemetry, one run at a time: two dbt runs may not share a target.
_INSTANCE = """\
telemetry:
  enabled: false
concurrency:
  runs:
    max_concurrent_runs: 1
retention:
  schedule: {purge_after_days: 7}
  sensor: {purge_after_days: {skipped: 1, success: 7, failure: 30}}
"""


def dagster_home(settings: Settings) -> Path:
    """Directory of Dagster's storage; made, with its instance file, when missing."""
    home = settings.state_dir / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    (home / "dagster.yaml").write_text(_INSTANCE)
    return home


def dagster(
    part: Annotated[Literal["web", "daemon"], typer.Argument(help="The web server, or the daemon that runs jobs.")],
) -> None:
    """Run one of Dagster's two processes on this project (they share the state directory)."""
    settings = get_settings()
    program = Path(sys.executable).parent / ("dagster-webserver" if part == "web" else "dagster-daemon")
    if not program.exists():
        raise UserError("Dagster is not installed here.", 'Install it: pip install "jangar-quant[dagster]".')
    address = ["--host", "127.0.0.1", "--port", str(settings.dagster_port)] if part == "web" else ["run"]
    # Runs inherit this process's environment, and with it the warehouse that their dbt builds.
    os.environ.update(dbt_environment(settings))
    os.environ["DAGSTER_HOME"] = str(dagster_home(settings))
    os.chdir(PROJECT_DIR)
    # Replaces this process, so that the supervisor's signals reach Dagster itself.
    os.execv(program, [str(program), *address, "--module-name", "orchestration.definitions"])
