"""Gates: data tests of the dbt project, run as dbt compiled them but without dbt, which takes seconds to begin."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from orchestration.gates.verdict import Finding, Severity, Verdict, gates

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client


@dataclass(frozen=True)
class DataTest:
    """A test of the manifest: the node that it is about, its SQL and what dbt counts as a failure."""

    name: str
    node: str
    severity: Severity
    sql: str
    failures: str
    fails_if: str
    description: str
    # The job that repairs what it finds, of `meta`; empty: that of the gate.
    repair: str = ""


def data_tests(manifest: dict[str, Any]) -> list[DataTest]:
    """The tests of a manifest that dbt compiled, by name."""
    return sorted(
        (
            DataTest(
                node["name"],
                node.get("attached_node") or node["depends_on"]["nodes"][0],
                "error" if node["config"]["severity"].lower() == "error" else "warn",
                node.get("compiled_code") or "",
                node["config"]["fail_calc"],
                node["config"]["error_if"],
                node.get("description", ""),
                node["config"].get("meta", {}).get("repair", ""),
            )
            for node in manifest["nodes"].values()
            if node["resource_type"] == "test"
        ),
        key=lambda test: test.name,
    )


def evaluate_test(client: Client, test: DataTest) -> Verdict:
    """Run a test and say whether it found more than it may."""
    ((failures, fails),) = client.query(
        f"select {test.failures} as failures, failures {test.fails_if} as fails from ({test.sql}\n) as found"
    ).result_rows
    findings = [Finding(f"{test.name}: {failures} failures")] if fails else []
    gate = gates()["dbt_test"]
    return Verdict(
        f"dbt_test:{test.name}",
        replace(gate, repair=test.repair or gate.repair),
        test.severity,
        findings,
        {"failures": int(failures or 0)},
    )
