"""What gates conclude, without a database."""

from datetime import date
from decimal import Decimal

import pytest

from orchestration.defs.environments import ENVIRONMENTS, unattended
from orchestration.errors import UserError
from orchestration.gates.freshness import Age, is_fresh
from orchestration.gates.source import differences
from orchestration.gates.tests import data_tests
from orchestration.gates.verdict import Finding, Verdict, gates
from orchestration.repair.rollups import beside
from orchestration.transform.beside import Change, compare_rows

DAY = (date(2026, 3, 2), "paper")
NAMES = ["rows", "sum of filled_qty"]


def sums(rows: int, quantity: str) -> dict[tuple[date, str], tuple[Decimal, ...]]:
    """One day of one account."""
    return {DAY: (Decimal(rows), Decimal(quantity))}


def test_a_day_that_agrees_is_no_difference() -> None:
    assert differences(NAMES, sums(2, "3.5"), sums(2, "3.5"), sums(2, "3.5")) == ([], False)


def test_a_day_that_grows_may_lie_between_two_looks_at_the_mirror() -> None:
    assert differences(NAMES, sums(2, "3"), sums(3, "4"), sums(4, "9")) == ([], False)


def test_what_lies_outside_of_both_looks_differs_and_says_whether_the_day_moved() -> None:
    (still,), moved = differences(NAMES, sums(2, "3"), sums(2, "4"), sums(2, "3"))
    assert (still.what, still.source, still.mirrored, moved) == ("sum of filled_qty", Decimal(4), Decimal(3), False)
    found, moved = differences(NAMES, sums(2, "3"), sums(9, "4"), sums(3, "5"))
    assert ([d.what for d in found], moved) == (["rows"], True)


def test_a_day_that_one_side_lacks_differs() -> None:
    found, _ = differences(NAMES, {}, sums(1, "1"), {})
    assert [(d.day, d.account, d.what) for d in found] == [(*DAY, "rows"), (*DAY, "sum of filled_qty")]
    assert len(differences(NAMES, sums(1, "1"), {}, sums(1, "1"))[0]) == 2


def test_a_stage_is_late_by_its_own_age_and_fails_by_its_error() -> None:
    assert is_fresh("facts", Age(3.0, 16.0, "")).passed
    assert not is_fresh("facts", Age(17.0, 16.0, "")).passed
    assert not is_fresh("facts", Age(None, 16.0, "")).passed
    assert "boom" in is_fresh("facts", Age(3.0, 16.0, "boom\nstack")).summary
    assert not is_fresh("facts", None).passed


def test_a_summary_tells_some_findings_and_the_repair() -> None:
    gate = gates()["matches_source"]
    verdict = Verdict("c", gate, "error", [Finding(f"f{number}") for number in range(7)])
    assert verdict.summary == f"f0; f1; f2; f3; f4; and 2 more. Repair: job {gate.repair}."
    assert Verdict("c", gate, "error").summary == ""


def test_every_repair_of_a_gate_is_a_job_and_every_environment_is_known() -> None:
    from orchestration.defs.recompute.backfill import backfill_frames
    from orchestration.defs.repairs.jobs import JOBS

    names = {job.name for job in (*JOBS, backfill_frames)}
    assert {gate.repair for gate in gates().values()} - {""} <= names
    assert unattended("manual").schedules == {}
    with pytest.raises(UserError, match="staging"):
        unattended("staging")
    assert set(ENVIRONMENTS) == {"embedded", "production", "manual"}


def test_tests_of_a_manifest_count_as_dbt_counts() -> None:
    config = {"severity": "WARN", "fail_calc": "sum(n)", "error_if": "> 3"}
    nodes = {
        "test.p.t": {
            "name": "t",
            "resource_type": "test",
            "config": config,
            "depends_on": {"nodes": ["model.p.m"]},
            "compiled_code": "select 1 as n",
        },
        "model.p.m": {"resource_type": "model"},
    }
    (found,) = data_tests({"nodes": nodes})
    assert (found.node, found.severity, found.failures, found.fails_if) == ("model.p.m", "warn", "sum(n)", "> 3")


def test_the_rollups_beside_take_the_place_of_the_rollups_and_of_nothing_else() -> None:
    text = "select * from quant.strategy_hour, `quant`.`position_hour`, quant.strategy_hour_refresh, quant.trade"
    assert beside(text) == (
        "select * from quant_recompute.strategy_hour, quant_recompute.position_hour, quant.strategy_hour_refresh,"
        " quant.trade"
    )


def test_a_metric_that_changes_under_its_version_is_told_from_one_whose_version_was_raised() -> None:
    row = {"value": 1.0, "reason": "", "formula_version": "1"}
    same, silent, raised, lost = Change("a"), Change("b"), Change("c"), Change("d")
    compare_rows(same, row, row)
    compare_rows(silent, row, {**row, "value": 3.0})
    compare_rows(raised, row, {**row, "value": 3.0, "formula_version": "2"})
    compare_rows(lost, row, None)
    assert [(c.different, c.largest, c.is_silent) for c in (same, silent, raised, lost)] == [
        (0, 0.0, False),
        (1, 2.0, True),
        (1, 2.0, False),
        (1, 0.0, False),
    ]
