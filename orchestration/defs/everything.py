"""All topics under `defs/` as one. Loading asks no database; the first load after a build works out column lineage."""

import dagster as dg

from orchestration.defs.environments import unattended
from orchestration.defs.lineage.project import column_lineage
from orchestration.defs.manifest import manifest
from orchestration.defs.models.assets import model_specs
from orchestration.defs.quality.definitions import gate_checks, nightly_recompute, quality_gates
from orchestration.defs.recompute.backfill import backfill_frames
from orchestration.defs.recompute.retention import drop_old_runs
from orchestration.defs.recompute.rollout import roll_out_formulas
from orchestration.defs.recompute.session_close import session_close
from orchestration.defs.repairs.jobs import JOBS as REPAIRS
from orchestration.defs.serving.assets import exposure_specs
from orchestration.defs.sources.assets import source_specs
from orchestration.defs.watch.sensors import SENSORS


def definitions(environment: str) -> dg.Definitions:
    """Everything that Dagster knows in an environment.

    Raises:
        UserError: the dbt project was never built, or nothing says what may run unattended in the environment.
    """
    jobs = {
        job.name: job
        for job in (
            quality_gates,
            nightly_recompute,
            session_close,
            backfill_frames,
            roll_out_formulas,
            drop_old_runs,
            *REPAIRS,
        )
    }
    runs = unattended(environment)
    return dg.Definitions(
        assets=[
            *source_specs(manifest()),
            *model_specs(manifest(), column_lineage(manifest())),
            *exposure_specs(manifest()),
        ],
        asset_checks=[gate_checks()],
        jobs=list(jobs.values()),
        schedules=[
            dg.ScheduleDefinition(
                job=jobs[name],
                cron_schedule=cron,
                execution_timezone="UTC",
                default_status=dg.DefaultScheduleStatus.RUNNING,
            )
            for name, cron in runs.schedules.items()
        ],
        sensors=[SENSORS[name] for name in runs.sensors],
    )
