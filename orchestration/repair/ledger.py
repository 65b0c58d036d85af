"""Repairs: the ledger folded anew from its fills, of some keys or of all.

The fills are told to the ledger once more, under the next revision. It takes them for late ones and rewrites every key
from its first event on, in the way in which it takes in any late fill: nothing stops, rollups and valuations follow.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from orchestration.errors import UserError
from orchestration.repair.pause import paused

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

# Before this the ledger must not take in what is half told.
_VIEW = "trade_execution_fact_refresh"
# Fills that the ledger takes in at once: folding half a million takes it 1 GB.
_FILLS_AT_ONCE = 200_000
_POLL_SECONDS = 0.5


def tell_again(client: Client, account: str = "", strategy_id: str = "", symbol: str = "") -> int:
    """Have the ledger folded anew for the keys of an account, strategy and symbol; empty: of all. Returns the fills."""
    parameters = {"account": account, "strategy_id": strategy_id, "symbol": symbol}
    condition = "account != ''" + "".join(
        f" and {name} = {{{name}:String}}" for name, value in parameters.items() if value
    )
    columns = [
        name
        for (name,) in client.query(
            "select name from system.columns where database = 'quant' and table = 'trade_execution_fact'"
            " and name != 'revision' order by position"
        ).result_rows
    ]
    listed = ", ".join(columns)
    with paused(client, [_VIEW]):
        ((newest, fills),) = client.query(
            "select (select max(revision) from quant.trade_execution_fact),"
            f" (select count() from quant.trade_execution_fact final where {condition})",
            parameters=parameters,
        ).result_rows
        parts = -(-fills // _FILLS_AT_ONCE)
        for part in range(parts):
            # A refresh has two revisions: the odd one is that of fills, the even one that of the cursor behind.
            revision = (newest | 1) + 2 * (part + 1)
            client.command(
                f"insert into quant.trade_execution_fact ({listed}, revision)"
                f" select {listed}, {revision} from quant.trade_execution_fact final where {condition}"
                f" and modulo(cityHash64(account, strategy_id, symbol), {parts}) = {part}",
                parameters=parameters,
                settings={"async_insert": 0},
            )
            # The cursor behind the fills that it stands for, and as it was: nothing more of the orders is done.
            client.command(
                f"insert into quant.trade_execution_fact ({listed}, revision)"
                f" select {listed}, {revision - 1} from quant.trade_execution_fact where account = ''"
                " order by revision desc limit 1",
                settings={"async_insert": 0},
            )
    return int(fills)


def await_told(client: Client, seconds: float = 600.0) -> None:
    """Wait until the ledger has taken in all that it was told.

    Raises:
        UserError: it does not within `seconds`.
    """
    ((told,),) = client.query("select max(revision) from quant.trade_execution_fact where account != ''").result_rows
    deadline = time.monotonic() + seconds
    while client.query(
        "select max(ordinal) < {told:UInt64} from quant.position_ledger"
        " where toStartOfHour(executed_at) = toDateTime(0, 'UTC') and account = '' and fill_id = 'fills'",
        parameters={"told": told},
    ).result_rows[0][0]:
        if time.monotonic() > deadline:
            raise UserError(
                f"The ledger has not taken in its fills within {seconds:.0f} s.", "See the stages of the health page."
            )
        time.sleep(_POLL_SECONDS)
