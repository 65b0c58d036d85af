"""The source as these tests write it: rows in the mirror's tables, batch by batch, and ticks that take them in."""

import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from clickhouse_connect.driver.client import Client

from orchestration.transform.on_demand import FRAME_SETTINGS, frames_query, moment_of_frame

# In the order in which a second runs them.
VIEWS = (
    "tick_refresh",
    "decision_fact_refresh",
    "execution_version_fact_refresh",
    "order_event_fact_refresh",
    "position_snapshot_fact_refresh",
    "changed_order_refresh",
    "trade_execution_fact_refresh",
    "position_ledger_refresh",
    "trade_refresh",
    "quarantined_row_refresh",
    "ledger_adjustment_refresh",
    "ledger_head_refresh",
    "strategy_hour_refresh",
    "strategy_day_refresh",
    "position_hour_refresh",
    "equity_minute_refresh",
    "grid_edge_refresh",
    "strategy_minute_refresh",
    "symbol_hour_refresh",
    "symbol_hour_sweep_refresh",
    "holding_hour_refresh",
    "working_order_refresh",
    "context_review_refresh",
    "order_outcome_refresh",
    "live_edge_refresh",
    "live_market_refresh",
    "live_holding_refresh",
    "live_scope_refresh",
    "live_position_refresh",
    "live_flow_refresh",
    "known_state_refresh",
    "latest_light_refresh",
    "series_light_refresh",
    "live_path_refresh",
    "live_feed_refresh",
    "live_order_refresh",
    "latest_medium_refresh",
    "series_medium_refresh",
    "live_coverage_refresh",
    "latest_heavy_refresh",
    "series_heavy_refresh",
    "alert_signal_refresh",
    "alert_state_refresh",
    "alert_signal_sample_refresh",
    "quant_alerts_refresh",
    "pipeline_health_sample_refresh",
)
FACTS = VIEWS[1:9]
SUMS = VIEWS[VIEWS.index("strategy_hour_refresh") : VIEWS.index("live_edge_refresh")]
TIERS = VIEWS[VIEWS.index("live_edge_refresh") : VIEWS.index("alert_signal_refresh")]
# Views that replace their target; the others append.
REPLACED = {
    "latest_light_refresh",
    "latest_medium_refresh",
    "latest_heavy_refresh",
    "alert_signal_refresh",
    "alert_state_refresh",
}
MIRRORED = (
    "strategies",
    "trade_decisions",
    "executions",
    "executions__history",
    "execution_order_events",
    "position_snapshots",
    "llm_decision_reviews",
)
_TABLES = (
    *(f"torghut_raw.{table}" for table in MIRRORED),
    "torghut_raw.mirror_checkpoint",
    "torghut.ta_signals",
    "torghut.ta_microbars",
    "quant.decision_fact",
    "quant.execution_version_fact",
    "quant.order_event_fact",
    "quant.position_snapshot_fact",
    "quant.quarantined_row",
    "quant.changed_order",
    "quant.trade_execution_fact",
    "quant.ledger_adjustment",
    "quant.position_ledger",
    "quant.ledger_head",
    "quant.trade",
    "quant.strategy_hour",
    "quant.strategy_day",
    "quant.position_hour",
    "quant.equity_minute",
    "quant.grid_edge",
    "quant.strategy_minute",
    "quant.symbol_hour",
    "quant.holding_hour",
    "quant.working_order",
    "quant.context_review",
    "quant.order_outcome",
    "quant.scope_evidence",
    "quant.snapshot_day",
    "quant.decided_symbol",
    "quant.live_edge",
    "quant.live_market",
    "quant.live_holding",
    "quant.live_flow",
    "quant.live_path",
    "quant.live_feed",
    "quant.live_coverage",
    "quant.live_order",
    "quant.known_state",
    "quant.live_scope",
    "quant.live_position",
    "quant.latest_light",
    "quant.latest_medium",
    "quant.latest_heavy",
    "quant.quant_metrics_series",
    "quant.backfill_progress",
    "quant.alert_signal",
    "quant.alert_signal_sample",
    "quant.alert_state",
    "quant.quant_alerts",
    "quant.alert_action",
    "quant.pipeline_health_sample",
    "quant.quality_gate",
)
START = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)


@dataclass
class Order:
    """An order as the source holds it; `filled` and `price` are cumulative."""

    side: str
    quantity: Decimal
    price: Decimal | None
    at: datetime
    account: str = "paper"
    symbol: str = "MU"
    decision: uuid.UUID | None = None
    filled: Decimal | None = None
    fee: Decimal | None = None
    sequence: int | None = None
    status: str = "filled"
    id: uuid.UUID = field(default_factory=uuid.uuid4)


