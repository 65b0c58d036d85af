"""Column lineage of the dbt project, worked out once per build and kept beside its manifest."""

import fcntl
import hashlib
import importlib.metadata
import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

from orchestration.defs.manifest import manifest as last_manifest
from orchestration.settings import get_settings

logger = logging.getLogger(__name__)

# By model, by column: the ids of the nodes and the names of their columns that its values are computed from.
Lineage = dict[str, dict[str, list[tuple[str, str]]]]


def column_lineage(manifest: dict[str, Any]) -> Lineage:
    """The lineage of the project that was last built; worked out when it is another one than before.

    That takes seconds and four times the memory of the definitions, so a process of its own does it. A model whose SQL
    is not understood has no lineage, nor has any model of a project that is only parsed, not built.
    """
    if not any(node.get("compiled_code") for node in manifest["nodes"].values()):
        return {}
    target = get_settings().state_dir / "dbt" / "target"
    kept, wanted = target / "column_lineage.json", fingerprint(manifest)
    with (target / "column_lineage.lock").open("w") as lock:
        # Whoever comes second waits for what the first works out.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (found := _read(kept)).get("fingerprint") != wanted:
            program = [
                sys.executable,
                "-m",
                "orchestration.defs.lineage.trace",
                f"{target / 'manifest.json'}",
                str(kept),
            ]
            if subprocess.run(program, check=False).returncode != 0:
                logger.warning("the assets have no column lineage")
                return {}
            found = _read(kept)
    return {
        unique: {name: [(parent, column) for parent, column in origins] for name, origins in columns.items()}
        for unique, columns in found["lineage"].items()
    }


def _read(kept: Path) -> dict[str, Any]:
    return dict(json.loads(kept.read_text(encoding="utf-8"))) if kept.exists() else {}


def fingerprint(manifest: dict[str, Any]) -> str:
    """Hash of all that decides the lineage: the compiled SQL, the columns, and what works it out."""
    digest = hashlib.sha256(importlib.metadata.version("sqlglot").encode())
    for module in ("trace.py", "query.py"):
        digest.update(Path(__file__).with_name(module).read_bytes())
    for unique, node in sorted({**manifest["nodes"], **manifest["sources"]}.items()):
        read = (unique, node.get("compiled_code"), sorted(node.get("columns", ())))
        digest.update(repr(read).encode())
    return digest.hexdigest()


if __name__ == "__main__":
    column_lineage(last_manifest())
