"""Doctor room: checks of this machine - state directory, disk, ports, embedded engines."""

import importlib.util
import os
import shutil
import socket
import tempfile
from pathlib import Path

import psutil

from orchestration.doctor.finding import Finding
from orchestration.errors import UserError
from orchestration.settings import Settings
from orchestration.source.binaries import find_binaries
from orchestration.source.embedded import DEFAULT_MAJOR

_AREA = "machine"
# Both embedded databases with a month of history take about 0.5 GB; merges and WAL want room above that.
_LEAST_FREE_BYTES = 1_000_000_000
_FEW_FREE_BYTES = 5_000_000_000


def check_machine(settings: Settings) -> list[Finding]:
    """Check what this machine has to offer for the configured parts."""
    return [_state_directory(settings.state_dir), *_engines(settings), *_ports(settings)]


def _state_directory(path: Path) -> Finding:
    remedy = "Set JANGAR_QUANT_STATE_DIR to a directory that you may write, with some gigabytes free."
    nearest = next(parent for parent in (path, *path.parents) if parent.exists())
    try:
        # The doctor leaves nothing behind: a state directory that does not exist yet is judged by its parent.
        with tempfile.TemporaryFile(dir=nearest) as probe:
            probe.write(b"x" * 65_536)
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        return Finding(_AREA, "state directory", "fail", f"{nearest} cannot be written: {error.strerror}", remedy)
    free = shutil.disk_usage(nearest).free
    detail = f"{path} is writable, {free / 1e9:.1f} GB free"
    if free < _LEAST_FREE_BYTES:
        return Finding(_AREA, "state directory", "fail", detail, "Free at least 1 GB there, or " + remedy)
    if free < _FEW_FREE_BYTES:
        return Finding(_AREA, "state directory", "warn", detail, "Free some space there before it is needed.")
    return Finding(_AREA, "state directory", "ok", detail)


def _engines(settings: Settings) -> list[Finding]:
    findings = []
    if settings.embedded_source:
        try:
            programs = find_binaries(DEFAULT_MAJOR)
            findings.append(Finding(_AREA, "embedded Postgres", "ok", f"version {DEFAULT_MAJOR} in {programs}"))
        except UserError as error:
            findings.append(Finding(_AREA, "embedded Postgres", "fail", error.message, error.remedy))
    if settings.embedded_warehouse:
        if importlib.util.find_spec("chdb") is not None:
            findings.append(Finding(_AREA, "embedded ClickHouse", "ok", "installed"))
        else:
            findings.append(
                Finding(
                    _AREA,
                    "embedded ClickHouse",
                    "fail",
                    "the package chdb is not installed",
                    "Run `pip install 'jangar-quant[embedded]'`, or set CLICKHOUSE_URL.",
                )
            )
    return findings


def _ports(settings: Settings) -> list[Finding]:
    wanted = [
        ("JANGAR_QUANT_API_PORT", settings.api_host, settings.api_port),
        ("JANGAR_QUANT_DAGSTER_PORT", "127.0.0.1", settings.dagster_port),
    ]
    if settings.embedded_source:
        wanted.append(("JANGAR_QUANT_SOURCE_PORT", "127.0.0.1", settings.source_port))
    if settings.embedded_warehouse:
        wanted.append(("JANGAR_QUANT_WAREHOUSE_PORT", settings.warehouse_host, settings.warehouse_port))
    return [_port(settings, name, host, port) for name, host, port in wanted]


def _port(settings: Settings, name: str, host: str, port: int) -> Finding:
    check = f"port {port}"
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            return Finding(_AREA, check, "ok", f"free ({name})")
        except OSError as error:
            reason = error.strerror or str(error)
    holder = _listener(port)
    if holder is not None and _is_ours(holder, settings):
        return Finding(_AREA, check, "ok", f"in use by jangar-quant itself, process {holder.pid} ({name})")
    who = f"in use by {holder.name()}, process {holder.pid}" if holder is not None else reason
    return Finding(_AREA, check, "fail", f"{who} ({name})", f"Stop what uses it, or set {name} to a free port.")


def _listener(port: int) -> psutil.Process | None:
    try:
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
            if listens and connection.pid:
                return psutil.Process(connection.pid)
    except psutil.Error:
        # Other users' sockets are not visible everywhere.
        return None
    return None


def _is_ours(process: psutil.Process, settings: Settings) -> bool:
    """Whether this is a process of this project, as its command line or working directory shows."""
    try:
        words = " ".join(process.cmdline())
        in_state = settings.state_dir in Path(process.cwd()).parents
    except psutil.Error:
        return False
    return in_state or any(sign in words for sign in ("jangar-quant", "-m orchestration", "orchestration/defs"))
