"""Exposures of the dbt project as the last assets of the graph."""

from typing import Any

import dagster as dg

from orchestration.defs.manifest import key_of


def exposure_specs(manifest: dict[str, Any]) -> list[dg.AssetSpec]:
    """An asset per exposure, fed by the models that it reads."""
    return [
        dg.AssetSpec(
            exposure_key(node["name"]),
            deps=[key_of(manifest["nodes"][parent]) for parent in sorted(node["depends_on"]["nodes"])],
            description=node["description"],
            group_name="exposures",
            owners=[node["owner"]["email"] or f"team:{node['owner']['name']}"],
            kinds={"api" if node["type"] == "application" else node["type"]},
            metadata={"url": dg.MetadataValue.path(node["url"])} if node.get("url") else {},
        )
        for node in sorted(manifest["exposures"].values(), key=lambda node: str(node["name"]))
    ]


def exposure_key(name: str) -> dg.AssetKey:
    """An exposure."""
    return dg.AssetKey(["api", name])
