"""`make bench`: runs every benchmark, or those named on the command line."""

import importlib
import pkgutil
import sys

from rich.console import Console

import tests.bench


def main() -> int:
    """Run the benchmarks one after the other: they would disturb each other on two cores."""
    console = Console()
    known = sorted(m.name for m in pkgutil.iter_modules(tests.bench.__path__) if not m.name.startswith("_"))
    wanted = sys.argv[1:] or known
    unknown = [name for name in wanted if name not in known]
    if unknown:
        console.print(f"unknown benchmark: {', '.join(unknown)}; there are: {', '.join(known)}")
        return 2
    for name in wanted:
        console.rule(name)
        importlib.import_module(f"tests.bench.{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
