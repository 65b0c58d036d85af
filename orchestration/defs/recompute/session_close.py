"""What follows the close of a session: its hours are summed up, the ledger is whole, both agree with the source."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from clickhouse_connect.driver.client import Client

from orchestration.defs.manifest import manifest
from orchestration.defs.quality.checks import NIGHTLY, all_checks, evaluate, evaluation_of
from orchestration.defs.quality.lab import Lab
from orchestration.errors import UserError
from orchestration.settings import get_settings
from orchestration.warehouse.client import connect

_SEALED_SECONDS = 600.0
_POLL_SECONDS = 1.0


class Session(dg.Config):
    """A session that has closed; without one, the last that did."""

    calendar: str = ""
    closed_at: str = ""


@dg.op(pool="quality")
def seal(context: dg.OpExecutionContext, config: Session) -> str:
    """Wait until everything up to the close is mirrored, in the ledger and summed up; returns the close."""
    with connect(get_settings()) as client:
        closed_at = config.closed_at or last_close(client, config.calendar)
        _await(lambda: sealed_until(client) >= closed_at, f"the hours up to {closed_at} are summed up")
        figures = client.query(
            "select account, count() as fills, sum(gross_realized_pnl) as realized_pnl, max(revision) as revision"
            " from quant.position_ledger final where executed_at <= {close:String} and account != ''"
            " group by account order by account",
            parameters={"close": closed_at},
        )
        rows = [dg.TableRecord({k: str(v) for k, v in row.items()}) for row in figures.named_results()]
    context.add_output_metadata({"closed_at": closed_at, **({"ledger": dg.MetadataValue.table(rows)} if rows else {})})
    return closed_at


@dg.op(pool="quality", ins={"closed_at": dg.In(str)}, out=dg.Out(str))
def reconcile(context: dg.OpExecutionContext, closed_at: str) -> Iterator[Any]:
    """Evaluate every gate over the last two days."""
    wanted = [check for check in all_checks(manifest()) if check.gate not in NIGHTLY - {"equals_recompute"}]
    with Lab(get_settings(), days=2) as lab:
        for check, verdict in evaluate(lab, wanted, context.run_id):
            yield evaluation_of(check, verdict)
    yield dg.Output(closed_at)


@dg.op(pool="quality", ins={"closed_at": dg.In(str)})
def downsample(context: dg.OpExecutionContext, closed_at: str) -> None:
    """Have the series thinned out where it is older than a day, instead of whenever a merge comes by."""
    with connect(get_settings()) as client:
        parts = client.query(
            "select partition_id, sum(rows) from system.parts where database = 'quant'"
            " and table = 'quant_metrics_series' and active and min_date >= today() - 3 and max_date < today()"
            " group by partition_id having count() > 1"
        ).result_rows
        for partition, _ in parts:
            client.command(f"optimize table quant.quant_metrics_series partition id '{partition}'")
    context.add_output_metadata({"partitions": len(parts), "rows_before": int(sum(row[1] for row in parts))})


@dg.job(
    executor_def=dg.in_process_executor,
    description="Seals the hours of a session, notes where the ledger stands, reconciles, thins out the series.",
)
def session_close() -> None:
    """After every close."""
    downsample(reconcile(seal()))


def last_close(client: Client, calendar: str = "") -> str:
    """The last close of a calendar; without one, of any calendar that an account has."""
    ((closed_at,),) = client.query(
        "select max(closes_at) from quant.trading_session where closes_at < now64(3) and calendar in"
        " (select calendar from quant.api_accounts) and ({calendar:String} in ('', calendar))",
        parameters={"calendar": calendar},
    ).result_rows
    return f"{closed_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def sealed_until(client: Client) -> str:
    """Before this moment the hours are summed up: whole hours, from whatever the mirror has brought."""
    ((until,),) = client.query(
        "select least((select toDateTime(argMax(traded_at, revision), 'UTC') from quant.position_hour"
        " where hour_at = toDateTime(0, 'UTC') and account = ''),"
        " (select toDateTime(max(watermark), 'UTC') from torghut_raw.mirror_checkpoint))"
    ).result_rows
    moment: datetime = until
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _await(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _SEALED_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise UserError(f"Waited {_SEALED_SECONDS:.0f} s until {what}.", "See the health page for what is late.")
        time.sleep(_POLL_SECONDS)
