"""The command `jangar-quant dagster`."""

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import socket
import sys
import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from orchestration.defs.environments import unattended
from orchestration.errors import NotReachable, UserError
from orchestration.settings import PROJECT_DIR, Settings, get_settings
from orchestration.supervise.niceness import DAGSTER, stand_behind

# Behind everything else, a run took longer than a minute to begin on a machine that was busy otherwise. That is when
# Dagster gives it up by default, and sensors as well.
_PATIENCE_SECONDS = "300"
_DEFINITIONS_SECONDS = 90.0
_INSTANCES = PROJECT_DIR / "deploy" / "dagster"
_WORKSPACE = """\
load_from:
  - grpc_server: {{host: 127.0.0.1, port: {port}, location_name: jangar-quant}}
"""


def dagster_home(settings: Settings) -> Path:
    """Directory of Dagster's files, with those of its instance and workspace, which are written anew.

    Raises:
        UserError: the environment is unknown, or lacks what its storage needs.
    """
    unattended(settings.dagster_environment)
    instance = "embedded.yaml"
    if settings.dagster_environment == "production":
        instance = "production.yaml"
        if settings.dagster_postgres_url is None:
            raise UserError(
                "In production Dagster keeps its runs in Postgres, and DAGSTER_POSTGRES_URL is not set.",
                "Set it to the URL of a database of Dagster's own, or JANGAR_QUANT_DAGSTER_ENVIRONMENT to `embedded`.",
            )
        if importlib.util.find_spec("dagster_postgres") is None:
            raise UserError(
                "Dagster's storage in Postgres is not installed here.",
                'Install it: pip install "jangar-quant[dagster,dagster-postgres]".',
            )
    home = settings.state_dir / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    (home / "dagster.yaml").write_text((_INSTANCES / instance).read_text())
    (home / "workspace.yaml").write_text(_WORKSPACE.format(port=settings.dagster_code_port))
    return home


def _make_storage(home: Path, url: str) -> None:
    """Make Dagster's storage, of SQLite or of the Postgres at `url`, before its processes run.

    Two of them that make it at the same time leave a version table with two heads, and neither starts again.

    Raises:
        NotReachable: Postgres does not take a connection.
    """
    with (home / "storage.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Which one was made, without its password.
        ready, name = home / "storage.ready", hashlib.sha256(url.encode()).hexdigest()
        if ready.exists() and ready.read_text() == name:
            return
        from dagster import DagsterInstance

        try:
            DagsterInstance.from_config(str(home)).dispose()
        except Exception as error:
            if not url:
                raise
            raise NotReachable(
                f"Dagster's storage cannot be opened: {str(error).strip().splitlines()[0]}",
                "See that DAGSTER_POSTGRES_URL names a database that takes connections.",
            ) from None
        ready.write_text(name)


def _await_definitions(port: int) -> None:
    """Wait until the definitions' server listens, or for so long that whatever keeps it should be seen in the page.

    A daemon that finds none tries again after half a minute, and three processes that load at once on two cores take 23
    seconds for what one does in nine.
    """
    deadline = time.monotonic() + _DEFINITIONS_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.2)


def dagster(
    part: Annotated[
        Literal["code", "web", "daemon"],
        typer.Argument(help="The server of the project's definitions, the web server, or the daemon that runs jobs."),
    ],
) -> None:
    """Run one of Dagster's processes on this project (they share the state directory).

    `up` starts all three. As services each is started by itself: with JANGAR_QUANT_DAGSTER_ENVIRONMENT=production
    and DAGSTER_POSTGRES_URL their storage is in Postgres.

    The definitions have a server of their own: a daemon without one loads them anew every minute, which took 10 s of
    CPU each time.
    """
    from orchestration.transform.dbt import dbt_environment

    settings = get_settings()
    home = dagster_home(settings)
    workspace = ["--workspace", str(home / "workspace.yaml")]
    code = ["--module-name", "orchestration.definitions", "--location-name", "jangar-quant"]
    program, arguments = {
        "code": (
            "dagster",
            ["api", "grpc", "--host", "127.0.0.1", "--port", str(settings.dagster_code_port), *code],
        ),
        "web": ("dagster-webserver", ["--host", "127.0.0.1", "--port", str(settings.dagster_port), *workspace]),
        "daemon": ("dagster-daemon", ["run", *workspace]),
    }[part]
    path = Path(sys.executable).parent / program
    if not path.exists():
        raise UserError("Dagster is not installed here.", 'Install it: pip install "jangar-quant[dagster]".')
    # Runs inherit this process's environment, and with it the warehouse that their dbt builds.
    os.environ.update(dbt_environment(settings))
    os.environ["DAGSTER_HOME"] = str(home)
    os.environ.setdefault("DAGSTER_GRPC_TIMEOUT_SECONDS", _PATIENCE_SECONDS)
    url = settings.dagster_postgres_url.get_secret_value() if settings.dagster_postgres_url is not None else ""
    if url:
        # The instance's file reads it from the environment; here it may come from a file of settings.
        os.environ["DAGSTER_POSTGRES_URL"] = url
    _make_storage(home, url if settings.dagster_environment == "production" else "")
    # Its three processes load for half a minute, with more than a core, and took it from the tick of every second.
    stand_behind(DAGSTER)
    if part != "code":
        _await_definitions(settings.dagster_code_port)
    os.chdir(PROJECT_DIR)
    # Replaces this process, so that the supervisor's signals reach Dagster itself.
    os.execv(path, [str(path), *arguments])
