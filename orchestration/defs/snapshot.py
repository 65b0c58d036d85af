"""The definitions as text, to be read in a review: `python -m orchestration.defs.snapshot [--write]`.

Without `--write` it compares with what is committed, and returns 1 when that is something else.
"""

import difflib
import os
import sys
import tempfile
from pathlib import Path

import dagster as dg

from orchestration.settings import get_settings
from orchestration.transform.dbt import run_dbt

COMMITTED = Path(__file__).with_name("definitions.txt")


def main(arguments: list[str]) -> int:
    """Write the snapshot, or compare it."""
    with tempfile.TemporaryDirectory() as directory:
        os.environ |= {
            "JANGAR_QUANT_STATE_DIR": directory,
            # The tiers belong to it.
            "JANGAR_TORGHUT_QUANT_CONTROL_PLANE_ENABLED": "true",
        }
        get_settings.cache_clear()
        run_dbt(get_settings(), ["parse"])
        text = snapshot()
    if "--write" in arguments:
        COMMITTED.write_text(text, encoding="utf-8")
        return 0
    before = COMMITTED.read_text(encoding="utf-8") if COMMITTED.exists() else ""
    changes = list(difflib.unified_diff(before.splitlines(), text.splitlines(), "committed", "now", lineterm=""))
    print("\n".join(changes))
    return int(bool(changes))


def snapshot() -> str:
    """Assets with group, owner, kinds and what feeds them, checks, jobs, and what runs by itself where."""
    from orchestration.defs.environments import ENVIRONMENTS
    from orchestration.defs.everything import definitions

    loaded = {name: definitions(name) for name in ENVIRONMENTS}
    graph = loaded["manual"].resolve_asset_graph()
    lines = ["# `make definitions` writes this file.", "", "## Assets", ""]
    for key in sorted(graph.get_all_asset_keys()):
        node = graph.get(key)
        kinds = sorted(tag.removeprefix("dagster/kind/") for tag in node.tags if tag.startswith("dagster/kind/"))
        lines.append(f"{key.to_user_string()}  [{node.group_name}]  {', '.join(node.owners)}  ({', '.join(kinds)})")
        lines += [f"    < {parent.to_user_string()}" for parent in sorted(node.parent_keys)]
    lines += ["", "## Checks", ""]
    lines += [key.to_user_string() for key in sorted(graph.asset_check_keys, key=dg.AssetCheckKey.to_user_string)]
    lines += ["", "## Jobs", ""]
    repository = loaded["manual"].get_repository_def()
    for job in sorted(repository.get_all_jobs(), key=lambda job: job.name):
        if not job.name.startswith("__"):
            lines.append(f"{job.name}: {', '.join(node.name for node in job.nodes_in_topological_order)}")
    for name, definition in loaded.items():
        lines += ["", f"## Unattended: {name}", ""]
        repository = definition.get_repository_def()
        lines += [f"{s.name}: {s.cron_schedule} UTC" for s in sorted(repository.schedule_defs, key=lambda s: s.name)]
        lines += [
            f"{s.name}: every {s.minimum_interval_seconds} s"
            for s in sorted(repository.sensor_defs, key=lambda s: s.name)
        ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
