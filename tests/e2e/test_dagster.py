"""Dagster as services with its runs in Postgres: healthy by itself, and what is killed or stands still comes back."""

import json
import os
import re
import signal
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchestration.source.embedded import EmbeddedPostgres
from tests.databases import fresh_database
from tests.e2e.running import RunningUp
from tests.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

_SELECTOR = {"repositoryLocationName": "jangar-quant", "repositoryName": "__repository__"}
_ASSETS = """{ assetNodes { assetKey { path } assetObservations(limit: 1) { timestamp } assetChecksOrError {
  ... on AssetChecks { checks { name executionForLatestMaterialization { status } } } } } }"""
_LAUNCH = """mutation Launch($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
_RUNS = """query Runs($job: String!) { runsOrError(filter: {pipelineName: $job}) { ... on Runs { results {
  runId status creationTime eventConnection { events { ... on MessageEvent { message } } } } } } }"""
# Everything that frames say, but up to when they knew, and how far the mirror was by then.
_STORED = (
    "select count(), sum(cityHash64(* except (known_at))) from quant.quant_metrics_series final"
    " where toDate(as_of) = {day:Date} and metric_name != 'metrics_pipeline_lag_seconds'"
)


@dataclass
class Dagster:
    """Dagster's page beside everything else."""

    up: RunningUp

    def ask(self, query: str, **variables: Any) -> Any:
        """Ask its GraphQL."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.up.ports['JANGAR_QUANT_DAGSTER_PORT']}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            found = json.load(response)
        assert "errors" not in found, found["errors"]
        return found["data"]

    def state(self) -> tuple[set[str], Counter[str]]:
        """Assets that nobody has observed, and how many checks have which status."""
        try:
            nodes = self.ask(_ASSETS)["assetNodes"]
        except OSError:
            return {"no page yet"}, Counter()
        unseen = {"/".join(node["assetKey"]["path"]) for node in nodes if not node["assetObservations"]}
        checks = [check for node in nodes for check in node["assetChecksOrError"].get("checks", [])]
        return unseen, Counter((check["executionForLatestMaterialization"] or {}).get("status") for check in checks)

    def launch(self, job: str, config: dict[str, Any], partition: str = "") -> None:
        """Launch a run, as its page does."""
        tags = [{"key": "dagster/partition", "value": partition}] if partition else []
        launched = self.ask(
            _LAUNCH,
            params={
                "selector": {**_SELECTOR, "pipelineName": job},
                "runConfigData": config,
                "mode": "default",
                "executionMetadata": {"tags": tags},
            },
        )["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched

    def runs(self, job: str) -> list[dict[str, Any]]:
        """The runs of a job, the first one first."""
        found = self.ask(_RUNS, job=job)["runsOrError"]["results"]
        return sorted(found, key=lambda run: run["creationTime"])

    def process_of(self, run: dict[str, Any]) -> int:
        """The process in which a run's steps are executed; 0 before there is one."""
        told = " ".join(event.get("message") or "" for event in run["eventConnection"]["events"])
        found = re.search(r"\(pid: (\d+)\)", told)
        return int(found[1]) if found else 0


@pytest.fixture(scope="module")
def dagster(postgres_server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dagster]:
    """All of `up`, with Dagster as in production, when its graph is healthy."""
    with fresh_database(postgres_server) as url:
        production = {"JANGAR_QUANT_DAGSTER_ENVIRONMENT": "production", "DAGSTER_POSTGRES_URL": url}
        running = RunningUp(tmp_path_factory.mktemp("dagster") / "state", production, arguments=())
        running.start()
        try:
            running.wait_until_up()
            found = Dagster(running)
            wait_for(lambda: not found.state()[0], 180, "every asset is observed", interval=1)
            # Else the past goes on changing.
            running.wait_until_history_is_in()
            yield found
        finally:
            running.stop()


def test_the_graph_is_healthy_without_a_click(dagster: Dagster) -> None:
    wait_for(lambda: set(dagster.state()[1]) == {"SUCCEEDED"}, 90, "every check is green", interval=1)


def test_a_backfill_that_is_killed_twice_is_the_same_as_one_that_is_not(dagster: Dagster) -> None:
    day = (datetime.now(UTC) - timedelta(days=1)).date()
    with dagster.up.warehouse() as warehouse:

        def stored() -> tuple[int, int]:
            return warehouse.query(_STORED, parameters={"day": day}).result_rows[0]

        def backfill(again: bool) -> None:
            config = {
                "ops": {"recompute_frames": {"config": {"account": "paper-crypto", "step": "2h", "again": again}}}
            }
            dagster.launch("backfill_frames", config, day.isoformat())

        assert stored()[0] == 0
        backfill(again=False)
        for attempt in (0, 1):
            wait_for(lambda n=attempt: dagster.runs("backfill_frames")[n], 180, f"run {attempt} is there", 1)
            wait_for(lambda n=stored()[0]: stored()[0] > n + 1000, 180, f"run {attempt} stores frames", 0.2)
            os.kill(dagster.process_of(dagster.runs("backfill_frames")[attempt]), signal.SIGKILL)
        wait_for(
            lambda: [run["status"] for run in dagster.runs("backfill_frames")] == ["FAILURE", "FAILURE", "SUCCESS"],
            480,
            "two killed runs, and one that came to an end",
            interval=1,
        )
        killed = stored()
        backfill(again=True)
        wait_for(
            lambda: [run["status"] for run in dagster.runs("backfill_frames")][3:] == ["SUCCESS"],
            480,
            "the same backfill without a kill",
            interval=1,
        )
        assert stored() == killed


def test_a_mirror_that_stands_still_fails_a_check_and_opens_an_alert(dagster: Dagster) -> None:
    mirror = dagster.up.children()["mirror"]
    alerts = "select policy_id from quant.api_active_alerts where policy_id = 'metrics_pipeline_lag'"
    with dagster.up.warehouse() as warehouse:

        def opened() -> bool:
            return bool(warehouse.query(alerts).result_rows)

        os.kill(mirror, signal.SIGSTOP)
        try:
            wait_for(lambda: dagster.state()[1]["FAILED"], 120, "the sensor fails a check", interval=1)
            wait_for(opened, 60, "an alert is open", interval=1)
        finally:
            os.kill(mirror, signal.SIGCONT)
        wait_for(lambda: set(dagster.state()[1]) == {"SUCCEEDED"}, 120, "every check is green again", interval=1)
        wait_for(lambda: not opened(), 120, "the alert has ended", interval=1)


def test_killed_services_come_back_and_run_what_is_asked(dagster: Dagster) -> None:
    for name, process in dagster.up.children().items():
        if name.startswith("dagster-"):
            os.kill(process, signal.SIGKILL)
    wait_for(lambda: dagster.ask("{ version }"), 120, "the page is there again", interval=1)
    wait_for(lambda: dagster.launch("drop_old_runs", {}) is None, 120, "the definitions are there again", interval=1)
    wait_for(
        lambda: "SUCCESS" in {run["status"] for run in dagster.runs("drop_old_runs")},
        120,
        "the run is done",
        interval=1,
    )
