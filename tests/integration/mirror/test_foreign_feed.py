"""The dbt project on a warehouse that PeerDB or ClickPipes fills: tables of their form, fed as they feed them."""

import json
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from orchestration.errors import UserError
from orchestration.settings import Settings
from orchestration.transform.dbt import run_dbt
from tests.integration.mirror.harness import Warehouse

OWN = "_peerdb_synced_at DateTime64(9) DEFAULT now64(), _peerdb_is_deleted UInt8, _peerdb_version UInt64"
# As PeerDB makes them: the source's columns, its own three, ReplacingMergeTree by version.
TABLES = {
    "strategies": "id UUID, name String, enabled Bool, base_timeframe String, created_at DateTime64(6), "
    "updated_at DateTime64(6)",
    "trade_decisions": "id UUID, strategy_id UUID, alpaca_account_label String, symbol String, timeframe String, "
    "decision_json String, rationale Nullable(String), status String, created_at DateTime64(6), "
    "decision_hash Nullable(String), executed_at Nullable(DateTime64(6))",
    "executions": "id UUID, trade_decision_id Nullable(UUID), alpaca_order_id String, "
    "client_order_id Nullable(String), symbol String, side String, order_type String, time_in_force String, "
    "submitted_qty Decimal(20, 8), filled_qty Decimal(20, 8), avg_fill_price Nullable(Decimal(20, 8)), status String, "
    "raw_order Nullable(String), created_at DateTime64(6), updated_at DateTime64(6), "
    "last_update_at Nullable(DateTime64(6)), execution_expected_adapter Nullable(String), "
    "execution_actual_adapter Nullable(String), execution_fallback_count Nullable(Int64), "
    "order_feed_last_seq Nullable(Int64), "
    "alpaca_account_label Nullable(String)",
    "position_snapshots": "id UUID, alpaca_account_label String, as_of DateTime64(6), equity Decimal(20, 8), "
    "cash Decimal(20, 8), buying_power Decimal(20, 8), positions String, created_at DateTime64(6)",
    "llm_decision_reviews": "id UUID, trade_decision_id UUID, input_json String, created_at DateTime64(6)",
    "execution_order_events": "id UUID, feed_seq Nullable(Int64), event_ts Nullable(DateTime64(6)), "
    "symbol Nullable(String), alpaca_order_id Nullable(String), client_order_id Nullable(String), "
    "event_type Nullable(String), status Nullable(String), filled_qty Nullable(Decimal(20, 8)), "
    "avg_fill_price Nullable(Decimal(20, 8)), raw_event String, execution_id Nullable(UUID), "
    "trade_decision_id Nullable(UUID), created_at DateTime64(6), alpaca_account_label Nullable(String), "
    "filled_qty_delta Nullable(String), filled_notional_delta Nullable(String)",
}
BUILD = [
    "run",
    "--select",
    "staging",
    "serving_report",
    "pipeline_health_sample",
    "quant_pipeline_health",
    "api_pipeline_health",
    "api_mirrors",
    "quarantined_row",
    "--vars",
    json.dumps({"raw_from": "peerdb"}),
]


def test_staging_models_on_tables_of_peerdb(own_warehouse: Warehouse) -> None:
    client = own_warehouse.client()
    settings = Settings.model_validate({"CLICKHOUSE_URL": own_warehouse.url})
    client.command("CREATE DATABASE peerdb")
    for name, columns in TABLES.items():
        client.command(
            f"CREATE TABLE peerdb.{name} ({columns}, {OWN}) ENGINE = ReplacingMergeTree(_peerdb_version) "
            "PRIMARY KEY id ORDER BY id"
        )
    run_dbt(settings, BUILD)

    order, other = uuid.uuid4(), uuid.uuid4()
    synced = datetime.now(UTC) - timedelta(minutes=1)
    for version, identifier, filled, deleted in (
        (1, order, 0, 0),
        (2, order, 5, 0),
        (3, other, 1, 0),
        (4, other, 1, 1),
    ):
        client.command(
            "INSERT INTO peerdb.executions (id, symbol, side, order_type, submitted_qty, filled_qty, status, "
            "raw_order, created_at, updated_at, _peerdb_synced_at, _peerdb_is_deleted, _peerdb_version) VALUES "
            f"('{identifier}', 'AAPL', 'BUY', 'limit', 10, {filled}, 'filled', '{{\"limit_price\": \"10.5\"}}', "
            f"'2026-03-02 15:00:00', '2026-03-02 15:00:00', '{synced:%Y-%m-%d %H:%M:%S.%f}', {deleted}, {version})"
        )
    client.command(
        "INSERT INTO peerdb.strategies (id, name, enabled, _peerdb_is_deleted, _peerdb_version) "
        f"VALUES ('{order}', 'old', true, 0, 1), ('{order}', 'new', true, 0, 2), ('{other}', 'gone', true, 1, 3)"
    )
    versions = client.query(
        "SELECT source_version, side, filled_quantity, limit_price, is_deleted "
        "FROM quant.stg_torghut__execution_versions ORDER BY source_version"
    ).result_rows
    assert [(row[0], row[1], float(row[2]), float(row[3]), row[4]) for row in versions] in (
        [(2, "buy", 5.0, 10.5, 0), (4, "buy", 1.0, 10.5, 1)],
        [(1, "buy", 0.0, 10.5, 0), (2, "buy", 5.0, 10.5, 0), (3, "buy", 1.0, 10.5, 0), (4, "buy", 1.0, 10.5, 1)],
    )
    assert client.query("SELECT strategy_name FROM quant.stg_torghut__strategies").result_rows == [("new",)]
    # What the refreshes read by: everything that has settled is complete, and not more.
    inside = client.query(
        "SELECT max(v.applied) <= any(p.applied), any(p.watermark) <= now64(6) - INTERVAL 4 SECOND "
        "FROM quant.stg_torghut__execution_versions v, quant.stg_mirror__progress p"
    ).result_rows
    assert inside == [(1, 1)]
    stage = client.query("SELECT state, error FROM quant.api_pipeline_health WHERE stage = 'mirror'").result_rows
    assert stage == [("streaming", "")]
    mirrors = client.query("SELECT slot, state, lag_bytes, lossy_values FROM quant.api_mirrors").result_rows
    assert mirrors == [("peerdb", "streaming", 0, 0)]
    client.close()


@pytest.mark.slow
def test_tables_of_the_mirror_are_never_replaced(own_warehouse: Warehouse) -> None:
    client = own_warehouse.client()
    settings = Settings.model_validate({"CLICKHOUSE_URL": own_warehouse.url})
    run_dbt(settings, ["run", "--select", "stg_torghut__strategies"])
    with pytest.raises(UserError, match="is a table of the mirror"):
        run_dbt(settings, BUILD)
    engine = client.query(
        "SELECT engine FROM system.tables WHERE database = 'torghut_raw' AND name = 'executions'"
    ).result_rows
    assert engine == [("ReplacingMergeTree",)]
    client.close()
