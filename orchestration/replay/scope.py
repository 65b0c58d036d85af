"""Replay: which rows of a frame are meant, and how a frame is computed here."""

from __future__ import annotations

from dataclasses import dataclass
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
}


@dataclass(frozen=True)
class Scope:
    """Rows of one strategy, account or window; empty: of all of them."""

    strategy_id: str = ""
    account: str = ""
    window: str = ""

    @property
    def condition(self) -> str:
        """The rows of this scope as an SQL condition over `parameters`."""
        columns = {"strategy_id": self.strategy_id, "account": self.account, "window": self.window}
        return " and ".join(f"{name} = {{{name}:String}}" for name, value in columns.items() if value) or "true"

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters of `condition`."""
        return {"strategy_id": self.strategy_id, "account": self.account, "window": self.window}


def sql_moment(moment: datetime) -> str:
    """A moment as a parameter of a query."""
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def frame_columns(client: Client) -> list[str]:
    """Columns that a frame shares with the series, in the order of the series."""
    rows = client.query(
        "select name from system.columns where database = 'quant' and table = 'quant_metrics_series'"
        " and name != 'tier' order by position"
    ).result_rows
    return [name for (name,) in rows]
