"""Column lineage of the project as it is built, and how the assets carry it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from orchestration.defs.everything import definitions
from orchestration.defs.lineage.project import Lineage, column_lineage
from orchestration.defs.manifest import manifest
from orchestration.settings import get_settings
from tests.template import copy_of_built_warehouse

# Programs write the tables; the others are a clock and constants.
WITHOUT = {
    "alert_action",
    "alert_notification",
    "api_series_levels",
    "backfill_progress",
    "quality_gate",
    "serving_report",
    "tick_refresh",
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The manifest of a built project; settings are those of its state."""
    state = tmp_path_factory.mktemp("lineage") / "state"
    copy_of_built_warehouse(tmp_path_factory, state)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JANGAR_QUANT_STATE_DIR", str(state))
        get_settings.cache_clear()
        yield manifest()
    get_settings.cache_clear()


@pytest.fixture(scope="module")
def lineage(built: dict[str, Any]) -> Lineage:
    """Its lineage, worked out as a load of the definitions does."""
    return column_lineage(built)


def behind(lineage: Lineage, built: dict[str, Any], column: str) -> set[str]:
    """Everything that a column is computed from, near and far, as `table.column`."""
    names = {unique: node["name"] for unique, node in {**built["nodes"], **built["sources"]}.items()}
    ids = {name: unique for unique, name in names.items()}
    table, _, name = column.partition(".")
    found: set[tuple[str, str]] = set()
    waiting = [(ids[table], name)]
    while waiting:
        unique, name = waiting.pop()
        origins = set(lineage.get(unique, {}).get(name, ())) - found
        found |= origins
        waiting += origins
    return {f"{names[unique]}.{name}" for unique, name in found}


def test_every_model_is_understood(lineage: Lineage, built: dict[str, Any]) -> None:
    models = {unique: node["name"] for unique, node in built["nodes"].items() if node["resource_type"] == "model"}
    assert set(lineage) == set(models)
    assert {models[unique] for unique, columns in lineage.items() if not any(columns.values())} == WITHOUT
    every = [origins for columns in lineage.values() for origins in columns.values()]
    # The rest are parameters, clocks, counts of rows and constants.
    assert sum(map(bool, every)) / len(every) > 0.94


def test_a_column_comes_from_columns_that_there_are(lineage: Lineage, built: dict[str, Any]) -> None:
    nodes = {**built["nodes"], **built["sources"]}
    strangers = {
        f"{nodes[parent]['name']}.{name}"
        for columns in lineage.values()
        for origins in columns.values()
        for parent, name in origins
        if name not in (nodes[parent]["columns"] or lineage[parent])
    }
    assert not strangers


@pytest.mark.parametrize(
    ("column", "origins"),
    [
        ("trade_execution_fact.price", {"stg_torghut__execution_versions.average_fill_price"}),
        ("trade_execution_fact.price", {"executions.avg_fill_price", "execution_order_events.raw_event"}),
        ("position_ledger.gross_realized_pnl", {"trade_execution_fact.notional", "executions.filled_qty"}),
        ("account_equity_grid.equity", {"position_snapshots.equity"}),
        ("risk_metrics.value", {"position_snapshots.equity", "metric_definitions.min_samples"}),
        ("quant_metrics_series.value", {"executions.avg_fill_price", "ta_microbars.c"}),
        ("api_executions.fee", {"trade_execution_fact.fee"}),
        ("api_metric_frames_latest.value", {"metric_definitions.precision"}),
    ],
)
def test_known_ways(lineage: Lineage, built: dict[str, Any], column: str, origins: set[str]) -> None:
    assert origins - behind(lineage, built, column) == set()


def test_a_renamed_column_comes_from_one_column(lineage: Lineage, built: dict[str, Any]) -> None:
    assert behind(lineage, built, "stg_torghut__position_snapshots.snapshot_at") == {"position_snapshots.as_of"}


def test_assets_carry_it_and_work_it_out_once(lineage: Lineage, built: dict[str, Any]) -> None:
    kept = get_settings().state_dir / "dbt" / "target" / "column_lineage.json"
    before = kept.stat().st_ino
    assert json.loads(kept.read_text())["lineage"]
    graph = definitions("manual").resolve_asset_graph()
    assert kept.stat().st_ino == before
    table = graph.get(dg.AssetKey(["quant", "trade_execution_fact"])).metadata
    view = dg.AssetKey(["quant", "trade_execution_fact_refresh"])
    shown = "From [quant.trade_execution_fact_refresh](/assets/quant/trade_execution_fact_refresh): `price`"
    assert table["dagster/column_lineage"].deps_by_column["price"] == [dg.TableColumnDep(view, "price")]
    (price,) = [column for column in table["dagster/column_schema"].columns if column.name == "price"]
    assert price.description.endswith(shown)
    copy = graph.get(dg.AssetKey(["torghut_raw", "executions__history"])).metadata
    assert copy["dagster/column_lineage"].deps_by_column["avg_fill_price"] == [
        dg.TableColumnDep(dg.AssetKey(["postgres", "executions"]), "avg_fill_price")
    ]


@pytest.mark.slow
def test_another_project_has_another_lineage(lineage: Lineage, built: dict[str, Any]) -> None:
    path: Path = get_settings().state_dir / "dbt" / "target" / "manifest.json"
    changed = json.loads(path.read_text())
    (unique,) = [unique for unique, node in changed["nodes"].items() if node["name"] == "tick_refresh"]
    changed["nodes"][unique]["compiled_code"] = "select max(watermark) as ticked_at from quant.stg_mirror__progress"
    changed["nodes"][unique]["depends_on"]["nodes"] = ["model.jangar_quant.stg_mirror__progress"]
    path.write_text(json.dumps(changed))
    assert column_lineage(changed)[unique] == {"ticked_at": [("model.jangar_quant.stg_mirror__progress", "watermark")]}
