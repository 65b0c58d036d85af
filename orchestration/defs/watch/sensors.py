"""Sensors: the first look after a start, views that stand still, sessions that closed.

Each is one or two small queries in the process that holds the definitions. None launches a run twice for the same.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

import dagster as dg

from orchestration.defs.manifest import manifest
from orchestration.defs.quality.checks import all_checks, evaluate, evaluation_of
from orchestration.defs.quality.definitions import Look, nightly_recompute
from orchestration.defs.quality.lab import Lab
from orchestration.defs.recompute.session_close import Session, last_close, sealed_until, session_close
from orchestration.errors import UserError
from orchestration.gates.refreshes import troubles
from orchestration.repair.refreshes import revive
from orchestration.settings import get_settings
from orchestration.warehouse.client import connect

# One first look per start of the definitions' server.
_START = uuid.uuid4().hex
_LOOK = "jangar-quant/first-look"
# A view is revived so often in a row, then every so many looks.
_ATTEMPTS = 3
_PAUSE = 20
_RUNNING = dg.DefaultSensorStatus.RUNNING
_WATCHED = {"is_fresh", "refreshes_succeed"}


@dg.sensor(job=nightly_recompute, minimum_interval_seconds=5, default_status=_RUNNING)
def first_look(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Look at everything once, as soon as the warehouse computes frames: nobody has to click to see its state.

    A look that came to no end, as on a machine too busy to begin it, is tried again, a few times.
    """
    looks = context.instance.get_runs(dg.RunsFilter(tags={_LOOK: _START}))
    ended_badly = (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
    if any(run.status not in ended_badly for run in looks):
        yield dg.SkipReason("there is a look of this start")
        return
    if len(looks) >= _ATTEMPTS:
        yield dg.SkipReason(f"{len(looks)} looks of this start have failed")
        return
    try:
        with connect(get_settings()) as client:
            waiting = client.query(
                "select count() from quant.quant_pipeline_health where last_success_at is null or error != ''"
            ).result_rows[0][0]
    except UserError as error:
        yield dg.SkipReason(error.message)
        return
    if waiting > 0:
        yield dg.SkipReason(f"{waiting} stages have not succeeded yet")
        return
    yield dg.RunRequest(
        run_key=f"{_START}:{len(looks)}",
        run_config=dg.RunConfig(ops={"evaluate_gates": Look(days=0, nightly=True, moments=1)}),
        tags={_LOOK: _START},
    )


@dg.sensor(minimum_interval_seconds=30, default_status=_RUNNING)
def revive_refreshes(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Revive views that are in trouble, a few times, and keep in the warehouse which stages are late.

    What stays in trouble is a failing gate, of which an alert opens. Views that a run has stopped on purpose are its
    own: nothing is revived while a run is under way.
    """
    memory = json.loads(context.cursor or '{"attempts": {}, "failing": []}')
    attempts: dict[str, int] = memory["attempts"]
    failing: list[str] = []
    is_busy = context.instance.get_runs_count(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])) > 0
    events = []
    try:
        with Lab(get_settings()) as lab:
            found = troubles(lab.client)
            for trouble in found:
                count = attempts.get(trouble.view, 0)
                if not is_busy and (count < _ATTEMPTS or count % _PAUSE == 0):
                    context.log.info(f"{trouble.view} {trouble.kind}, attempt {count + 1}: {trouble.text}")
                    revive(lab.client, trouble)
            attempts = {trouble.view: attempts.get(trouble.view, 0) + 1 for trouble in found}
            watched = [check for check in all_checks(manifest()) if check.gate in _WATCHED]
            for check, verdict in evaluate(lab, watched, ""):
                key = check.key.to_user_string()
                # An event only where it changes: the page shows the newest, the warehouse keeps all that fail.
                if verdict.passed == (key in memory["failing"]):
                    events.append(evaluation_of(check, verdict))
                if not verdict.passed:
                    failing.append(key)
    except UserError as error:
        return dg.SkipReason(error.message)
    return dg.SensorResult(asset_events=events, cursor=json.dumps({"attempts": attempts, "failing": failing}))


@dg.sensor(job=session_close, minimum_interval_seconds=120, default_status=_RUNNING)
def close_sessions(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Launch `session_close` once per calendar and close, when the hours up to the close are summed up."""
    done: dict[str, str] = json.loads(context.cursor or "{}")
    try:
        with connect(get_settings()) as client:
            calendars = [
                row[0]
                for row in client.query("select distinct calendar from quant.api_accounts order by 1").result_rows
            ]
            sealed = sealed_until(client) if calendars else ""
            closes = {calendar: last_close(client, calendar) for calendar in calendars}
    except UserError as error:
        yield dg.SkipReason(error.message)
        return
    # The first look has looked at what closed before Dagster was there.
    fresh = {c: at for c, at in closes.items() if c in done and at > done[c] and at <= sealed}
    for calendar, closed_at in fresh.items():
        config = dg.RunConfig(ops={"seal": Session(calendar=calendar, closed_at=closed_at)})
        yield dg.RunRequest(run_key=f"{calendar} {closed_at}", run_config=config)
    if not fresh:
        yield dg.SkipReason("no session has closed since")
    context.update_cursor(json.dumps({**{c: at for c, at in closes.items() if c not in done}, **done, **fresh}))


SENSORS = {sensor.name: sensor for sensor in (first_look, revive_refreshes, close_sessions)}
