"""Transform: dbt in a child process, with its progress as events and its failure as one readable error."""

import hashlib
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestration.errors import UserError
from orchestration.logs import redact
from orchestration.settings import PROJECT_DIR, Settings
from orchestration.warehouse.client import endpoint

logger = logging.getLogger(__name__)

# Variables of the settings that reach the models; a change of any of them changes what is built.
MODEL_VARIABLES = (
    "JANGAR_TORGHUT_QUANT_CONTROL_PLANE_ENABLED",
    "JANGAR_TORGHUT_QUANT_COMPUTE_INTERVAL_MS",
    "JANGAR_TORGHUT_QUANT_MEDIUM_COMPUTE_INTERVAL_MS",
    "JANGAR_TORGHUT_QUANT_HEAVY_COMPUTE_INTERVAL_MS",
    "JANGAR_TORGHUT_QUANT_MAX_STALENESS_SECONDS",
    "JANGAR_DBT_CLUSTER",
)


@dataclass(frozen=True)
class NodeEvent:
    """One node of the project begins or ends: `status` is `started`, `success`, `pass`, `error`, `skipped` ..."""

    name: str
    index: int
    total: int
    status: str


OnEvent = Callable[[NodeEvent], None]


def dbt_environment(settings: Settings) -> dict[str, str]:
    """Environment of a dbt process: the warehouse of `settings` and the settings that the models read."""
    target = endpoint(settings)
    return {
        **os.environ,
        "JANGAR_DBT_HOST": target.host,
        "JANGAR_DBT_PORT": str(target.port),
        "JANGAR_DBT_SECURE": str(target.secure).lower(),
        "JANGAR_DBT_USER": target.user,
        "JANGAR_DBT_PASSWORD": target.password,
        "JANGAR_DBT_CLUSTER": settings.clickhouse_cluster or "",
        "JANGAR_TORGHUT_QUANT_CONTROL_PLANE_ENABLED": str(settings.control_plane_enabled).lower(),
        "JANGAR_TORGHUT_QUANT_COMPUTE_INTERVAL_MS": str(settings.compute_interval_ms),
        "JANGAR_TORGHUT_QUANT_MEDIUM_COMPUTE_INTERVAL_MS": str(settings.medium_compute_interval_ms),
        "JANGAR_TORGHUT_QUANT_HEAVY_COMPUTE_INTERVAL_MS": str(settings.heavy_compute_interval_ms),
        "JANGAR_TORGHUT_QUANT_MAX_STALENESS_SECONDS": str(settings.max_staleness_seconds),
        "DBT_PROJECT_DIR": str(PROJECT_DIR),
        "DBT_PROFILES_DIR": str(PROJECT_DIR),
        "DBT_TARGET_PATH": str(settings.state_dir / "dbt" / "target"),
        "DBT_LOG_PATH": str(settings.state_dir / "dbt" / "logs"),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }


def drop_stale_parse(target: Path, macros: Path) -> None:
    """Let dbt parse the whole project where macros changed since it last did.

    dbt does not see which models call a macro by a name that is put together (`context[...]`), and would keep these as
    they were parsed: they failed for references that it did not know of.
    """
    digest = hashlib.sha256()
    for path in sorted(macros.rglob("*.sql")):
        digest.update(path.relative_to(macros).as_posix().encode() + b"\0" + path.read_bytes())
    stamp = target / "macros.sha256"
    if not stamp.exists() or stamp.read_text() != digest.hexdigest():
        (target / "partial_parse.msgpack").unlink(missing_ok=True)
        target.mkdir(parents=True, exist_ok=True)
        stamp.write_text(digest.hexdigest())


def run_dbt(
    settings: Settings,
    args: list[str],
    on_event: OnEvent | None = None,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run `dbt <args>` on the project and wait for its end; `on_event` is told of every node that begins or ends.

    `environment` wins over that of `settings`.

    Raises:
        UserError: dbt failed; the message names the first failing node and what the database said.
    """
    drop_stale_parse(settings.state_dir / "dbt" / "target", PROJECT_DIR / "macros")
    process = subprocess.Popen(
        [sys.executable, "-c", "from dbt.cli.main import cli; cli()", "--log-format", "json", *args],
        cwd=PROJECT_DIR,
        env={**dbt_environment(settings), **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    failures: list[str] = []
    last_lines: list[str] = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            event = _parse(line)
            if event is None:
                last_lines = [*last_lines[-4:], line.strip()]
                continue
            failures += _failures(event)
            for node in _nodes(event):
                logger.debug("dbt %s %s (%d of %d)", node.name, node.status, node.index, node.total)
                if on_event is not None:
                    on_event(node)
        process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    if process.returncode != 0:
        said = failures[0] if failures else " ".join(last_lines) or f"exit code {process.returncode}"
        raise UserError(
            f"dbt {args[0]} failed: {redact(said)}",
            f"The full log is in {settings.state_dir / 'dbt' / 'logs' / 'dbt.log'}.",
        )


def _parse(line: str) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("info"), dict) else None


def _nodes(event: dict[str, Any]) -> Iterator[NodeEvent]:
    data = event.get("data") or {}
    node = data.get("node_info") or {}
    name = node.get("node_name")
    # Hooks are counted apart from the nodes.
    if not name or node.get("resource_type") == "operation" or "index" not in data or "total" not in data:
        return
    kind = event["info"].get("name", "")
    status = "started" if kind == "LogStartLine" else str(data.get("status", ""))
    if status:
        yield NodeEvent(name, int(data["index"]), int(data["total"]), status)


def _failures(event: dict[str, Any]) -> list[str]:
    """What an event says about a failure, in one line."""
    info, data = event["info"], event.get("data") or {}
    if info.get("name") == "RunResultError":
        name = (data.get("node_info") or {}).get("node_name", "")
        text = " ".join(str(data.get("msg") or info.get("msg", "")).split())
        return [text if name in text else f"{name}: {text}"]
    if info.get("name") == "MainEncounteredError":
        return [" ".join(str(data.get("exc") or info.get("msg", "")).split())]
    return []
