"""Tables of the source and their copies in the warehouse as assets that others write and that are observed."""

from typing import Any

import dagster as dg

from orchestration.defs.manifest import key_of, table_schema

OWNERS = ["team:platform"]
_HISTORY = "__history"


def source_specs(manifest: dict[str, Any]) -> list[dg.AssetSpec]:
    """An asset per table of Postgres, per copy of it, and per table that another pipeline writes into ClickHouse."""
    specs = []
    for node in manifest["sources"].values():
        name = node["identifier"]
        origin = "_version" in node["columns"]
        if origin and not name.endswith(_HISTORY):
            specs.append(
                dg.AssetSpec(
                    postgres_key(name),
                    description=f"The source's own table. {node['description']}",
                    group_name="source",
                    owners=OWNERS,
                    kinds={"postgres", "source"},
                )
            )
        specs.append(
            dg.AssetSpec(
                key_of(node),
                deps=[postgres_key(name.removesuffix(_HISTORY))] if origin else [],
                description=node["description"],
                group_name="mirror" if node["schema"] == "torghut_raw" else "feeds",
                owners=OWNERS,
                kinds={"clickhouse", "table"},
                metadata={
                    "dagster/column_schema": table_schema(node),
                    "dagster/table_name": f"{node['schema']}.{name}",
                },
            )
        )
    return specs


def postgres_key(table: str) -> dg.AssetKey:
    """The source's own table."""
    return dg.AssetKey(["postgres", table])


def mirrored_tables(manifest: dict[str, Any]) -> list[str]:
    """Names of the tables that the mirror copies and that models read."""
    return sorted(
        node["identifier"]
        for node in manifest["sources"].values()
        if "_version" in node["columns"] and not node["identifier"].endswith(_HISTORY)
    )
