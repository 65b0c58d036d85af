"""What may run unattended, in one map per environment: a schedule or sensor that is not in it does not exist there.

A switch in Dagster's page overrides a default status for ever, so absence is the gate, not a status.
"""

from dataclasses import dataclass
from typing import Literal

from orchestration.errors import UserError

Environment = Literal["embedded", "production", "manual"]


@dataclass(frozen=True)
class Unattended:
    """Cron expressions (UTC) of schedules by job, and names of sensors."""

    schedules: dict[str, str]
    sensors: tuple[str, ...]


_SENSORS = ("first_look", "revive_refreshes", "close_sessions")
ENVIRONMENTS: dict[str, Unattended] = {
    # `make up`: everything, at a pace that leaves the cores to the numbers.
    "embedded": Unattended(
        {"quality_gates": "*/30 * * * *", "nightly_recompute": "20 2 * * *", "drop_old_runs": "50 3 * * *"}, _SENSORS
    ),
    "production": Unattended(
        {"quality_gates": "*/10 * * * *", "nightly_recompute": "20 2 * * *", "drop_old_runs": "50 3 * * *"}, _SENSORS
    ),
    # A second Dagster on the same warehouse, such as a developer's: it runs what somebody starts.
    "manual": Unattended({}, ()),
}


def unattended(environment: str) -> Unattended:
    """What runs by itself in an environment.

    Raises:
        UserError: the map does not know it.
    """
    if environment not in ENVIRONMENTS:
        raise UserError(
            f"Nothing says what may run unattended in {environment!r}.",
            f"Set JANGAR_QUANT_DAGSTER_ENVIRONMENT to one of {', '.join(ENVIRONMENTS)}, or add it to the map.",
        )
    return ENVIRONMENTS[environment]
