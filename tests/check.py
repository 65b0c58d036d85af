"""`make check`: runs every static gate without stopping at the first failure, and prints a table."""

import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent

GATES: dict[str, list[str]] = {
    "python format": ["ruff", "format", "--check", "."],
    "python lint": ["ruff", "check", "."],
    "python types": ["mypy"],
    "sql format": ["sqlfmt", "--check", "--no-progressbar", "models", "macros", "tests/dbt"],
    "yaml": ["yamllint", "--strict", "."],
    "dbt parse": ["python", "-m", "orchestration.transform.parse"],
    "formula versions": ["python", "-m", "orchestration.transform.formulas"],
    "dagster definitions": ["python", "-m", "orchestration.defs.snapshot"],
    "settings page": ["python", "-m", "pytest", "-q", "--no-header", "tests/unit/test_docs.py"],
}


def main() -> int:
    """Run the gates; the exit code is 1 when one failed."""
    console = Console()
    table = Table("gate", "result", "seconds")
    failed = False
    for name, command in GATES.items():
        started = time.monotonic()
        run = subprocess.run(
            [str(BIN / command[0]), *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False
        )
        seconds = time.monotonic() - started
        if run.returncode:
            failed = True
            console.rule(f"[red]{name}")
            console.print((run.stdout + run.stderr).strip(), markup=False, highlight=False)
        table.add_row(name, "[red]FAIL" if run.returncode else "[green]ok", f"{seconds:.1f}")
    console.print(table)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
