"""The dbt project as it was last built, from which assets and checks come: a file, read once per process."""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import dagster as dg

from orchestration.errors import UserError
from orchestration.settings import get_settings

Node = dict[str, Any]


def manifest() -> dict[str, Any]:
    """The manifest that the last build left.

    Raises:
        UserError: the project was never built.
    """
    path = get_settings().state_dir / "dbt" / "target" / "manifest.json"
    if not path.exists():
        raise UserError(f"The dbt project was never built: {path} is missing.", "Run `make up` first.")
    return _read(path)


@lru_cache(maxsize=1)
def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def key_of(node: Node) -> dg.AssetKey:
    """Database and table, as people name it in SQL."""
    return dg.AssetKey([node["schema"], node.get("alias") or node["identifier"]])


def table_metadata(node: Node, lineage: Mapping[str, Sequence[dg.TableColumnDep]]) -> dict[str, Any]:
    """What is known of a table in the warehouse: its name, its columns, and by column those that it comes from.

    The page of Dagster's own server does not show column lineage, so each column's description says it as well. A
    column without a description is there if it has a place in the lineage.
    """
    documented = node["columns"]
    columns = [
        dg.TableColumn(
            name,
            documented.get(name, {}).get("data_type") or "?",
            "\n\n".join(filter(None, (documented.get(name, {}).get("description"), _origins(lineage.get(name, ())))))
            or None,
        )
        for name in documented or lineage
    ]
    traced = {name: origins for name, origins in lineage.items() if origins}
    return {
        "dagster/table_name": ".".join(key_of(node).path),
        "dagster/column_schema": dg.TableSchema(columns),
        "dagster/column_lineage": dg.TableColumnLineage(traced),
    }


def _origins(columns: Sequence[dg.TableColumnDep]) -> str:
    """`From quant.trade: price, fee`, with a link to each table."""
    tables: dict[dg.AssetKey, list[str]] = {}
    for column in columns:
        tables.setdefault(column.asset_key, []).append(column.column_name)
    listed = [
        f"[{'.'.join(key.path)}](/assets/{'/'.join(key.path)}): {', '.join(f'`{name}`' for name in names)}"
        for key, names in tables.items()
    ]
    return "From " + "; ".join(listed) if listed else ""
