"""What dashboards read at a slow pace, shared by all that ask within seconds for the same."""

from datetime import UTC, datetime
from typing import Any, NamedTuple

from api.shared import Shared, SharedByKey
from api.warehouse import Warehouse
from orchestration.transform.on_demand import FRAME_SETTINGS

Rows = list[dict[str, Any]]
# Their queries take from 0.1 to some seconds of a core; nobody asks more often than each quarter of a minute.
SLOW_SECONDS = 10.0


class Span(NamedTuple):
    """A grid of the clock in epoch seconds, and up to when facts count."""

    first: int
    last: int
    step: int
    until: int

    def parameters(self) -> dict[str, Any]:
        """The parameters of the queries."""
        return {
            "since": datetime.fromtimestamp(self.first, UTC),
            "until": datetime.fromtimestamp(self.until, UTC),
            "step": self.step,
        }


class CostsOf(NamedTuple):
    """Whose orders (empty: of all), of which time in epoch seconds."""

    strategy_id: str
    account: str
    since: int
    until: int
    bucket: int

    def parameters(self) -> dict[str, Any]:
        """The parameters of the queries."""
        return {
            "strategy_id": self.strategy_id,
            "any_strategy": int(not self.strategy_id),
            "account": self.account,
            "any_account": int(not self.account),
            "since": datetime.fromtimestamp(self.since, UTC),
            "until": datetime.fromtimestamp(self.until, UTC),
        }


class Reads:
    """Queries of dashboards by what they are about."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self.trends = SharedByKey(self._trends, SLOW_SECONDS)
        self.equity = SharedByKey(self._equity, SLOW_SECONDS)
        self.costs = SharedByKey(self._costs, SLOW_SECONDS)
        self.pipeline = Shared(self._pipeline, SLOW_SECONDS)

    async def _trends(self, span: Span) -> Rows:
        return await self._warehouse.rows("trends", span.parameters(), FRAME_SETTINGS)

    async def _equity(self, key: tuple[str, str, Span]) -> Rows:
        strategy, account, span = key
        parameters = {**span.parameters(), "strategy_id": strategy, "account": account}
        return await self._warehouse.rows("equity_curve", parameters, FRAME_SETTINGS)

    async def _costs(self, key: CostsOf) -> dict[str, Rows]:
        parameters = key.parameters()
        return {
            "costs": await self._warehouse.rows("execution_costs", {**parameters, "bucket": key.bucket}),
            "distributions": await self._warehouse.rows("cost_distributions", {**parameters, "bins": 40}),
            "rejects": await self._warehouse.rows("rejects", parameters),
        }

    async def _pipeline(self) -> dict[str, Rows]:
        names = {
            "mirrors": "mirror_details",
            "feeds": "symbol_feeds",
            "accounts": "account_states",
            "ticks": "tick_minutes",
        }
        return {name: await self._warehouse.rows(query) for name, query in names.items()}
