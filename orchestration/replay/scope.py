"""Replay: which rows of a frame are meant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client


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


def frame_columns(client: Client) -> list[str]:
    """Columns that a frame shares with the series, in the order of the series."""
    rows = client.query(
        "select name from system.columns where database = 'quant' and table = 'quant_metrics_series'"
        " and name != 'tier' order by position"
    ).result_rows
    return [name for (name,) in rows]
