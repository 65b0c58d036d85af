"""What must hold before anything is started: a usable state directory, one `up` at a time, free ports."""

import errno
import fcntl
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from orchestration.errors import UserError
from orchestration.settings import Settings

# Both embedded databases with a month of desk history take about 0.5 GB; below this `up` would fail half way.
FREE_BYTES = 1_000_000_000


def prepare_state_dir(path: Path) -> None:
    """Create the state directory and prove that it can be written.

    Raises:
        UserError: it cannot be created or written, or its file system is nearly full.
    """
    remedy = "Set JANGAR_QUANT_STATE_DIR to a directory that you may write."
    try:
        (path / "logs").mkdir(parents=True, exist_ok=True)
        probe = path / ".write-probe"
        probe.write_bytes(b"x" * 65_536)
        probe.unlink()
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise UserError(
                f"The file system of {path} is full.",
                "Free some space there, or set another one with JANGAR_QUANT_STATE_DIR.",
            ) from error
        raise UserError(f"The state directory {path} cannot be written: {error.strerror}.", remedy) from error
    free = shutil.disk_usage(path).free
    if free < FREE_BYTES:
        raise UserError(
            f"Only {free / 1e6:.0f} MB are free at {path}; {FREE_BYTES / 1e6:.0f} MB are needed.",
            "Free some space there, or set another directory with JANGAR_QUANT_STATE_DIR.",
        )


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Hold the lock of the state directory; the kernel releases it however this process ends.

    Raises:
        UserError: another `up` runs on the same state directory.
    """
    with (path / "up.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            pid = lock.read().strip() or "unknown"
            raise UserError(
                f"jangar-quant is already up on {path} (process {pid}).",
                "Stop it with Ctrl-C in its terminal, or set another JANGAR_QUANT_STATE_DIR and other ports.",
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def record_children(path: Path, pids: dict[str, int]) -> None:
    """Remember the children with their start times, so that a later start can end those that were left behind."""
    rows = {
        name: {"pid": pid, "created": psutil.Process(pid).create_time()}
        for name, pid in pids.items()
        if psutil.pid_exists(pid)
    }
    temporary = path / "children.json.new"
    temporary.write_text(json.dumps(rows))
    temporary.replace(path / "children.json")


def end_leftovers(path: Path, timeout: float = 15.0) -> list[str]:
    """End children of an earlier `up` that outlived it (they get SIGTERM when it dies, and may still be closing).

    Returns:
        Names of the processes that were still there.
    """
    try:
        rows = json.loads((path / "children.json").read_text())
    except (FileNotFoundError, ValueError):
        return []
    found: dict[str, psutil.Process] = {}
    for name, row in rows.items():
        try:
            process = psutil.Process(row["pid"])
            # A process id is reused; its start time tells whether it is still ours.
            if abs(process.create_time() - row["created"]) < 1.0 and process.status() != psutil.STATUS_ZOMBIE:
                process.terminate()
                found[name] = process
        except psutil.Error:
            continue
    _, alive = psutil.wait_procs(found.values(), timeout=timeout)
    for process in alive:
        process.kill()
    psutil.wait_procs(alive, timeout=5)
    (path / "children.json").unlink(missing_ok=True)
    return list(found)


def wanted_ports(settings: Settings, dagster: bool) -> dict[str, tuple[str, int]]:
    """The addresses that `up` will listen on, by the name of the setting that moves them."""
    ports: dict[str, tuple[str, int]] = {"JANGAR_QUANT_API_PORT": (settings.api_host, settings.api_port)}
    if settings.embedded_source:
        ports["JANGAR_QUANT_SOURCE_PORT"] = ("127.0.0.1", settings.source_port)
    if settings.embedded_warehouse:
        ports["JANGAR_QUANT_WAREHOUSE_PORT"] = (settings.warehouse_host, settings.warehouse_port)
    if dagster:
        ports["JANGAR_QUANT_DAGSTER_PORT"] = ("127.0.0.1", settings.dagster_port)
        ports["JANGAR_QUANT_DAGSTER_CODE_PORT"] = ("127.0.0.1", settings.dagster_code_port)
    return ports


def check_ports(ports: dict[str, tuple[str, int]], timeout: float = 3.0) -> None:
    """Bind each address once; a port that a stopping process still holds gets `timeout` seconds.

    Raises:
        UserError: names every occupied port, its holder when that can be seen, and the setting that moves it.
    """
    deadline = time.monotonic() + timeout
    busy: dict[str, str] = {}
    while True:
        busy = {name: problem for name, (host, port) in ports.items() if (problem := _bind_problem(host, port))}
        if not busy or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    if busy:
        raise UserError(
            "; ".join(busy.values()) + ".", "Stop what uses it, or set " + ", ".join(busy) + " to a free port."
        )


def _bind_problem(host: str, port: int) -> str:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                return f"{host}:{port} cannot be bound ({error.strerror})"
            return f"Port {port} on {host} is in use{_holder(port)}"
    return ""


def _holder(port: int) -> str:
    try:
        for connection in psutil.net_connections("inet"):
            if (
                connection.laddr
                and connection.laddr.port == port
                and connection.status == psutil.CONN_LISTEN
                and connection.pid
            ):
                return f" by {psutil.Process(connection.pid).name()} (process {connection.pid})"
    except psutil.Error:
        pass
    return ""
