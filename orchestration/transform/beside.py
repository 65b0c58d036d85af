"""Transform: another version of the formulas beside the served one, over the same facts, and what differs.

Formulas are views, so a version of them costs no rows: only the views of models/metrics and the seeds that they read
are built in a database beside; everything that they are computed from is that of the warehouse.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from orchestration.settings import Settings
from orchestration.transform.dbt import OnEvent, run_dbt
from orchestration.transform.on_demand import FRAME_SETTINGS, frames_query, moment_of_frame

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

BESIDE = "quant_next"
_KEY = ("strategy_id", "account", "window", "metric_name")


@dataclass
class Change:
    """A metric in both versions: how many rows, how many differ in value or reason, by how much at most."""

    metric_name: str
    served_version: str = ""
    new_version: str = ""
    rows: int = 0
    different: int = 0
    largest: float = 0.0

    @property
    def is_silent(self) -> bool:
        """Whether its values change and its version does not."""
        return self.different > 0 and self.served_version == self.new_version


def build_beside(settings: Settings, on_event: OnEvent | None = None) -> None:
    """Build the formulas of the checkout beside those that are served.

    Raises:
        UserError: dbt failed.
    """
    directory = settings.state_dir / "dbt"
    run_dbt(
        settings,
        [
            *("build", "--select", "path:models/metrics", "metric_definitions", "metric_windows"),
            *("--exclude", "path:models/metrics/tiers", "--exclude-resource-type", "unit_test", "test"),
            *("--defer", "--favor-state", "--state", str(directory / "target")),
        ],
        on_event,
        {"JANGAR_DBT_SCHEMA": BESIDE, "DBT_TARGET_PATH": str(directory / "beside")},
    )


def drop_beside(client: Client) -> None:
    """Drop what was built beside."""
    client.command(f"drop database if exists {BESIDE}")


def compare_beside(client: Client, moments: int) -> list[Change]:
    """Compute frames of some stored moments by both versions and compare, metric by metric."""
    now = datetime.now(UTC)
    chosen = client.query(
        "select distinct as_of from quant.quant_metrics_series where as_of > now64(3) - interval 1 day"
        " order by cityHash64(as_of) limit {moments:UInt32}",
        parameters={"moments": moments},
    ).result_columns
    changes: dict[str, Change] = {}
    for as_of in [*(chosen[0] if chosen else []), now]:
        served, new = (_frame(client, as_of, now, database) for database in ("quant", BESIDE))
        for key in served.keys() | new.keys():
            change = changes.setdefault(key[-1], Change(key[-1]))
            compare_rows(change, served.get(key), new.get(key))
    return sorted(changes.values(), key=lambda change: change.metric_name)


def compare_rows(change: Change, served: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
    """Count a row of both versions, either of which may lack it."""
    change.rows += 1
    change.served_version = served["formula_version"] if served else change.served_version
    change.new_version = new["formula_version"] if new else change.new_version
    before, after = (row["value"] if row else None for row in (served, new))
    if served is None or new is None or (before is None) != (after is None) or served["reason"] != new["reason"]:
        change.different += 1
    elif before is not None and after is not None and before != after:
        change.different += 1
        change.largest = max(change.largest, math.fabs(float(after) - float(before)))


def _frame(client: Client, as_of: datetime, known_at: datetime, database: str) -> dict[tuple[str, ...], dict[str, Any]]:
    result = client.query(
        f"select {', '.join(_KEY)}, value, reason, toString(formula_version) as formula_version"
        f" from ({frames_query(client, as_of, known_at, database=database)})",
        parameters=moment_of_frame(as_of, known_at),
        settings=FRAME_SETTINGS,
    )
    return {tuple(row[name] for name in _KEY): row for row in result.named_results()}
