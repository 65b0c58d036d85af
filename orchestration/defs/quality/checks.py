"""Which check stands at which asset, and how each is evaluated."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import dagster as dg

from orchestration.defs.manifest import key_of
from orchestration.defs.quality.lab import Lab
from orchestration.defs.sources.assets import mirrored_tables
from orchestration.gates.equity import explains_equity
from orchestration.gates.frames import frames_reproduce
from orchestration.gates.freshness import feeds_arrive, is_fresh
from orchestration.gates.record import record
from orchestration.gates.refreshes import refreshes_succeed
from orchestration.gates.rollups import equals_recompute
from orchestration.gates.source import matches_source
from orchestration.gates.tests import data_tests, evaluate_test
from orchestration.gates.verdict import Finding, Verdict, gates
from orchestration.repair.rollups import ROLLUPS, Rollup

# The asset at which people look when a stage is late.
STAGES = {
    "source": dg.AssetKey(["torghut_raw", "mirror_status"]),
    "mirror": dg.AssetKey(["torghut_raw", "mirror_checkpoint"]),
    "facts": dg.AssetKey(["quant", "trade_execution_fact"]),
    "ledger": dg.AssetKey(["quant", "position_ledger"]),
    "light_tier": dg.AssetKey(["quant", "latest_light"]),
    "medium_tier": dg.AssetKey(["quant", "latest_medium"]),
    "heavy_tier": dg.AssetKey(["quant", "latest_heavy"]),
    "series": dg.AssetKey(["quant", "quant_metrics_series"]),
}
# Too heavy for every quarter of an hour.
NIGHTLY = {"equals_recompute", "frames_reproduce"}


@dataclass(frozen=True)
class Check:
    """A check of a gate at an asset."""

    key: dg.AssetCheckKey
    gate: str
    evaluate: Callable[[Lab], Verdict]
    description: str

    @property
    def spec(self) -> dg.AssetCheckSpec:
        """What Dagster shows of it."""
        gate = gates()[self.gate]
        repair = f" Repair: job `{gate.repair}`." if gate.repair else ""
        return dg.AssetCheckSpec(
            self.key.name,
            asset=self.key.asset_key,
            description=f"{self.description}{repair}",
            metadata={"gate": self.gate, "severity": gate.severity, "tolerance": gate.tolerance, "repair": gate.repair},
        )


def all_checks(manifest: dict[str, Any]) -> list[Check]:
    """Every check, in the order of the flow."""
    found: list[Check] = []

    def add(gate: str, asset: dg.AssetKey, evaluate: Callable[[Lab], Verdict], text: str = "") -> None:
        found.append(Check(dg.AssetCheckKey(asset, gate), gate, evaluate, text or gates()[gate].description))

    for stage, asset in STAGES.items():
        add("is_fresh", asset, partial(_fresh, stage))
    add("feeds_arrive", dg.AssetKey(["torghut", "ta_signals"]), lambda lab: feeds_arrive(lab.client))
    add("refreshes_succeed", dg.AssetKey(["quant", "tick_refresh"]), lambda lab: refreshes_succeed(lab.client))
    for table in mirrored_tables(manifest):
        add("matches_source", dg.AssetKey(["torghut_raw", table]), partial(_source, table))
    for test in data_tests(manifest):
        node = manifest["nodes"][test.node] if test.node in manifest["nodes"] else manifest["sources"][test.node]
        key = dg.AssetCheckKey(key_of(node), test.name)
        found.append(
            Check(key, "dbt_test", partial(_tested, test), test.description or f"dbt: {test.name.replace('_', ' ')}.")
        )
    add("explains_equity", dg.AssetKey(["quant", "account_equity_grid"]), _equity)
    for rollup in ROLLUPS:
        add("equals_recompute", dg.AssetKey(["quant", rollup.name]), partial(_rollup, rollup))
    add("frames_reproduce", STAGES["series"], _frames)
    return found


def _fresh(stage: str, lab: Lab) -> Verdict:
    return is_fresh(stage, lab.ages.get(stage))


def _source(table: str, lab: Lab) -> Verdict:
    return matches_source(lab.source, lab.client, table, lab.days)


def _tested(test: Any, lab: Lab) -> Verdict:
    return evaluate_test(lab.client, test)


def _equity(lab: Lab) -> Verdict:
    return explains_equity(lab.client, lab.days)


def _rollup(rollup: Rollup, lab: Lab) -> Verdict:
    lab.rollups_beside()
    return equals_recompute(lab.client, rollup)


def _frames(lab: Lab) -> Verdict:
    return frames_reproduce(lab.client, lab.days, lab.moments)


def evaluate(lab: Lab, checks: Iterable[Check], run_id: str) -> Iterator[tuple[Check, Verdict]]:
    """Evaluate checks one by one, and keep in the warehouse what each says.

    One that cannot be evaluated fails as a warning, and leaves what is kept as it was: it has not passed.
    """
    for check in checks:
        try:
            verdict = check.evaluate(lab)
            record(lab.client, verdict, run_id)
        except Exception as error:
            finding = Finding(f"could not be evaluated: {type(error).__name__}: {error}")
            verdict = Verdict(check.gate, gates()[check.gate], "warn", [finding])
        yield check, verdict


def metadata_of(verdict: Verdict) -> dict[str, Any]:
    """What Dagster shows of a verdict."""
    found = {"findings": len(verdict.findings), **verdict.measured}
    if not verdict.passed:
        found |= {"accounts": ", ".join(sorted({f.account or "all" for f in verdict.findings}))}
    return found


def severity_of(verdict: Verdict) -> dg.AssetCheckSeverity:
    """Dagster's severity."""
    return dg.AssetCheckSeverity.ERROR if verdict.severity == "error" else dg.AssetCheckSeverity.WARN


def evaluation_of(check: Check, verdict: Verdict) -> dg.AssetCheckEvaluation:
    """A verdict as an event of a run that is not the check's own."""
    return dg.AssetCheckEvaluation(
        asset_key=check.key.asset_key,
        check_name=check.key.name,
        passed=verdict.passed,
        severity=severity_of(verdict),
        metadata=metadata_of(verdict),
        description=verdict.summary or None,
    )
