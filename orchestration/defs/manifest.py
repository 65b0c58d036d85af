"""The dbt project as it was last built, from which assets and checks come: a file, read once per process."""

import json
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


def table_schema(node: Node) -> dg.TableSchema:
    """Columns with their types and descriptions."""
    return dg.TableSchema(
        [
            dg.TableColumn(column["name"], column.get("data_type") or "?", column.get("description") or None)
            for column in node["columns"].values()
        ]
    )
