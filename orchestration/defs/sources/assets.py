"""Tables of the source and their copies in the warehouse as assets that others write and that are observed."""

from typing import Any

import dagster as dg

from orchestration.defs.manifest import Node, key_of, table_metadata

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
                metadata=table_metadata(node, _copied(node) if origin else {}),
            )
        )
    return specs


def _copied(node: Node) -> dict[str, list[dg.TableColumnDep]]:
    """Columns of a copy have the names of the source; the mirror's own begin with an underscore."""
    table = postgres_key(node["identifier"].removesuffix(_HISTORY))
    return {name: [dg.TableColumnDep(table, name)] for name in node["columns"] if not name.startswith("_")}


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
