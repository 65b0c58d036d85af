"""The command `jangar-quant dagster`."""

import contextlib
import fcntl
import os
import socket
import sys
import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from orchestration.errors import UserError
from orchestration.settings import PROJECT_DIR, Settings, get_settings

_NICENESS = 3
# Behind everything else, a run took longer than a minute to begin on a machine that was busy otherwise. That is when
# Dagster gives it up by default, and sensors as well.
_PATIENCE_SECONDS = "300"
_DEFINITIONS_SECONDS = 90.0
_INSTANCE = PROJECT_DIR / "deploy" / "dagster" / "embedded.yaml"
_WORKSPACE = """\
load_from:
  - grpc_server: {{host: 127.0.0.1, port: {port}, location_name: jangar-quant}}
"""


def dagster_home(settings: Settings) -> Path:
    """Directory of Dagster's storage; made, with its instance and workspace files, when missing."""
    home = settings.state_dir / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    (home / "dagster.yaml").write_text(_INSTANCE.read_text())
    (home / "workspace.yaml").write_text(_WORKSPACE.format(port=settings.dagster_code_port))
    return home


def _stand_behind() -> None:
    """Let everything else have the processor first: no number waits for Dagster.

    Its three processes load for half a minute, with more than a core, and took it from the tick of every second.
    """
    os.nice(_NICENESS)
    # Where each session is a scheduling group of its own, which a child of `up` is, only the group's niceness counts.
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(_NICENESS))


def _make_storage(home: Path) -> None:
    """Make Dagster's SQLite storage before its processes run.

    Two of them that make it at the same time leave a version table with two heads, and neither starts again.
    """
    with (home / "storage.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "storage.ready").exists():
            from dagster import DagsterInstance

            DagsterInstance.from_config(str(home)).dispose()
            (home / "storage.ready").touch()


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
    _make_storage(home)
    _stand_behind()
    if part != "code":
        _await_definitions(settings.dagster_code_port)
    os.chdir(PROJECT_DIR)
    # Replaces this process, so that the supervisor's signals reach Dagster itself.
    os.execv(path, [str(path), *arguments])
