"""A warehouse with the dbt project built in it, once per run of the tests: it takes half a minute of a core."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestration.defs.lineage.project import column_lineage
from orchestration.defs.manifest import manifest
from orchestration.settings import Settings, get_settings
from orchestration.transform.build import build
from tests.ports import free_port
from tests.waiting import wait_for


@contextmanager
def running_warehouse(state: Path) -> Iterator[Settings]:
    """Settings of an embedded warehouse on a state directory, which runs meanwhile."""
    port = free_port()
    patch = pytest.MonkeyPatch()
    patch.setenv("JANGAR_QUANT_STATE_DIR", str(state))
    patch.setenv("JANGAR_QUANT_WAREHOUSE_PORT", str(port))
    patch.setenv("JANGAR_TORGHUT_QUANT_CONTROL_PLANE_ENABLED", "true")
    # As `up` does: the API reads as a user of its own.
    patch.setenv("JANGAR_QUANT_WAREHOUSE_READONLY_PASSWORD", "reads-only")
    get_settings.cache_clear()
    with (state / "warehouse.log").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestration", "warehouse"],
            env=dict(os.environ),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(
            lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=1).status == 200,
            60,
            "the warehouse answers",
        )
        yield get_settings()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
        patch.undo()
        get_settings.cache_clear()


def copy_of_built_warehouse(tmp_path_factory: pytest.TempPathFactory, state: Path) -> None:
    """Put a built warehouse into a state directory that is not there yet; whoever asks first builds it."""
    own = tmp_path_factory.getbasetemp()
    # One for all workers.
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    template, half = shared / "built-warehouse", shared / "half-built-warehouse"
    with (shared / "built-warehouse.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not template.exists():
            shutil.rmtree(half, ignore_errors=True)
            half.mkdir()
            with running_warehouse(half) as settings:
                build(settings)
                # It takes as long again, and is kept beside the manifest.
                column_lineage(manifest())
            half.rename(template)
    shutil.copytree(template, state, symlinks=True)
