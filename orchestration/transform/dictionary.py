"""Transform: docs/dictionary.md, the page of all metrics, from the seed."""

import csv
from itertools import groupby

from orchestration.settings import PROJECT_DIR

_SEED = PROJECT_DIR / "seeds" / "metric_definitions.csv"
_PAGE = PROJECT_DIR / "docs" / "dictionary.md"
_HEAD = """# Metric dictionary

Every metric, from `seeds/metric_definitions.csv`, which the warehouse has as `quant.metric_definitions`. Tiers: light
every second, medium every five, heavy every thirty. Below the samples the status is `insufficient_data`. `better` says
whether a higher or a lower value is better. How windows, scopes and marks are meant: [metrics.md](metrics.md).
"""


def dictionary_markdown() -> str:
    """The page: a table per group, a row per metric."""
    with _SEED.open(newline="", encoding="utf-8") as source:
        rows = list(csv.DictReader(source))
    parts = [_HEAD]
    for group, members in groupby(rows, key=lambda row: row["metric_group"]):
        parts.append(f"\n## {group.capitalize()}\n\n| metric | unit | tier | samples | better | what it is |\n")
        parts.append("|---|---|---|---|---|---|\n")
        parts.extend(
            f"| `{row['metric_name']}` | {row['unit']} | {row['tier']} | {row['min_samples']} | {row['direction']}"
            f" | {row['formula']} |\n"
            for row in members
        )
    return "".join(parts)


if __name__ == "__main__":
    _PAGE.write_text(dictionary_markdown(), encoding="utf-8")
