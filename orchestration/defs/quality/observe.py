"""What is observed of every asset: three queries for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from orchestration.defs.manifest import key_of
from orchestration.defs.models.assets import kind_of
from orchestration.defs.serving.assets import exposure_key
from orchestration.defs.sources.assets import mirrored_tables, postgres_key

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client


def observations(client: Client, manifest: dict[str, Any]) -> Iterator[dg.AssetObservation]:
    """An observation per asset: tables with rows and bytes, views with their refresh, sources with their watermark."""
    watermark = _one(
        client,
        "select max(watermark) as watermark, max(applied) as applied_batch, max(lsn) as lsn"
        " from torghut_raw.mirror_checkpoint",
    )
    complete = {"watermark": dg.MetadataValue.timestamp(watermark["watermark"]), "lsn": watermark["lsn"]}
    tables = {
        (row["database"], row["name"]): row
        for row in client.query(
            "select database, name, total_rows, total_bytes from system.tables"
            " where database in ('quant', 'torghut_raw', 'torghut')"
        ).named_results()
    }
    refreshes = {
        row["view"]: row
        for row in client.query(
            "select view, status, last_success_time, last_success_duration_ms, written_rows, exception"
            " from system.view_refreshes where database = 'quant'"
        ).named_results()
    }
    for name in mirrored_tables(manifest):
        yield dg.AssetObservation(postgres_key(name), metadata=complete)
    for node in [*manifest["sources"].values(), *_models(manifest)]:
        key = key_of(node)
        metadata = _of_table(tables.get((key.path[0], key.path[1])))
        if node["resource_type"] == "source":
            metadata |= complete if key.path[0] == "torghut_raw" else {}
        elif kind_of(node) == "refreshable_view":
            metadata = _of_refresh(refreshes.get(node["name"]))
        yield dg.AssetObservation(key, metadata=metadata)
    for exposure in manifest["exposures"].values():
        yield dg.AssetObservation(exposure_key(exposure["name"]), metadata=complete)


def _models(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    return [node for node in manifest["nodes"].values() if node["resource_type"] in ("model", "seed")]


def _of_table(row: dict[str, Any] | None) -> dict[str, Any]:
    if row is None:
        return {"state": "not there"}
    # Views have neither.
    sizes = {"dagster/row_count": row["total_rows"], "size_bytes": row["total_bytes"]}
    return {name: value for name, value in sizes.items() if value is not None}


def _of_refresh(row: dict[str, Any] | None) -> dict[str, Any]:
    if row is None:
        return {"state": "not there"}
    found = {"status": row["status"], "written_rows": row["written_rows"]}
    if row["last_success_time"] is not None:
        found["last_success"] = dg.MetadataValue.timestamp(row["last_success_time"])
        found["duration_ms"] = row["last_success_duration_ms"]
    if row["exception"]:
        found["exception"] = row["exception"]
    return found


def _one(client: Client, query: str) -> dict[str, Any]:
    return next(iter(client.query(query).named_results()))
