"""A new version of the formulas: built beside the served one, compared, and put in its place when that is asked for."""

import dagster as dg

from orchestration.settings import get_settings
from orchestration.transform.beside import build_beside, compare_beside, drop_beside
from orchestration.transform.build import build
from orchestration.warehouse.client import connect


class Rollout(dg.Config):
    """How many stored moments are compared, and whether to switch when no metric changes under its old version."""

    moments: int = 3
    switch: bool = False


@dg.op(pool="warehouse")
def compare_versions(context: dg.OpExecutionContext, config: Rollout) -> None:
    """Build the formulas of the checkout beside, compute the same frames by both, and tell what differs.

    Raises:
        Failure: a metric has other values under the same version; nothing is switched then.
    """
    settings = get_settings()
    with connect(settings) as client:
        try:
            build_beside(settings, lambda event: context.log.debug(f"{event.name} {event.status}"))
            changes = compare_beside(client, config.moments)
        finally:
            drop_beside(client)
    differing = [change for change in changes if change.different or change.served_version != change.new_version]
    records = [dg.TableRecord({name: str(value) for name, value in vars(change).items()}) for change in differing]
    context.add_output_metadata(
        {
            "metrics": len(changes),
            "changed": len(differing),
            "rows": sum(change.rows for change in changes),
            **({"changes": dg.MetadataValue.table(records)} if records else {}),
        }
    )
    silent = [change.metric_name for change in changes if change.is_silent]
    if silent:
        raise dg.Failure(
            f"Other values under the same formula_version: {', '.join(silent)}."
            " Raise it in seeds/metric_definitions.csv, then run `make formulas`."
        )
    if config.switch:
        context.log.info(f"{build(settings, force=True)} models, seeds and tests")


@dg.job(
    executor_def=dg.in_process_executor,
    description=(
        "Compares the formulas of the checkout with those that are served, over the same facts at the same moments;"
        " with `switch` it then builds the project."
    ),
)
def roll_out_formulas() -> None:
    """Before a new version of formulas is served."""
    compare_versions()