class World:
    """Writes source rows as the mirror would: each `batch` is one apply number with a checkpoint behind it."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.applied = 0
        self.pending: dict[str, list[dict[str, Any]]] = {}

    def clear(self) -> None:
        """Forget everything."""
        written = self.client.query(
            "select database || '.' || name as table from system.tables"
            " where table in {tables:Array(String)} and (total_rows is null or total_rows > 0)",
            parameters={"tables": list(_TABLES)},
        ).result_columns
        for table in written[0] if written else ():
            self.client.command(f"truncate table {table}")

    def strategy(self, name: str) -> uuid.UUID:
        """A strategy of the catalogue."""
        identity = uuid.uuid4()
        self._add("strategies", {"id": identity, "name": name, "enabled": True, "base_timeframe": "1Min"}, START, True)
        return identity

    def decision(self, strategy: uuid.UUID, at: datetime = START, **columns: Any) -> uuid.UUID:
        """A decision of a strategy; `id` among the columns rewrites an earlier one."""
        row = {
            "id": uuid.uuid4(),
            "strategy_id": strategy,
            "alpaca_account_label": "paper",
            "symbol": "MU",
            "timeframe": "1Min",
            "decision_json": json.dumps({"action": "buy", "qty": "1"}),
            "status": "filled",
            "created_at": at,
            **columns,
        }
        self._add("trade_decisions", row, at)
        return row["id"]

    def order(self, order: Order, deleted: bool = False, **columns: Any) -> Order:
        """An order, or a new version of it, with its history row."""
        raw: dict[str, Any] = {"filled_at": order.at.isoformat()}
        if order.fee is not None:
            raw |= {"cost_amount": str(order.fee), "cost_basis": "broker_reported_commission"}
        if order.sequence is not None:
            raw["_seq"] = order.sequence
        row = {
            "id": order.id,
            "trade_decision_id": order.decision,
            "alpaca_order_id": str(order.id),
            "symbol": order.symbol,
            "side": order.side,
            "order_type": "market",
            "time_in_force": "day",
            "submitted_qty": order.quantity,
            "filled_qty": order.quantity if order.filled is None else order.filled,
            "avg_fill_price": order.price,
            "status": order.status,
            "raw_order": json.dumps(raw),
            "last_update_at": order.at,
            "alpaca_account_label": order.account,
            **columns,
        }
        if deleted:
            # As the mirror writes it: the row's id and nothing else.
            row = {"id": order.id}
        for table in ("executions", "executions__history"):
            self._add(table, row, order.at, True, deleted)
        return order

    def event(self, order: Order, at: datetime, cumulative: Decimal, price: Decimal, **columns: Any) -> None:
        """A fill event of the broker's feed."""
        row = {
            "id": uuid.uuid4(),
            "event_ts": at,
            "symbol": order.symbol,
            "alpaca_order_id": str(order.id),
            "event_type": "partial_fill",
            "filled_qty": cumulative,
            "avg_fill_price": price,
            "raw_event": "{}",
            "alpaca_account_label": order.account,
            **columns,
        }
        self._add("execution_order_events", row, at)

    def snapshot(
        self,
        at: datetime,
        equity: Decimal,
        account: str = "paper",
        positions: Iterable[dict[str, str]] = (),
        **columns: Any,
    ) -> None:
        """A position snapshot of an account."""
        row = {
            "id": uuid.uuid4(),
            "alpaca_account_label": account,
            "as_of": at,
            "equity": equity,
            "cash": equity,
            "buying_power": equity,
            "positions": json.dumps(list(positions)),
            **columns,
        }
        self._add("position_snapshots", row, at)

    def delete(self, table: str, identity: uuid.UUID) -> None:
        """The removal of a row."""
        self._add(table, {"id": identity}, START, deleted=True)

    def send_again(self, table: str) -> None:
        """Every row of a table as it is, as an update of all of them at the source."""
        names = [
            row[0]
            for row in self.client.query(f"describe torghut_raw.{table}").result_rows
            if row[0] not in ("_version", "_applied")
        ]
        found = self.client.query(f"select {', '.join(f'`{name}`' for name in names)} from torghut_raw.{table} final")
        self.pending.setdefault(table, []).extend(found.named_results())

    def review(self, decision: uuid.UUID, at: datetime, document: object) -> uuid.UUID:
        """A review of a decision; `document` is its input."""
        row = {"id": uuid.uuid4(), "trade_decision_id": decision, "input_json": json.dumps(document)}
        self._add("llm_decision_reviews", row, at)
        return row["id"]

    def quote(self, symbol: str, at: datetime, mid: float) -> None:
        """A quote of the technical-analysis pipeline."""
        self.quotes([(symbol, at, mid)])

    def quotes(self, rows: Iterable[tuple[str, datetime, float]]) -> None:
        """Quotes at once: (symbol, moment, mid)."""
        self.client.insert(
            "ta_signals",
            [[symbol, at, 1, at, mid - 1, mid + 1] for symbol, at, mid in rows],
            column_names=["symbol", "event_ts", "seq", "ingest_ts", "imbalance_bid_px", "imbalance_ask_px"],
            database="torghut",
        )

    def batch(self, watermark: datetime | None = None) -> None:
        """Everything added since the last batch becomes visible, under one apply number."""
        self.applied += 1
        for table, rows in self.pending.items():
            version = self.applied * 1_000_000
            for position, row in enumerate(rows):
                row |= {"_version": version + position, "_applied": self.applied}
            for names in sorted({tuple(sorted(row)) for row in rows}):
                alike = [[row[name] for name in names] for row in rows if tuple(sorted(row)) == names]
                self.client.insert(f"torghut_raw.{table}", alike, column_names=names)
        self.pending = {}
        now = datetime.now(UTC)
        self.client.insert(
            "torghut_raw.mirror_checkpoint",
            [["test", self.applied, 1, watermark or now, now]],
            column_names=["slot", "applied", "lsn", "watermark", "recorded_at"],
        )

    def tick(self, views: Iterable[str] = FACTS) -> None:
        """Run the views of one second, in their order."""
        for view in views:
            self.client.command(f"system refresh view quant.{view}")
            self.client.command(f"system wait view quant.{view}")

    def age_outcomes(self, seconds: int = 600) -> None:
        """As if what is known of orders had been known earlier."""
        kept = self.client.query("select * from quant.order_outcome")
        revision = kept.column_names.index("revision")
        aged = [
            [value - 2000 * seconds if place == revision else value for place, value in enumerate(row)]
            for row in kept.result_rows
        ]
        self.client.command("truncate table quant.order_outcome")
        self.client.insert("quant.order_outcome", aged, column_names=list(kept.column_names))

    def ledger(self, account: str = "paper", symbol: str = "MU") -> list[dict[str, Any]]:
        """Rows of the ledger of an account's instrument, in order."""
        return list(
            self.client.query(
                "select * from quant.position_ledger final"
                " where account = {account:String} and symbol = {symbol:String}"
                " order by strategy_id, executed_at, sequence, fill_id",
                parameters={"account": account, "symbol": symbol},
            ).named_results()
        )

    def fills(self) -> list[dict[str, Any]]:
        """All fills, in order."""
        return list(
            self.client.query(
                "select * from quant.trade_execution_fact final"
                " order by account, symbol, executed_at, sequence, fill_id"
            ).named_results()
        )

    def frame(
        self,
        as_of: datetime,
        window: str = "1d",
        account: str = "paper",
        strategy: str = "",
        known_at: datetime | None = None,
        group: str = "frames",
    ) -> dict[str, dict[str, Any]]:
        """One frame by metric name."""
        return self.frames(as_of, known_at, account, group).get((strategy, account, window), {})

    def frames(
        self, as_of: datetime, known_at: datetime | None = None, account: str = "", group: str = "frames"
    ) -> dict[tuple[str, str, str], dict[str, dict[str, Any]]]:
        """The frames of all scopes, or of those on an account, by (strategy, account, window): as costly as one.

        The metrics of one group, such as `trades`, take a third of the time of all: nearly all of it is planning.
        """
        found: dict[tuple[str, str, str], dict[str, dict[str, Any]]] = {}
        known_at = known_at or datetime.now(UTC)
        for row in self.client.query(
            frames_query(self.client, as_of, known_at, account, f"{group}_at_edges"),
            parameters=moment_of_frame(as_of, known_at, account),
            settings=FRAME_SETTINGS,
        ).named_results():
            found.setdefault((row["strategy_id"], row["account"], row["window"]), {})[row["metric_name"]] = row
        return found

    def _add(self, table: str, row: dict[str, Any], at: datetime, updated: bool = False, deleted: bool = False) -> None:
        stamps = {} if deleted else {"created_at": at} | ({"updated_at": at} if updated else {})
        extra = {"_op": "update"} if table.endswith("__history") else {}
        self.pending.setdefault(table, []).append(
            {**stamps, **row, **extra, "_deleted": int(deleted), "_commit_ts": at, "_synced_at": at}
        )


def after(seconds: float) -> datetime:
    """A moment on a trading day, that many seconds after the scenarios' start."""
    return START + timedelta(seconds=seconds)


def view_definition(client: Client, view: str) -> str:
    """The statement that makes a view as it is, in the place of what it is then."""
    text: str = client.query(f"show create view quant.{view}").result_rows[0][0]
    return text.replace("CREATE VIEW", "CREATE OR REPLACE VIEW", 1)
