"""Bringing a warehouse to the project's state: skipped when it is there, rebuilt when columns or settings changed."""

import json
import re
import threading

import pytest
from clickhouse_connect.driver.client import Client

from orchestration.defs.everything import definitions
from orchestration.settings import PROJECT_DIR, Settings
from orchestration.transform.build import build, fingerprint
from orchestration.transform.dbt import NodeEvent, dbt_environment
from orchestration.warehouse.client import connect
from tests.oracles.world import REPLACED, VIEWS
from tests.waiting import wait_for


def _keep_still(client: Client) -> None:
    """Views that a build has just made would run by themselves under the other tests."""
    for view in VIEWS:
        form = "" if view in REPLACED else " append"
        client.command(f"alter table quant.{view} modify refresh every 1 year{form}")
    # One that had begun would make the next tick wait.
    wait_for(lambda: "Running" not in _states(client), 30, "no view runs")


def _states(client: Client) -> set[str]:
    return set(client.query("select status from system.view_refreshes where database = 'quant'").result_columns[0])


def test_an_unchanged_project_is_not_built_again_and_a_missing_view_is(
    built: Client, warehouse_settings: Settings
) -> None:
    built.command("system stop view quant.live_edge_refresh")
    assert build(warehouse_settings) == 0
    # As a build that was killed leaves them.
    assert "Disabled" not in _states(built)
    built.command("drop view quant.api_accounts")
    built.command("create view quant.api_metric_frame as select 1 as left_by_an_earlier_version")
    # As the series of an earlier version was stored.
    built.command("alter table quant.quant_metrics_series modify column value codec(Gorilla, ZSTD(1))")
    events: list[NodeEvent] = []
    while_building: set[str] = set()

    def observe(event: NodeEvent) -> None:
        if not events:
            while_building.update(_states(built))
        events.append(event)

    assert build(warehouse_settings, on_event=observe) > 50
    # Nothing computes from half of the facts while their tables are made anew.
    assert while_building == {"Disabled"}
    assert "Disabled" not in _states(built)
    assert events[0].status == "started"
    assert {event.total for event in events} == {events[0].total}
    assert built.command("exists view quant.api_accounts") == 1
    assert built.command("exists view quant.api_metric_frame") == 0
    codec = "select compression_codec from system.columns where table = 'quant_metrics_series' and name = 'value'"
    assert built.command(codec) == "CODEC(Delta(8), ZSTD(3))"
    _keep_still(built)


def test_the_next_tick_waits_for_what_runs_before_the_positions(built: Client) -> None:
    views = set(built.query("select view from system.view_refreshes where database = 'quant'").result_columns[0])
    text = "select as_select from system.tables where database = 'quant' and name = 'tick_refresh'"
    (query,) = built.query(text).result_rows[0]
    later = {view for view in views if f"'{view}'" not in query}
    assert later == {
        "tick_refresh",
        # They follow the ledger, and nothing of the tick waits for them.
        "live_position_refresh",
        "known_state_refresh",
        "live_flow_refresh",
        "latest_light_refresh",
        "series_light_refresh",
        "series_medium_refresh",
        "series_heavy_refresh",
        "live_path_refresh",
        "live_feed_refresh",
        "live_coverage_refresh",
        "live_order_refresh",
        "latest_medium_refresh",
        "latest_heavy_refresh",
        # On its own clock.
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
        "alert_signal_refresh",
        "alert_signal_sample_refresh",
        "alert_state_refresh",
        "quant_alerts_refresh",
        "pipeline_health_sample_refresh",
    }
    built.command("system refresh view quant.tick_refresh")
    built.command("system wait view quant.tick_refresh")


@pytest.mark.slow
def test_a_table_with_other_columns_is_computed_again_and_the_series_kept(
    built: Client, warehouse_settings: Settings
) -> None:
    built.command("alter table quant.position_ledger add column stray UInt8")
    built.command(
        "insert into quant.quant_metrics_series (strategy_id, account, window, metric_name, as_of)"
        " values ('', 'kept', '1d', 'net_pnl', now64(3))"
    )
    assert build(warehouse_settings, force=True) > 50
    columns = built.query("select name from system.columns where table = 'position_ledger'").result_columns[0]
    assert "stray" not in columns
    assert built.command("select count() from quant.quant_metrics_series where account = 'kept'") == 1
    _keep_still(built)


@pytest.mark.slow
def test_dagster_rebuilds_while_nothing_computes(
    built: Client, warehouse_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in dbt_environment(warehouse_settings).items():
        monkeypatch.setenv(name, value)
    states: list[set[str]] = []
    done = threading.Event()

    def watch() -> None:
        with connect(warehouse_settings) as client:
            while not done.wait(0.2):
                states.append(_states(client))

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        assert definitions("manual").resolve_job_def("rebuild_models").execute_in_process().success
    finally:
        done.set()
        watching.join()
    assert {"Disabled"} in states
    assert "Disabled" not in _states(built)
    _keep_still(built)


@pytest.mark.slow
def test_a_disabled_control_plane_computes_no_metrics(built: Client, warehouse_settings: Settings) -> None:
    disabled = warehouse_settings.model_copy(update={"control_plane_enabled": False})
    assert fingerprint(disabled) != fingerprint(warehouse_settings)
    build(disabled)
    views = built.query("select view from system.view_refreshes where database = 'quant'").result_columns[0]
    assert "position_ledger_refresh" in views
    assert not {"live_edge_refresh", "latest_light_refresh", "series_light_refresh", "live_path_refresh"} & set(views)
    assert build(warehouse_settings) > 50
    _keep_still(built)


def test_every_column_is_documented(built: Client, warehouse_settings: Settings) -> None:
    manifest = json.loads((warehouse_settings.state_dir / "dbt" / "target" / "manifest.json").read_text())
    rows = built.query("select table, groupArray(name) from system.columns where database = 'quant' group by table")
    columns = dict(rows.result_rows)
    models = [
        node
        for node in manifest["nodes"].values()
        if node["resource_type"] in ("model", "seed")
        and node["config"]["materialized"] != "materialized_view"
        and "pending" not in node["fqn"]
    ]
    assert len(models) > 50
    # Views with parameters have no columns of their own.
    wanted = {node["name"]: set(columns[node["name"]]) for node in models if node["name"] in columns}
    assert len(wanted) > 40
    documented = {
        node["name"]: {name for name, column in node["columns"].items() if column["description"]}
        for node in models
        if node["name"] in wanted
    }
    assert documented == wanted
    assert [node["name"] for node in models if not node["description"]] == []


def test_the_queries_of_the_documentation_run(built: Client) -> None:
    page = (PROJECT_DIR / "docs" / "metrics.md").read_text()
    queries = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    assert queries
    for query in queries:
        built.query(query)
