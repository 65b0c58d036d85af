"""Repairs: refreshable views that fail, stand still or were left stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestration.gates.refreshes import Trouble

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client


def revive(client: Client, trouble: Trouble) -> None:
    """Start a stopped view, or have another one run now; neither waits for its end."""
    verb = "start" if trouble.kind == "stopped" else "refresh"
    client.command(f"system {verb} view quant.`{trouble.view}`")
