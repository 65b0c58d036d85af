"""Backfill by day: frames of the past into the series, a partition per UTC day with the sessions that lie in it."""

import time
from datetime import UTC, datetime, timedelta

import dagster as dg

from orchestration.errors import UserError
from orchestration.replay.backfill import BackfillRequest, prepare, run_backfill
from orchestration.replay.moments import parse_step
from orchestration.replay.scope import Scope
from orchestration.settings import get_settings
from orchestration.warehouse.client import connect

# The series keeps two years.
days = dg.DailyPartitionsDefinition(start_date="2024-01-01", end_offset=1)


class Frames(dg.Config):
    """Which frames: of a strategy, account and window (empty: all), this far apart."""

    strategy_id: str = ""
    account: str = ""
    window: str = ""
    step: str = "5m"
    again: bool = False


@dg.op(pool="frames")
def recompute_frames(context: dg.OpExecutionContext, config: Frames) -> None:
    """Recompute what is not done of the day; a run that was killed or cancelled goes on where it was."""
    day = datetime.strptime(context.partition_key, "%Y-%m-%d").replace(tzinfo=UTC)
    scope = Scope(config.strategy_id, config.account, config.window)
    end = day + timedelta(days=1) - timedelta(milliseconds=1)
    with connect(get_settings()) as client:
        request = BackfillRequest(scope, day, end, parse_step(config.step), config.again)
        try:
            found = prepare(client, request)
        except UserError as nothing:
            context.log.info(f"nothing to recompute: {nothing.message}")
            context.add_output_metadata({"moments": 0, "done_before": 0, "rows": 0})
            return
        began, pending = time.monotonic(), found.pending
        rows = run_backfill(client, request, found, lambda _: None)
    seconds = max(time.monotonic() - began, 0.001)
    context.add_output_metadata(
        {
            "moments": pending,
            "done_before": found.moments - pending,
            "rows": rows,
            "seconds": round(seconds, 1),
            "rows_per_second": round(rows / seconds),
        }
    )


@dg.job(
    partitions_def=days,
    executor_def=dg.in_process_executor,
    description="Recomputes stored frames of the sessions of each chosen day, as `jangar-quant backfill` does.",
)
def backfill_frames() -> None:
    """Repairs `frames_reproduce`."""
    recompute_frames()
