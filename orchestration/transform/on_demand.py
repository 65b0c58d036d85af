"""Transform: frames of any moment from the text of their parameterized views.

A view within a query is analysed once more for every level around it: `metric_frames` takes twice the time of the same
text sent as a query (4.3 s and 2.2 s of planning, on two slow cores). And its constants come in as literals, read
first: the edges of the accounts that the frame is about, which everything is compared with, and what was known.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

# Those of the macro refresh_settings, with which the tiers run: planning costs less, and sums add up in the same order.
FRAME_SETTINGS = {
    "max_threads": 1,
    "join_algorithm": "hash",
    "compile_expressions": 0,
    "compile_aggregate_expressions": 0,
    "compile_sort_description": 0,
    "use_statistics": 0,
    "use_hash_table_stats_for_join_reordering": 0,
    "collect_hash_table_stats_during_joins": 0,
    "use_query_condition_cache": 0,
    "query_plan_optimize_join_order_limit": 0,
    "query_plan_merge_expressions": 0,
    "query_plan_split_filter": 0,
    "query_plan_lift_up_array_join": 0,
    "query_plan_optimize_lazy_materialization": 0,
    "group_by_two_level_threshold": 0,
    "group_by_two_level_threshold_bytes": 0,
    # The edges of an account are 800 bytes of text: those of 170 accounts reach the engine's own limit of 256 KiB.
    "max_query_size": 64 << 20,
}

VIEW_TEXT = "select as_select from system.tables where database = {database:String} and name = {view:String}"
# As the engine writes an array of tuples, so that it reads it again: text of its own, quoted by itself.
EDGES = (
    "select toString(groupArray((calendar, accounts, edges))) as edges"
    " from quant.edges_of_accounts(as_of = {as_of:String}, account = {account:String})"
)
KNOWN = "select toString(known) as known from quant.known_moment(as_of = {as_of:String}, known_at = {known_at:String})"
_PARAMETER = r"\{\s*%s\s*:\s*(?P<type>\w+\([^{}]*\))\s*\}"


def with_constants(view_text: str, **constants: str) -> str:
    """The text of a view with the parameters of these names in place; `as_of` and `known_at` stay parameters, as text
    like that of `sql_moment`.

    Raises:
        ValueError: the view has no such parameter.
    """
    for name, value in constants.items():
        found = re.search(_PARAMETER % name, view_text)
        if found is None:
            raise ValueError(f"the view has no parameter {name}")
        view_text = view_text.replace(found[0], f"cast({value} as {found['type']})")
    return view_text


def frames_query(
    client: Client,
    as_of: datetime,
    known_at: datetime,
    account: str = "",
    view: str = "frames_at_edges",
    database: str = "quant",
) -> str:
    """A query for the metric rows of a moment, of all scopes or of those on one account.

    Its parameters are those of `moment_of_frame`. `view` is a parameterized view that takes edges, of `database`.
    """
    text = client.query(VIEW_TEXT, parameters={"view": view, "database": database}).result_rows
    if not text:
        # The engine's own words for a warehouse without the project.
        client.command(f"describe table {database}.{view}")
    moment = moment_of_frame(as_of, known_at, account)
    edges, known = (
        # Of the same version of the formulas.
        client.query(query.replace("quant.", f"{database}."), parameters=moment).result_rows[0][0]
        for query in (EDGES, KNOWN)
    )
    return with_constants(text[0][0], edges=edges, known=known)


def moment_of_frame(
    as_of: datetime, known_at: datetime, account: str = "", strategy_id: str | None = None
) -> dict[str, str | list[tuple[str, str]]]:
    """The parameters of a query for frames: of all scopes, of those on an account, or of one scope, whose strategy is
    given (empty: the whole account, or desk).
    """
    scopes = [] if strategy_id is None else [(strategy_id, account)]
    return {"as_of": sql_moment(as_of), "known_at": sql_moment(known_at), "account": account, "scopes": scopes}


def sql_moment(moment: datetime) -> str:
    """A moment as a parameter of a query."""
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
