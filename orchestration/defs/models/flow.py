"""In which direction rows flow between models, which is not always the one in which dbt builds them.

A refreshable view fills a table that dbt builds before it, and what it will write next is read from that table's own
cursor. For dbt the table comes first; rows flow from the view into the table.
"""

import re
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Any

_TARGET = re.compile(r"""materialization_target_table\(\s*ref\(\s*["'](\w+)["']\s*\)\s*\)""")


def target_of(node: dict[str, Any]) -> str:
    """Name of the table that a view fills; empty for every other model."""
    if node["config"].get("materialized") != "materialized_view":
        return ""
    found = _TARGET.search(node.get("raw_code") or "")
    return found[1] if found else ""


def upstream(manifest: dict[str, Any]) -> dict[str, set[str]]:
    """What each model and seed is fed by, as ids of nodes; without cycles.

    Where a table feeds itself through its own cursor, or by way of tables behind it, that step back is left out.
    """
    nodes = {
        unique: node
        for unique, node in {**manifest["nodes"], **manifest["sources"]}.items()
        if node["resource_type"] in ("model", "seed", "source")
    }
    by_name = {node["name"]: unique for unique, node in nodes.items() if node["resource_type"] == "model"}
    fed_by: dict[str, set[str]] = {unique: set() for unique in nodes}
    fills = {unique: by_name[name] for unique, node in nodes.items() if (name := target_of(node)) in by_name}
    for view, table in fills.items():
        fed_by[table].add(view)
    for unique, node in nodes.items():
        for parent in node.get("depends_on", {}).get("nodes", []):
            # That a view starts when another one has ended moves no rows.
            if parent in nodes and parent != fills.get(unique) and not (unique in fills and parent in fills):
                fed_by[unique].add(parent)
    tables = set(fills.values())
    for table in tables:
        for node in _before(fed_by, table, tables):
            fed_by[node].discard(table)
    while cycle := _cycle(fed_by):
        # Round about: ledger, heads, ledger. Of two that read each other, the first to run reads the past.
        steps = [(table, reader) for table, reader in pairwise(cycle) if table in tables and reader not in fills]
        table, reader = min(steps, key=lambda step: not _runs_before(step[1], step[0], manifest, fed_by))
        fed_by[reader].discard(table)
    return fed_by


def _cycle(fed_by: dict[str, set[str]]) -> list[str]:
    """Some cycle, each node fed by the one before it; empty when there is none."""
    try:
        list(TopologicalSorter(fed_by).static_order())
    except CycleError as error:
        return list(error.args[1])
    return []


def _runs_before(reader: str, table: str, manifest: dict[str, Any], fed_by: dict[str, set[str]]) -> bool:
    """Whether the refresh that reads `reader` is one of those that the refresh of `table` follows."""
    refreshes = {unique for unique, parents in fed_by.items() if reader in parents}
    return any(
        refreshes & set(manifest["nodes"][refresh]["depends_on"]["nodes"])
        for refresh in fed_by[table]
        if refresh in manifest["nodes"]
    )


def _before(fed_by: dict[str, set[str]], table: str, tables: set[str]) -> set[str]:
    """What feeds a table, on the way from other tables."""
    found: set[str] = set()
    waiting = [table]
    while waiting:
        for parent in fed_by[waiting.pop()] - found - tables:
            found.add(parent)
            waiting.append(parent)
    return found
