"""Transform: frames of any moment from the text of their parameterized views.

A view within a query is analysed once more for every level around it: `metric_frames` takes twice the time of the same
text sent as a query (4.3 s and 2.2 s of planning, on two slow cores). And its edges, which everything is compared with,
come in as a literal: read first, for the accounts that the frame is about.
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
    "select toString(groupArray(edges)) as edges from (select"
    " (account, calendar, edge, window, edge_at, quotes_from, trading_ms, sampling_ms, is_open) as edges"
    " from quant.account_edge(as_of = {as_of:String}) where {account:String} in ('', account))"
)
_EDGES_PARAMETER = re.compile(r"\{\s*edges\s*:\s*(?P<type>Array\(\s*Tuple\([^{}]*\)\s*\))\s*\}")


def with_edges(view_text: str, edges: str) -> str:
    """The text of a view with its edges in place; `as_of` and `known_at` stay parameters, as text like that of
    `sql_moment`.

    Raises:
        ValueError: the view has no parameter `edges`.
    """
    text, count = _EDGES_PARAMETER.subn(lambda found: f"cast({edges} as {found['type']})", view_text)
    if count == 0:
        raise ValueError("the view takes no edges")
    return text


def frames_query(
    client: Client, as_of: datetime, account: str = "", view: str = "frames_at_edges", database: str = "quant"
) -> str:
    """A query for the metric rows of a moment: of all scopes, or of those on one account; parameters: as_of, known_at.

    `view` is a parameterized view that takes edges, of `database`.
    """
    text = client.query(VIEW_TEXT, parameters={"view": view, "database": database}).result_rows
    if not text:
        # The engine's own words for a warehouse without the project.
        client.command(f"describe table {database}.{view}")
    edges = client.query(EDGES, parameters={"as_of": sql_moment(as_of), "account": account}).result_rows[0][0]
    return with_edges(text[0][0], edges)


def sql_moment(moment: datetime) -> str:
    """A moment as a parameter of a query."""
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
