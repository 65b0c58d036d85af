"""Doctor room: checks of the warehouse - reachable, new enough, writable, its cluster known."""

import logging
import time

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from orchestration.doctor.finding import Finding
from orchestration.errors import UserError
from orchestration.settings import Settings
from orchestration.warehouse.client import connect, endpoint

_AREA = "warehouse"
_SLOW_MILLISECONDS = 200.0


def check_warehouse(settings: Settings) -> list[Finding]:
    """Check the warehouse; what needs a connection is left out without one."""
    # The driver logs a traceback of its own for what becomes a finding here.
    logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)
    try:
        client = connect(settings)
    except UserError as error:
        if settings.embedded_warehouse and "does not answer" in error.message:
            return [
                Finding(_AREA, "connection", "warn", "the embedded ClickHouse does not run", "Start it: `make up`.")
            ]
        return [Finding(_AREA, "connection", "fail", error.message, error.remedy)]
    try:
        findings = [
            Finding(_AREA, "connection", "ok", f"{endpoint(settings).address} as {endpoint(settings).user}"),
            Finding(_AREA, "version", "ok", f"ClickHouse {client.server_version}"),
            _round_trip(client),
            _writable(client),
        ]
        if settings.clickhouse_cluster:
            findings.append(_cluster(client, settings.clickhouse_cluster))
        return findings
    except ClickHouseError as error:
        reason = str(error).splitlines()[0]
        return [Finding(_AREA, "queries", "fail", reason, "Correct what the warehouse complains about.")]
    finally:
        client.close()


def _round_trip(client: Client) -> Finding:
    samples = []
    for _ in range(3):
        started = time.perf_counter()
        client.query("select 1")
        samples.append((time.perf_counter() - started) * 1000)
    best = min(samples)
    remedy = "Put the mirror near the warehouse: each batch waits for several round trips."
    return Finding(_AREA, "round trip", "warn" if best > _SLOW_MILLISECONDS else "ok", f"{best:.1f} ms", remedy)


def _writable(client: Client) -> Finding:
    readonly = client.query("select getSetting('readonly')").result_rows[0][0]
    if int(readonly) == 1:
        return Finding(
            _AREA,
            "write privilege",
            "fail",
            "the user may only read",
            "Set CLICKHOUSE_USER to a user that may create databases and tables.",
        )
    return Finding(_AREA, "write privilege", "ok", "the user may write")


def _cluster(client: Client, name: str) -> Finding:
    result = client.query("select count() from system.clusters where cluster = {name:String}", {"name": name})
    replicas = int(result.result_rows[0][0])
    if replicas == 0:
        return Finding(
            _AREA,
            "cluster",
            "fail",
            f"the server knows no cluster {name}",
            "Correct CLICKHOUSE_CLUSTER, or define the cluster on the server.",
        )
    return Finding(_AREA, "cluster", "ok", f"{name} with {replicas} replicas")
