"""Repairs: the rollups computed from their beginning, beside those that grew, by the very queries that grow them.

What a refresh of a rollup writes next is a view, `pending_<rollup>`, that goes on from the rollup's own cursor. Its
text with another table in the rollup's place, an empty one, gives the whole rollup. So there is one definition, and a
repair is an exchange of two tables: readers see one or the other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestration.repair.pause import paused
from orchestration.transform.on_demand import FRAME_SETTINGS, VIEW_TEXT

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

BESIDE = "quant_recompute"
_ONE_PART = {
    "async_insert": 0,
    "min_insert_block_size_rows": 1_000_000_000,
    "min_insert_block_size_bytes": 0,
    "optimize_on_insert": 0,
}
# Cursors, which differ by when something was summed up.
_BOOKKEEPING = ("revision", "ledger_revision", "known_until", "is_deleted")


@dataclass(frozen=True)
class Rollup:
    """A rollup, the column of its moment, and the rows by which it grows: those behind its cursor."""

    name: str
    moment: str
    grows_by: str
    grows_at: str
    cursor: str
    taken_in: str
    # What has begun and goes on is left out.
    goes_on_from: str = "toStartOfHour(now('UTC'))"

    @property
    def view(self) -> str:
        """The refreshable view that grows it."""
        return f"{self.name}_refresh"


def _of_ledger(name: str) -> Rollup:
    return Rollup(name, "hour_at", "position_ledger", "toStartOfHour(executed_at)", "ledger_revision", "revision")


# In the order in which one feeds the next.
ROLLUPS = (
    _of_ledger("strategy_hour"),
    Rollup(
        "strategy_day",
        "day_at",
        "position_ledger",
        "toStartOfDay(executed_at)",
        "ledger_revision",
        "revision",
        goes_on_from="toStartOfDay(now('UTC'))",
    ),
    _of_ledger("position_hour"),
    _of_ledger("holding_hour"),
    Rollup("equity_minute", "grid_at", "position_snapshot_fact", "toStartOfDay(snapshot_at)", "revision", "applied"),
)


def recompute(client: Client) -> None:
    """Bring the rollups beside to the state of the ledger, from where they are; empty ones from the beginning."""
    client.command(f"create database if not exists {BESIDE}")
    texts = {}
    for rollup in ROLLUPS:
        client.command(f"create table if not exists {BESIDE}.{rollup.name} as quant.{rollup.name}")
        text = client.query(VIEW_TEXT, parameters={"view": f"pending_{rollup.name}", "database": "quant"}).result_rows[
            0
        ][0]
        texts[rollup.name] = beside(text)
    wanted = client.query(
        "select toStartOfHour(now('UTC')), (select max(applied) from quant.position_snapshot_fact)"
    ).result_rows[0]
    before, done = None, None
    # A long history takes several steps, as it does in the refreshes; what comes in meanwhile is left to the next time.
    while done is None or (done != before and any(have < want for have, want in zip(done, wanted, strict=True))):
        for name, text in texts.items():
            client.command(f"insert into {BESIDE}.{name} {text}", settings={**FRAME_SETTINGS, **_ONE_PART})
        before, done = done, _done(client)


def _done(client: Client) -> tuple[Any, ...]:
    """Up to which hour of the ledger and which batch of snapshots the rollups beside have come."""
    return tuple(
        client.query(
            f"select (select toDateTime(argMax(last_fill_at, revision), 'UTC') from {BESIDE}.strategy_hour"
            " where hour_at = toDateTime(0, 'UTC') and account = ''),"
            f" (select max(revision) from {BESIDE}.equity_minute where account = '')"
        ).result_rows[0]
    )


def beside(text: str) -> str:
    """The text of a view with the rollups beside in the place of the rollups."""
    names = "|".join(rollup.name for rollup in ROLLUPS)
    return re.sub(rf"(?<![\w.])`?quant`?\.`?({names})`?(?!\w)", rf"{BESIDE}.\1", text)


def forget(client: Client) -> None:
    """Drop the rollups beside."""
    client.command(f"drop database if exists {BESIDE}")


def differing(client: Client, rollup: Rollup) -> tuple[int, list[tuple[str, Any]], Any]:
    """Compare a rollup with the one beside.

    Returns the number of compared rows, the accounts and moments at which the two differ, and the moment from which on
    nothing is compared: there is more in the ledger than one of the two has taken in, and readers do not use it either.
    """
    columns = client.query(
        "select groupArray(name) from (select name from system.columns where database = 'quant'"
        " and table = {table:String} and name not in {own:Array(String)} order by position)",
        parameters={"table": rollup.name, "own": list(_BOOKKEEPING)},
    ).result_rows[0][0]
    listed = ", ".join(columns)
    ((until,),) = client.query(
        # What is compared lies before the first moment that only one of them knows.
        f"select min(at) from (select toDateTime({rollup.grows_at}, 'UTC') as at from quant.{rollup.grows_by}"
        f" where {rollup.taken_in} > (select min(cursor) from ("
        + " union all ".join(
            f"select max({rollup.cursor}) as cursor from {database}.{rollup.name}" for database in ("quant", BESIDE)
        )
        + f")) and account != '' union all select {rollup.goes_on_from})"
    ).result_rows
    rows = client.query(
        f"select account, {rollup.moment} from (select {listed}, count() as copies from ("
        + " union all ".join(
            f"select {listed} from {database}.{rollup.name} final"
            f" where account != '' and {rollup.moment} < {{until:DateTime}}"
            for database in ("quant", BESIDE)
        )
        + f") group by all having copies != 2) group by account, {rollup.moment} order by all",
        parameters={"until": until},
    ).result_rows
    compared = client.command(
        f"select count() from {BESIDE}.{rollup.name} final"
        f" where account != '' and {rollup.moment} < {{until:DateTime}}",
        parameters={"until": until},
    )
    return int(str(compared)), [(account, moment) for account, moment in rows], until


def replace_rollups(client: Client) -> None:
    """Put what is computed from the beginning in the place of what grew; the refreshes go on from there."""
    forget(client)
    recompute(client)
    with paused(client, [rollup.view for rollup in ROLLUPS]):
        recompute(client)
        for rollup in ROLLUPS:
            client.command(f"exchange tables quant.{rollup.name} and {BESIDE}.{rollup.name}")
    forget(client)
