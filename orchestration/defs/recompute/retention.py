"""What Dagster forgets: its daemon deletes old ticks (dagster.yaml), and this job old runs with their events."""

from datetime import UTC, datetime, timedelta

import dagster as dg


class Kept(dg.Config):
    """For how long a run is kept, by how it ended, in days."""

    success_days: int = 7
    failure_days: int = 30


@dg.op
def delete_runs(context: dg.OpExecutionContext, config: Kept) -> None:
    """Delete runs that ended before."""
    ended = {
        dg.DagsterRunStatus.SUCCESS: config.success_days,
        dg.DagsterRunStatus.FAILURE: config.failure_days,
        dg.DagsterRunStatus.CANCELED: config.failure_days,
    }
    deleted = 0
    for status, days in ended.items():
        before = datetime.now(UTC) - timedelta(days=days)
        for run in context.instance.get_runs(dg.RunsFilter(statuses=[status], created_before=before)):
            context.instance.delete_run(run.run_id)
            deleted += 1
    context.add_output_metadata({"deleted": deleted})


@dg.job(executor_def=dg.in_process_executor, description="Deletes old runs with their events.")
def drop_old_runs() -> None:
    """Every night."""
    delete_runs()
