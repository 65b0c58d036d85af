"""The repair jobs. Without configuration each repairs what its gate found last."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
from pydantic import Field

from orchestration.defs.manifest import manifest
from orchestration.defs.quality.checks import all_checks, evaluate, evaluation_of
from orchestration.defs.quality.lab import Lab
from orchestration.defs.sources.assets import mirrored_tables
from orchestration.errors import UserError
from orchestration.gates.record import failing_checks
from orchestration.gates.refreshes import troubles
from orchestration.mirror.again import copy_again
from orchestration.repair.ledger import await_told, tell_again
from orchestration.repair.refreshes import revive
from orchestration.repair.rollups import replace_rollups
from orchestration.settings import get_settings
from orchestration.transform.build import build
from orchestration.warehouse.client import connect


class Tables(dg.Config):
    """Tables of the mirror; none: those that `matches_source` found different."""

    tables: list[str] = Field(default_factory=list)


class Keys(dg.Config):
    """Keys of the ledger; empty: the accounts for which `explains_equity` failed, and without any, all of them."""

    account: str = ""
    strategy_id: str = ""
    symbol: str = ""


# No two at a time change tables of the warehouse.
_POOL = "warehouse"


@dg.op(pool=_POOL, out=dg.Out(dg.Nothing))
def copy_tables_again(context: dg.OpExecutionContext, config: Tables) -> Iterator[Any]:
    """Have the running mirror copy tables again; it streams on meanwhile."""
    settings = get_settings()
    with connect(settings) as client:
        failed = [check.split(":", 1)[1] for check in failing_checks(client, "matches_source")]
    tables = config.tables or failed
    if unknown := set(tables) - set(mirrored_tables(manifest())):
        raise UserError(f"No mirrored table is called {', '.join(sorted(unknown))}.")
    context.log.info(f"copying again: {', '.join(tables) or 'nothing, no table differs'}")
    if tables:
        copy_again(settings, tables, f"run {context.run_id} of Dagster")
    yield from _evaluate_again(context, {"matches_source"}, set(tables))


@dg.op(pool=_POOL, out=dg.Out(dg.Nothing))
def fold_ledger_anew(context: dg.OpExecutionContext, config: Keys) -> Iterator[Any]:
    """Have the ledger folded anew from its fills, by account, strategy and symbol."""
    with connect(get_settings()) as client:
        failed = {account for accounts in failing_checks(client, "explains_equity").values() for account in accounts}
        accounts = {config.account} if config.account or config.strategy_id or config.symbol or "" in failed else failed
        for account in sorted(accounts or {""}):
            fills = tell_again(client, account, config.strategy_id, config.symbol)
            context.log.info(f"{fills:,} fills of {account or 'all accounts'} are told again")
        await_told(client)
    yield from _evaluate_again(context, {"explains_equity", "dbt_test"}, {"account_equity_grid", "position_ledger"})


@dg.op(pool=_POOL, out=dg.Out(dg.Nothing))
def exchange_rollups(context: dg.OpExecutionContext) -> Iterator[Any]:
    """Compute the rollups from the beginning of the ledger, and put them in the place of those that grew."""
    with connect(get_settings()) as client:
        replace_rollups(client)
    yield from _evaluate_again(context, {"equals_recompute"}, set())


@dg.op(pool=_POOL, out=dg.Out(dg.Nothing))
def revive_views(context: dg.OpExecutionContext) -> Iterator[Any]:
    """Start refreshable views that were left stopped, and run those that fail or stand still."""
    with connect(get_settings()) as client:
        for trouble in troubles(client):
            context.log.info(f"{trouble.view} {trouble.kind}: {trouble.text}")
            revive(client, trouble)
    yield from _evaluate_again(context, {"refreshes_succeed", "is_fresh"}, set())


@dg.op(pool=_POOL)
def build_models(context: dg.OpExecutionContext) -> None:
    """Build the dbt project, all of it; tables are computed again from the mirrored rows, the series keeps its rows."""
    nodes = build(get_settings(), force=True, on_event=lambda event: context.log.debug(f"{event.name} {event.status}"))
    context.log.info(f"{nodes} models, seeds and tests")


def _evaluate_again(context: dg.OpExecutionContext, gates: set[str], tables: set[str]) -> Iterator[Any]:
    """Evaluate gates over everything, so that what is repaired is told so at once."""
    wanted = [
        check
        for check in all_checks(manifest())
        if check.gate in gates and (not tables or check.key.asset_key.path[-1] in tables)
    ]
    with Lab(get_settings()) as lab:
        for check, verdict in evaluate(lab, wanted, context.run_id):
            yield evaluation_of(check, verdict)
            context.log.info(f"{check.key.to_user_string()}: {verdict.summary or 'passed'}")
    yield dg.Output(None)


@dg.job(executor_def=dg.in_process_executor, description="Copies tables of the source into the mirror again.")
def resync_mirror() -> None:
    """Repairs `matches_source`."""
    copy_tables_again()


@dg.job(executor_def=dg.in_process_executor, description="Folds the ledger anew, of some keys or of all.")
def rebuild_ledger() -> None:
    """Repairs `explains_equity` and the tests of the ledger."""
    fold_ledger_anew()


@dg.job(executor_def=dg.in_process_executor, description="Puts rollups that are computed anew in the old ones' place.")
def rebuild_rollups() -> None:
    """Repairs `equals_recompute`."""
    exchange_rollups()


@dg.job(executor_def=dg.in_process_executor, description="Starts and runs refreshable views that do not run.")
def restart_refreshes() -> None:
    """Repairs `is_fresh` and `refreshes_succeed`."""
    revive_views()


@dg.job(
    executor_def=dg.in_process_executor,
    description="Builds the dbt project anew. Until tables are full again, frames say that they are not.",
)
def rebuild_models() -> None:
    """Repairs what no other job does."""
    build_models()


JOBS = [resync_mirror, rebuild_ledger, rebuild_rollups, restart_refreshes, rebuild_models]
