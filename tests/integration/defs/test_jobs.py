"""Every job in this process on the real engines: gates catch what was corrupted on purpose, repairs mend it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
import pytest

from orchestration.defs.everything import definitions
from orchestration.defs.snapshot import COMMITTED, snapshot
from orchestration.defs.watch.sensors import close_sessions, first_look, revive_refreshes
from orchestration.repair.rollups import ROLLUPS
from tests.integration.defs.conftest import CRYPTO, FIRST, NOW, DagsterLab
from tests.waiting import wait_for

LOOK = {"evaluate_gates": {"days": 0, "nightly": True, "moments": 1}}
LEDGER = "select * except (revision) from quant.position_ledger final order by account, strategy_id, symbol, ordinal"


@contextmanager
def ticking(lab: DagsterLab) -> Iterator[None]:
    """The facts and the ledger go on meanwhile."""
    done = threading.Event()
    thread = threading.Thread(target=lab.keep_ticking, args=(done,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(30)


def rows(lab: DagsterLab, query: str) -> list[tuple[Any, ...]]:
    """The rows of a query."""
    return [tuple(row) for row in lab.client.query(query).result_rows]


def test_the_definitions_are_those_that_were_reviewed(dagster_lab: DagsterLab) -> None:
    assert snapshot() == COMMITTED.read_text(encoding="utf-8"), "run `make definitions` and read what it changes"


def test_loading_the_definitions_asks_nobody(dagster_lab: DagsterLab, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert definitions("production").get_repository_def().get_all_jobs()


def test_a_look_observes_every_asset_and_evaluates_every_check(dagster_lab: DagsterLab) -> None:
    result = dagster_lab.run("nightly_recompute", LOOK)
    assert result.success
    graph = dagster_lab.definitions.resolve_asset_graph()
    observed = {event.asset_key for event in result.get_asset_observation_events()}
    assert observed == set(graph.get_all_asset_keys())
    verdicts = dagster_lab.verdicts(result)
    assert set(verdicts) == {key.to_user_string() for key in graph.asset_check_keys}
    # Views stand still in these tests.
    assert {check for check, passed in verdicts.items() if not passed and not check.endswith(":is_fresh")} == set()
    sums = {key for key in verdicts if key.endswith("equals_recompute")}
    assert len(sums) == len(ROLLUPS)
    assert rows(dagster_lab, "select count() > 10 from quant.strategy_hour final where account != ''") == [(True,)]
    # What is computed beside does not stay.
    assert dagster_lab.client.command("exists database quant_recompute") == 0


def test_a_corrupted_row_of_the_mirror_is_caught_told_and_repaired(dagster_lab: DagsterLab) -> None:
    lab, check = dagster_lab, "torghut_raw/executions:matches_source"
    before = rows(lab, "select id, filled_qty from torghut_raw.executions final order by id")
    lab.client.command(
        "insert into torghut_raw.executions select * replace (filled_qty + 1 as filled_qty, _version + 1 as _version)"
        " from torghut_raw.executions final where alpaca_account_label = 'paper-crypto' limit 1"
    )
    assert lab.verdicts(lab.run("quality_gates"))[check] is False
    assert lab.gate("matches_source:executions") == {CRYPTO: "error"}
    # Numbers of that account, and the sums that it is part of, are served as wrong; the other account's are not.
    quality = lab.served_quality()
    assert quality[CRYPTO] == quality[""] == {"error"}
    assert "error" not in quality["two"]

    result = lab.run("resync_mirror")
    assert lab.verdicts(result) == {check: True}
    assert lab.gate("matches_source:executions") == {CRYPTO: "ok"}
    assert rows(lab, "select id, filled_qty from torghut_raw.executions final order by id") == before
    assert all("error" not in found for found in lab.served_quality().values())


def test_a_corrupted_row_of_the_ledger_is_folded_anew(dagster_lab: DagsterLab) -> None:
    lab, check = dagster_lab, "quant/position_ledger:position_ledger_conserves_money"
    before = rows(lab, LEDGER)
    assert len(before) == 24
    lab.client.command(
        "insert into quant.position_ledger select * replace (gross_realized_pnl + 7 as gross_realized_pnl)"
        " from quant.position_ledger final where account = 'two' order by ordinal limit 1"
    )
    assert lab.verdicts(lab.run("quality_gates"))[check] is False
    assert lab.gate("dbt_test:position_ledger_conserves_money") == {"": "error"}
    assert all("error" in found for found in lab.served_quality().values())
    with ticking(lab):
        result = lab.run("rebuild_ledger", {"fold_ledger_anew": {"account": "two"}})
    assert all(lab.verdicts(result).values())
    assert rows(lab, LEDGER) == before
    assert lab.gate("dbt_test:position_ledger_conserves_money") == {"": "ok"}
    # Also of all keys at once, and again without a change.
    with ticking(lab):
        assert lab.run("rebuild_ledger").success
    assert rows(lab, LEDGER) == before


def test_a_rollup_that_drifted_is_exchanged_for_one_computed_anew(dagster_lab: DagsterLab) -> None:
    lab = dagster_lab
    lab.tick()
    columns = "hour_at, account, strategy_id, fills, realized_pnl, fees, notional"
    query = f"select {columns} from quant.strategy_hour final where account != '' order by all"
    before = rows(lab, query)
    lab.client.command(
        "insert into quant.strategy_hour select * replace (fees + 1 as fees) from quant.strategy_hour final"
        " where account = 'paper-crypto' order by hour_at limit 1"
    )
    assert rows(lab, query) != before
    found = lab.verdicts(lab.run("nightly_recompute", LOOK))
    assert [key for key, passed in found.items() if not passed and "equals_recompute" in key] == [
        "quant/strategy_hour:equals_recompute"
    ]
    assert lab.gate("equals_recompute:strategy_hour") == {CRYPTO: "error"}
    assert all(lab.verdicts(lab.run("rebuild_rollups")).values())
    assert rows(lab, query) == before
    # What grows from there on grows as before.
    lab.order(CRYPTO, "buy", 1, "90", FIRST)
    lab.catch_up()
    lab.tick()
    (fills,) = rows(lab, f"select sum(fills) from ({query}) where account = 'paper-crypto'")
    assert fills == (sum(row[3] for row in before if row[1] == CRYPTO) + 1,)
    assert all(
        passed for key, passed in lab.verdicts(lab.run("nightly_recompute", LOOK)).items() if "equals_recompute" in key
    )


def test_a_view_that_was_left_stopped_is_started(dagster_lab: DagsterLab) -> None:
    lab = dagster_lab
    # Nothing ticks by itself in these tests, so stages become late.
    late = "select count() from quant.quant_pipeline_health where age_seconds > allowed_lag_seconds"
    wait_for(lambda: rows(lab, late) != [(0,)], 90, "a stage is late")
    lab.client.command("system stop view quant.symbol_hour_sweep_refresh")
    status = "select status from system.view_refreshes where view = 'symbol_hour_sweep_refresh'"
    wait_for(lambda: rows(lab, status) == [("Disabled",)], 10, "the view is stopped")
    context = dg.build_sensor_context(instance=lab.instance, definitions=lab.definitions)
    result = revive_refreshes(context)
    assert isinstance(result, dg.SensorResult)
    wait_for(lambda: rows(lab, status) != [("Disabled",)], 10, "the view is started")
    # What is late is told once, not at every look.
    told = {(event.asset_key, event.check_name) for event in result.asset_events}
    assert {name for _, name in told} == {"is_fresh"}
    again = revive_refreshes(
        dg.build_sensor_context(instance=lab.instance, definitions=lab.definitions, cursor=result.cursor)
    )
    assert isinstance(again, dg.SensorResult)
    assert told.isdisjoint((event.asset_key, event.check_name) for event in again.asset_events)
    lab.client.command("system stop view quant.symbol_hour_sweep_refresh")
    wait_for(lambda: rows(lab, status) == [("Disabled",)], 10, "the view is stopped")
    assert lab.run("restart_refreshes").success
    wait_for(lambda: rows(lab, status) != [("Disabled",)], 10, "the view is started")


def test_a_session_is_closed_once(dagster_lab: DagsterLab) -> None:
    lab = dagster_lab
    result = lab.run("session_close", {"seal": {"closed_at": f"{NOW:%Y-%m-%d %H:%M:%S}"}})
    assert result.success
    assert "torghut_raw/executions:matches_source" in lab.verdicts(result)
    context = dg.build_sensor_context(instance=lab.instance, definitions=lab.definitions)
    # What closed before is not closed again.
    assert not [request for request in close_sessions(context) if isinstance(request, dg.RunRequest)]
    assert context.cursor
    assert "24/7" in context.cursor or "XNYS" in context.cursor
    earlier = dg.build_sensor_context(
        instance=lab.instance,
        definitions=lab.definitions,
        cursor='{"XNYS": "2000-01-01 00:00:00", "24/7": "2000-01-01 00:00:00"}',
    )
    (request, *_) = [found for found in close_sessions(earlier) if isinstance(found, dg.RunRequest)]
    assert request.run_key is not None
    assert request.run_config["ops"]["seal"]["config"]["closed_at"] in request.run_key


def test_the_first_look_is_one_per_start(dagster_lab: DagsterLab) -> None:
    context = dg.build_sensor_context(instance=dagster_lab.instance, definitions=dagster_lab.definitions)
    (request,) = first_look(context)
    assert isinstance(request, dg.RunRequest)
    assert request.run_config["ops"]["evaluate_gates"]["config"]["nightly"] is True
    # One that failed is tried again, one that did not is enough.
    job = dagster_lab.definitions.resolve_job_def("nightly_recompute")
    dagster_lab.instance.create_run_for_job(job, tags=request.tags, status=dg.DagsterRunStatus.FAILURE)
    (again,) = first_look(context)
    assert isinstance(again, dg.RunRequest)
    assert again.run_key != request.run_key
    dagster_lab.instance.create_run_for_job(job, tags=again.tags, status=dg.DagsterRunStatus.STARTED)
    (skipped,) = first_look(context)
    assert isinstance(skipped, dg.SkipReason)
    for left in dagster_lab.instance.get_runs(dg.RunsFilter(tags=request.tags)):
        dagster_lab.instance.delete_run(left.run_id)


def test_a_day_is_backfilled_and_a_second_run_finds_it_done(dagster_lab: DagsterLab) -> None:
    lab = dagster_lab
    day = f"{FIRST:%Y-%m-%d}"
    # Between 03:00 and 06:00 the first day begins behind its last moment of a grid of four hours.
    step = "4h" if FIRST.hour <= 20 else "1h"
    config = {"recompute_frames": {"account": CRYPTO, "window": "1h", "step": step}}

    def figures() -> dict[str, Any]:
        result = lab.run("backfill_frames", config, partition_key=day)
        (step,) = [event for event in result.all_events if event.is_successful_output]
        return {name: value.value for name, value in step.step_output_data.metadata.items()}

    first = figures()
    assert first["moments"] > 0
    assert first["rows"] > 0
    second = figures()
    assert (second["moments"], second["rows"]) == (0, 0)
    assert second["done_before"] == first["moments"]


def test_formulas_that_are_the_same_beside_give_the_same_frames(dagster_lab: DagsterLab) -> None:
    result = dagster_lab.run("roll_out_formulas", {"compare_versions": {"moments": 1}})
    assert result.success
    (step,) = [event for event in result.all_events if event.is_successful_output]
    found = {name: value.value for name, value in step.step_output_data.metadata.items()}
    assert found["metrics"] > 40
    assert found["rows"] > 500
    assert found["changed"] == 0
    assert dagster_lab.client.command("exists database quant_next") == 0


def test_old_runs_are_dropped(dagster_lab: DagsterLab) -> None:
    runs = dagster_lab.instance.get_runs_count()
    assert runs > 0
    assert dagster_lab.run("drop_old_runs").success
    assert dagster_lab.instance.get_runs_count() == runs + 1
    assert dagster_lab.run("drop_old_runs", {"delete_runs": {"success_days": 0, "failure_days": 0}}).success
    # The run that deletes is left.
    assert dagster_lab.instance.get_runs_count() == 1


@pytest.mark.parametrize("name", ["nothing_of_that_name"])
def test_an_unknown_table_is_refused(dagster_lab: DagsterLab, name: str) -> None:
    with pytest.raises(Exception, match=name):
        dagster_lab.run("resync_mirror", {"copy_tables_again": {"tables": [name]}})


@pytest.mark.slow
def test_a_build_of_everything_ends_in_the_same_ledger(dagster_lab: DagsterLab) -> None:
    lab = dagster_lab
    ledger = (
        "select count(), sum(cityHash64(fill_id, position_after, gross_realized_pnl)) from quant.position_ledger final"
        " where account != ''"
    )
    series = "select count() from quant.quant_metrics_series where as_of < now() - interval 1 hour"
    before, stored = rows(lab, ledger), rows(lab, series)
    assert before[0][0] > 0
    assert lab.run("rebuild_models").success
    # From here on the views run by themselves.
    wait_for(lambda: rows(lab, ledger) == before, 90, "the ledger of before")
    assert rows(lab, series) == stored
