"""Column lineage of a dbt project: `python -m orchestration.defs.lineage.trace MANIFEST OUTPUT` writes it as JSON."""

import gc
import json
import logging
import os
import sys
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from orchestration.defs.lineage.project import Lineage, fingerprint
from orchestration.defs.lineage.query import Columns
from orchestration.defs.models.flow import target_of, upstream

logger = logging.getLogger(__name__)


def main(manifest: Path, output: Path) -> None:
    """Write the lineage of a manifest, and of what it is the lineage."""
    # The trees of queries are full of cycles: looking for garbage among them took a third of the time.
    gc.disable()
    project = json.loads(manifest.read_text(encoding="utf-8"))
    found = {"fingerprint": fingerprint(project), "lineage": trace(project)}
    # Several processes may load the definitions at the same time.
    own = output.with_suffix(f".{os.getpid()}")
    own.write_text(json.dumps(found), encoding="utf-8")
    own.replace(output)


def trace(manifest: dict[str, Any]) -> Lineage:
    """Work out the lineage of every model that is compiled.

    A table that a view fills has its columns from those of the view. What a table reads of itself, or of tables behind
    it, through its own cursor, is left out as in the graph of assets.
    """
    fed_by = upstream(manifest)
    nodes: dict[str, dict[str, Any]] = {**manifest["nodes"], **manifest["sources"]}
    ids = {(nodes[unique]["schema"], _name(nodes[unique])): unique for unique in fed_by}
    columns = Columns()
    for unique in fed_by:
        columns.add(nodes[unique]["schema"], _name(nodes[unique]), list(nodes[unique]["columns"]))
    lineage: Lineage = {}
    for unique in TopologicalSorter(fed_by).static_order():
        node = nodes[unique]
        if not node.get("compiled_code") or node["resource_type"] != "model":
            continue
        try:
            origins = columns.origins(node["compiled_code"])
        # Whatever a parser stumbles over: nothing but lineage is missing.
        except Exception as error:
            logger.warning("no column lineage of %s: %s", node["name"], error)
            origins = {}
        found: dict[str, set[tuple[str, str]]] = {
            name: {
                (parent, origin.name)
                for origin in origins.get(name, ())
                if (parent := ids.get((origin.database, origin.table))) in fed_by[unique] and parent is not None
            }
            for name in node["columns"] or origins
        }
        for view in fed_by[unique]:
            if target_of(nodes[view]) == node["name"]:
                for name in found.keys() & lineage.get(view, {}).keys():
                    found[name].add((view, name))
        if not node["columns"]:
            columns.add(node["schema"], _name(node), list(found))
        lineage[unique] = {name: sorted(parents) for name, parents in found.items()}
    return lineage


def _name(node: dict[str, Any]) -> str:
    return str(node.get("alias") or node["identifier"])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
