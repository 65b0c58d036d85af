"""Gates: a gate as the seed declares it, and what an evaluation of one of its checks found."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, cast

from orchestration.settings import PROJECT_DIR

Severity = Literal["error", "warn"]
_SEED = PROJECT_DIR / "seeds" / "quality_gates.csv"
_TOLD = 5


@dataclass(frozen=True)
class Gate:
    """A row of the seed: how bad a failure is, how far off is allowed, and the job that repairs it."""

    name: str
    severity: Severity
    tolerance: float
    repair: str
    description: str


@dataclass(frozen=True)
class Finding:
    """Something that is wrong; account and strategy say whose numbers it concerns, empty: all."""

    text: str
    account: str = ""
    strategy_id: str = ""


@dataclass(frozen=True)
class Verdict:
    """What a check found: nothing, or what is wrong; `measured` are the figures that it compared."""

    check: str
    gate: Gate
    severity: Severity
    findings: list[Finding] = field(default_factory=list)
    measured: dict[str, float | int | str] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    @property
    def summary(self) -> str:
        """The first findings in one text, and the job that repairs them; empty when it passed."""
        if self.passed:
            return ""
        return told([finding.text for finding in self.findings]) + (
            f" Repair: job {self.gate.repair}." if self.gate.repair else ""
        )


def told(texts: list[str]) -> str:
    """Some texts as one, and how many more there are."""
    more = len(texts) - _TOLD
    return "; ".join(texts[:_TOLD]) + (f"; and {more} more." if more > 0 else ".")


@lru_cache(maxsize=1)
def gates() -> dict[str, Gate]:
    """Every gate by name."""
    with _SEED.open(newline="", encoding="utf-8") as source:
        return {
            row["gate"]: Gate(
                row["gate"],
                cast(Severity, row["severity"]),
                float(row["tolerance"]),
                row["repair"],
                row["description"],
            )
            for row in csv.DictReader(source)
        }
