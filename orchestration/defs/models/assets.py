"""Every dbt model and seed as an asset, with what dbt knows of it."""

from typing import Any

import dagster as dg

from orchestration.defs.lineage.project import Lineage
from orchestration.defs.manifest import Node, key_of, table_metadata
from orchestration.defs.models.flow import target_of, upstream

# Who is asked about a folder of models/; everything else is the quant team's.
_PLATFORM = {"staging", "tick", "health", "facts", "scopes"}


def model_specs(manifest: dict[str, Any], lineage: Lineage) -> list[dg.AssetSpec]:
    """An asset per model and seed, grouped by folder, fed by what feeds it, column by column."""
    fed_by = upstream(manifest)
    everything = {**manifest["nodes"], **manifest["sources"]}
    return [
        dg.AssetSpec(
            key_of(node),
            deps=[key_of(everything[parent]) for parent in sorted(fed_by[unique])],
            description=node["description"] or _description(node),
            group_name=group_of(node),
            owners=["team:platform" if group_of(node) in _PLATFORM else "team:quant"],
            kinds={"dbt", "clickhouse", kind_of(node)},
            metadata={
                **table_metadata(
                    node,
                    {
                        name: [dg.TableColumnDep(key_of(everything[parent]), column) for parent, column in origins]
                        for name, origins in lineage.get(unique, {}).items()
                    },
                ),
                "file": node["original_file_path"],
            },
        )
        for unique, node in sorted(manifest["nodes"].items())
        if node["resource_type"] in ("model", "seed")
    ]


def group_of(node: Node) -> str:
    """The folder of models/ in which it is."""
    return "seeds" if node["resource_type"] == "seed" else str(node["fqn"][1])


def kind_of(node: Node) -> str:
    """What it is in the warehouse."""
    if node["resource_type"] == "seed":
        return "seed"
    if node["config"]["materialized"] == "materialized_view":
        return "refreshable_view" if node["config"].get("refreshable") else "materialized_view"
    return str(node["config"]["materialized"])


def _description(node: Node) -> str:
    table = target_of(node)
    return f"Fills {node['schema']}.{table}." if table else ""
