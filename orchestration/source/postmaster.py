"""Source room: the processes of one Postgres data directory - finding them, stopping them, clearing what they left."""

import contextlib
import logging
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from orchestration.errors import UserError

logger = logging.getLogger(__name__)

# A walsender whose client does not read holds a fast shutdown up for wal_sender_timeout (60 s); this bounds it.
FAST_SHUTDOWN_SECONDS = 10.0
IMMEDIATE_SHUTDOWN_SECONDS = 10.0


def processes_of(data_dir: Path) -> list[psutil.Process]:
    """Return every Postgres process that serves `data_dir`: the postmaster and its children all work inside it."""
    found = []
    directory = str(data_dir.resolve())
    for process in psutil.process_iter(["name"]):
        try:
            if (process.info["name"] or "").startswith("postgres") and process.cwd() == directory:
                found.append(process)
        except psutil.Error:
            continue
    return found


def shut_down(data_dir: Path) -> None:
    """End every process of `data_dir`: fast shutdown, then immediate, then kill, each bounded in time.

    Orphans of a killed postmaster are ended too; they hold the port and the shared memory.

    Raises:
        UserError: a process survives all of it.
    """
    postmaster = _postmaster(data_dir)
    if postmaster is not None:
        _signal(postmaster, signal.SIGINT)
        if not _wait(lambda: not _alive(postmaster), FAST_SHUTDOWN_SECONDS):
            logger.warning("fast shutdown of postgres took over %g s; shutting down immediately", FAST_SHUTDOWN_SECONDS)
            _signal(postmaster, signal.SIGQUIT)
            _wait(lambda: not _alive(postmaster), IMMEDIATE_SHUTDOWN_SECONDS)
    for number in (None, signal.SIGQUIT, signal.SIGKILL):
        orphans = processes_of(data_dir)
        if not orphans:
            return
        if number is not None:
            for process in orphans:
                _signal(process, number)
        if _wait(lambda: not processes_of(data_dir), 2.0):
            return
    raise UserError(
        f"Processes of the embedded Postgres do not end: {', '.join(str(p.pid) for p in processes_of(data_dir))}.",
        "End them, then start again.",
    )


def clear_stale_lock(data_dir: Path) -> None:
    """Remove `postmaster.pid` of a postmaster that is gone.

    Postgres itself takes the file seriously as long as any process has that pid, and in a restarted container an
    unrelated process often has. The caller holds the directory's lock and has ended the directory's processes.
    """
    (data_dir / "postmaster.pid").unlink(missing_ok=True)


def _postmaster(data_dir: Path) -> psutil.Process | None:
    try:
        pid = int((data_dir / "postmaster.pid").read_text(encoding="ascii").split("\n", 1)[0])
    except (OSError, ValueError):
        return None
    return next((process for process in processes_of(data_dir) if process.pid == pid), None)


def _alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def _wait(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.05)
    return True
