"""The checks as Dagster executes them, and the jobs that evaluate many of them at once."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from orchestration.defs.manifest import manifest
from orchestration.defs.quality.checks import NIGHTLY, all_checks, evaluate, evaluation_of, metadata_of, severity_of
from orchestration.defs.quality.lab import Lab
from orchestration.defs.quality.observe import observations
from orchestration.settings import get_settings


class Look(dg.Config):
    """How thoroughly the gates look."""

    days: int = 2
    nightly: bool = False
    moments: int = 1


def gate_checks() -> dg.AssetChecksDefinition:
    """The checks as the page executes them one by one, over everything that there is."""
    checks = {check.key: check for check in all_checks(manifest())}

    @dg.multi_asset_check(
        name="gates", specs=[check.spec for check in checks.values()], can_subset=True, pool="quality"
    )
    def gates(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        wanted = [check for key, check in checks.items() if key in context.selected_asset_check_keys]
        with Lab(get_settings()) as lab:
            for check, verdict in evaluate(lab, wanted, context.run.run_id):
                yield dg.AssetCheckResult(
                    passed=verdict.passed,
                    asset_key=check.key.asset_key,
                    check_name=check.key.name,
                    severity=severity_of(verdict),
                    metadata=metadata_of(verdict),
                    description=verdict.summary or None,
                )

    return gates


@dg.op(pool="quality", out=dg.Out(dg.Nothing))
def observe_everything(context: dg.OpExecutionContext) -> Iterator[Any]:
    """Rows, bytes, refreshes and watermarks of every asset."""
    with Lab(get_settings()) as lab:
        yield from observations(lab.client, manifest())
    yield dg.Output(None)


@dg.op(pool="quality", ins={"start": dg.In(dg.Nothing)})
def evaluate_gates(context: dg.OpExecutionContext, config: Look) -> Iterator[Any]:
    """Evaluate the gates, and keep in the warehouse what fails."""
    wanted = [check for check in all_checks(manifest()) if config.nightly or check.gate not in NIGHTLY]
    failed = []
    with Lab(get_settings(), days=config.days, moments=config.moments) as lab:
        for check, verdict in evaluate(lab, wanted, context.run_id):
            yield evaluation_of(check, verdict)
            if not verdict.passed:
                failed.append(check.key.to_user_string())
                context.log.warning(f"{check.key.to_user_string()}: {verdict.summary}")
    context.log.info(f"{len(wanted)} gates, {len(failed)} failed")
    yield dg.Output(failed)


@dg.job(
    executor_def=dg.in_process_executor,
    description="Looks at every asset, and evaluates the gates over the last two days.",
)
def quality_gates() -> None:
    """Every quarter of an hour."""
    evaluate_gates(start=observe_everything())


@dg.job(
    executor_def=dg.in_process_executor,
    config=dg.RunConfig(ops={"evaluate_gates": Look(days=0, nightly=True, moments=10)}),
    description=(
        "Computes the rollups from the beginning of the ledger, beside those that grew, recomputes a sample of stored"
        " frames, and compares; evaluates every other gate over everything that there is."
    ),
)
def nightly_recompute() -> None:
    """Every night."""
    evaluate_gates(start=observe_everything())
