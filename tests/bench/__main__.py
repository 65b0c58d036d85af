"""`make bench`: runs every benchmark, or those named; options after the names go to each of them."""

import importlib
import pkgutil
import sys

from rich.console import Console

import tests.bench


def main() -> int:
    """Run the benchmarks one after the other: they would disturb each other on two cores."""
    console = Console()
    known = sorted(m.name for m in pkgutil.iter_modules(tests.bench.__path__) if not m.name.startswith("_"))
    arguments = sys.argv[1:]
    first_option = next((place for place, argument in enumerate(arguments) if argument.startswith("-")), len(arguments))
    wanted, options = arguments[:first_option] or known, arguments[first_option:]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        console.print(f"unknown benchmark: {', '.join(unknown)}; there are: {', '.join(known)}")
        return 2
    for name in wanted:
        console.rule(name)
        sys.argv = [name, *options]
        importlib.import_module(f"tests.bench.{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
