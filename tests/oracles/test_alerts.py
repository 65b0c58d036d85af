"""The life of alerts, by a table of cases that all run at once: each has a policy and an account of its own."""

import itertools
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from clickhouse_connect.driver.client import Client

from orchestration.alerts.policies import read_policies
from orchestration.alerts.rehearsal import rehearse
from orchestration.errors import UserError
from orchestration.gates.record import record
from orchestration.gates.verdict import Finding, Verdict, gates
from tests.oracles.world import START, VIEWS, Order, World

CASES = yaml.safe_load((Path(__file__).parent / "alert_cases.yaml").read_text())
DEFAULTS = {
    "subject": "metric",
    "signal": "measured",
    "strategy": "any",
    "account": "each",
    "window": "1d",
    "comparison": "above",
    "threshold": 5.0,
    "clear_threshold": 3.0,
    "open_after": 1,
    "clear_after": 1,
    "severity": "warning",
    "category": "strategy",
    "session_gated": 0,
    "on_missing": "keep",
    "inhibited_by": "",
    "runbook": "",
    "description": "",
}
EVALUATION = ("alert_state_refresh", "quant_alerts_refresh")
END = datetime(2999, 1, 1, tzinfo=UTC)
STRATEGY = str(uuid.UUID(int=7))


@pytest.fixture
def policies(built: Client) -> Iterator[None]:
    """No policies but those of the test; afterwards the project's own again."""
    kept = built.query("select * from quant.alert_policies")
    built.command("truncate table quant.alert_policies")
    yield
    built.command("truncate table quant.alert_policies")
    built.insert("quant.alert_policies", kept.result_rows, column_names=kept.column_names, database="quant")


class Signals:
    """Writes signals as the tick does, and has them evaluated."""

    def __init__(self, world: World) -> None:
        self.client = world.client
        self.moment = itertools.count(1)

    def set_policies(self, rows: list[dict[str, Any]]) -> None:
        self.client.command("truncate table quant.alert_policies")
        names = ["policy_id", *DEFAULTS]
        self.client.insert("quant.alert_policies", [[row[name] for name in names] for row in rows], column_names=names)

    def evaluate(self, rows: list[dict[str, Any]]) -> None:
        """Replace all signals and evaluate the policies."""
        self.client.command("truncate table quant.alert_signal")
        names = ["subject", "signal", "strategy_id", "account", "window", "as_of", "value", "reason", "is_open", "seen"]
        self.client.insert("quant.alert_signal", [[row[name] for name in names] for row in rows], column_names=names)
        for view in EVALUATION:
            self.client.command(f"system refresh view quant.{view}")
            self.client.command(f"system wait view quant.{view}")

    def states(self) -> dict[str, str]:
        """State by policy of what is not normal."""
        return dict(self.client.query("select policy_id, state from quant.alert_state").result_rows)

    def transitions(self, policy: str = "") -> list[dict[str, Any]]:
        """What was told, in its order."""
        return list(
            self.client.query(
                "select * from quant.quant_alerts final where {policy:String} in ('', policy_id)"
                " order by transition_at",
                parameters={"policy": policy},
            ).named_results()
        )


def signal(account: str, number: int, value: float | None, **columns: Any) -> dict[str, Any]:
    """A signal, a second after that of the number before."""
    return {
        "subject": "metric",
        "signal": "measured",
        "strategy_id": "",
        "account": account,
        "window": "1d",
        "as_of": START + timedelta(seconds=number),
        "value": value,
        "reason": "",
        "is_open": 1,
        "seen": number + 1,
        **columns,
    }


def _frames(case: dict[str, Any]) -> list[dict[str, Any]]:
    return [frame if isinstance(frame, dict) else {"value": frame} for frame in case["frames"]]


def _policy(case: dict[str, Any], number: int, step: int) -> dict[str, Any] | None:
    """The case's policy as it is at a step; None when it is taken away."""
    name = f"case_{number}"
    policy = {**DEFAULTS, "policy_id": name, "account": name, **case.get("policy", {})}
    if policy["inhibited_by"]:
        policy["inhibited_by"] = f"cause_{number}"
    for frame in _frames(case)[: step + 1]:
        if frame.get("removed"):
            return None
        policy |= frame.get("policy", {})
    return policy


def _signals(case: dict[str, Any], number: int, step: int) -> list[dict[str, Any]]:
    """The case's signals at a step; the last frame stays when the case is over."""
    frames = _frames(case)
    found = []
    if "cause" in case:
        found.append(signal(f"cause_{number}", step, case["cause"][min(step, len(frames) - 1)]))
    frame = frames[min(step, len(frames) - 1)]
    if frame.get("absent"):
        return found
    seen = step
    while seen > 0 and seen < len(frames) and frames[seen].get("same"):
        seen -= 1
    columns: dict[str, Any] = {"is_open": int(not frame.get("closed")), "seen": seen + 100}
    if frame.get("earlier"):
        columns["as_of"] = START - timedelta(seconds=step)
    if any(other.get("disabled") for other in frames):
        columns["strategy_id"] = STRATEGY
    return [*found, signal(f"case_{number}", step, frame.get("value"), **columns)]


def test_states_of_every_case(world: World, policies: None) -> None:
    signals = Signals(world)
    for step in range(max(len(case["frames"]) for case in CASES)):
        running = [(number, case) for number, case in enumerate(CASES) if step < len(case["frames"])]
        rows = [policy for number, case in running if (policy := _policy(case, number, step))]
        rows += [
            {**DEFAULTS, "policy_id": f"cause_{number}", "account": f"cause_{number}"}
            for number, case in running
            if "cause" in case
        ]
        signals.set_policies(rows)
        is_disabled = any(frame.get("disabled") for _, case in running for frame in _frames(case)[step : step + 1])
        world.client.command("truncate table torghut_raw.strategies")
        world.client.insert(
            "torghut_raw.strategies",
            [[STRATEGY, "any", not is_disabled, step + 1]],
            column_names=["id", "name", "enabled", "_version"],
        )
        # One scope of the signal is always there, so that a scope that is not is gone.
        signals.evaluate([signal("other", step, 0.0)] + [s for n, case in running for s in _signals(case, n, step)])
        found = signals.states()
        for number, case in running:
            expected, name = case["states"][step], f"case_{number}"
            told = signals.transitions(name)
            if expected == "resolved":
                assert told, (case["name"], step)
                assert (found.get(name, "normal"), told[-1]["state"]) == ("normal", "resolved"), (case["name"], step)
                assert told[-1]["resolved_at"] is not None
                assert told[-1]["reason"] == case.get("reason", told[-1]["reason"]), case["name"]
            else:
                assert found.get(name, "normal") == expected, (case["name"], step)
    for number, case in enumerate(CASES):
        told = signals.transitions(f"case_{number}")
        wanted = case.get("episodes", case["states"].count("resolved") or int("open" in case["states"]))
        assert len({row["alert_id"] for row in told}) == wanted, case["name"]


def test_a_rehearsal_tells_what_the_tick_would_have_told(world: World, tmp_path: Path) -> None:
    cases = [case for case in CASES if "cause" not in case and not any(isinstance(f, dict) for f in case["frames"])]
    cases = [case for case in cases if not case.get("policy", {}).get("session_gated")]
    assert len(cases) > 8
    # Of what is older than a day the series keeps one row a minute.
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    rows, lines, wanted = [], [], []
    for number, case in enumerate(cases):
        name = f"case_{number}"
        policy = {**DEFAULTS, "policy_id": name, "account": name, "signal": "win_rate", **case.get("policy", {})}
        lines.append(",".join(str(policy[column]) for column in ["policy_id", *DEFAULTS]))
        opened: datetime | None = None
        for step, (value, state) in enumerate(zip(case["frames"], case["states"], strict=True)):
            at = start + timedelta(seconds=step)
            rows.append(["", name, "1d", "win_rate", at, value, "ok", "good", "", step])
            if state == "open" and opened is None:
                opened = at
            if state == "resolved":
                wanted.append((name, opened, at))
                opened = None
        if opened:
            wanted.append((name, opened, END))
    names = ["strategy_id", "account", "window", "metric_name", "as_of", "value", "status", "quality", "reason"]
    world.client.insert("quant.quant_metrics_series", rows, column_names=[*names, "sample_count"])
    file = tmp_path / "policies.csv"
    file.write_text("\n".join([",".join(["policy_id", *DEFAULTS]), *lines]) + "\n")
    found = rehearse(world.client, read_policies(file), start, start + timedelta(minutes=1))
    assert sorted((e.policy_id, e.opened_at, e.resolved_at or END) for e in found.episodes) == sorted(wanted)
    assert found.pages_per_day(found.of("case_0")) == pytest.approx(1440)


def test_a_rehearsal_replays_what_was_seen_of_the_pipeline(world: World, policies: None, tmp_path: Path) -> None:
    health = {**DEFAULTS, "subject": "health", "window": "any", "account": "total"}
    rows = [
        {**health, "policy_id": "cause", "signal": "cause_age", "open_after": 2},
        {**health, "policy_id": "effect", "signal": "effect_age", "inhibited_by": "cause"},
        {**health, "policy_id": "short_effect", "signal": "short_age", "inhibited_by": "cause"},
        {**health, "policy_id": "before", "signal": "before_age", "inhibited_by": "cause"},
        {**health, "policy_id": "missing", "signal": "missing_age", "on_missing": "open"},
    ]
    seen: dict[str, list[float | None]] = {
        "cause_age": [0, 9, 9, 9, 0, 0, 0, 0],
        "effect_age": [0, 9, 9, 9, 9, 9, 9, 0],
        "short_age": [0, 0, 9, 9, 0, 0, 0, 0],
        "before_age": [9, 9, 9, 9, 0, 0, 0, 0],
        "missing_age": [0, 0, None, None, None, 0, 0, 0],
    }
    signals = Signals(world)
    signals.set_policies(rows)
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    moments = [start + timedelta(seconds=5 * step) for step in range(8)]
    for step, moment in enumerate(moments):
        signals.evaluate(
            [
                signal("", step, values[step], subject="health", signal=name, window="", as_of=moment)
                for name, values in seen.items()
            ]
        )
        world.client.command("system refresh view quant.alert_signal_sample_refresh")
        world.client.command("system wait view quant.alert_signal_sample_refresh")
    told: dict[str, dict[str, datetime]] = {}
    for row in signals.transitions():
        told.setdefault(row["policy_id"], {})[row["state"]] = row["transition_at"].replace(tzinfo=UTC)
    expected = {
        "cause": (moments[2], moments[4]),
        "effect": (moments[5], moments[7]),
        "before": (moments[0], moments[4]),
        "missing": (moments[2], moments[5]),
    }
    assert {name: (at["open"], at["resolved"]) for name, at in told.items()} == expected
    file = tmp_path / "policies.csv"
    lines = [",".join(str(row[name]) for name in ["policy_id", *DEFAULTS]) for row in rows]
    file.write_text("\n".join([",".join(["policy_id", *DEFAULTS]), *lines]) + "\n")
    found = rehearse(world.client, read_policies(file), start, start + timedelta(minutes=1))
    # A rehearsal does not know the frame after the end of the cause, at which the evaluation begins to count.
    expected["effect"] = (moments[4], moments[7])
    assert {e.policy_id: (e.opened_at, e.resolved_at) for e in found.episodes} == expected
    assert len(found.episodes) == len(expected)


# New York opens at 9:30 and closes at 16:00, at 13:00 the day after Thanksgiving and on Christmas Eve; the clocks go on
# 8 March and back on 1 November 2026. Source: the exchange's hours and calendar.
SESSIONS = {
    "2026-03-06T14:29:00Z paper": False,
    "2026-03-06T14:31:00Z paper": True,
    "2026-03-06T20:59:00Z paper": True,
    "2026-03-06T21:01:00Z paper": False,
    "2026-03-09T13:29:00Z paper": False,
    "2026-03-09T13:31:00Z paper": True,
    "2026-03-09T20:01:00Z paper": False,
    "2026-10-30T13:31:00Z paper": True,
    "2026-11-02T13:31:00Z paper": False,
    "2026-11-02T14:31:00Z paper": True,
    "2025-11-27T16:00:00Z paper": False,
    "2025-11-28T17:59:00Z paper": True,
    "2025-11-28T18:01:00Z paper": False,
    "2025-12-24T17:59:00Z paper": True,
    "2025-12-24T18:01:00Z paper": False,
    "2025-12-25T16:00:00Z paper": False,
    "2026-01-01T16:00:00Z paper": False,
    "2026-03-07T16:00:00Z paper": False,
    "2026-03-07T16:00:00Z paper-crypto": True,
    "2025-12-25T03:00:00Z paper-crypto": True,
    "2026-03-08T07:30:00Z paper-crypto": True,
    "2026-11-01T06:30:00Z paper-crypto": True,
}


def test_a_gated_policy_opens_in_sessions_only(world: World, tmp_path: Path) -> None:
    rows, wanted = [], set()
    for number, (case, is_open) in enumerate(SESSIONS.items()):
        at, _, account = case.partition(" ")
        strategy = str(world.strategy(f"strategy {number}"))
        moment = datetime.fromisoformat(at)
        rows.append([strategy, account, "1d", "win_rate", moment, 9.0, "ok", "good", "", number])
        if is_open:
            wanted.add((strategy, account, moment))
    world.batch()
    names = ["strategy_id", "account", "window", "metric_name", "as_of", "value", "status", "quality", "reason"]
    world.client.insert("quant.quant_metrics_series", rows, column_names=[*names, "sample_count"])
    policy = {**DEFAULTS, "policy_id": "gated", "signal": "win_rate", "strategy": "each", "session_gated": 1}
    file = tmp_path / "policies.csv"
    columns = ["policy_id", *DEFAULTS]
    file.write_text(",".join(columns) + "\n" + ",".join(str(policy[column]) for column in columns) + "\n")
    found = rehearse(world.client, read_policies(file), datetime(2025, 11, 1, tzinfo=UTC), datetime.now(UTC))
    assert {(e.strategy_id, e.account, e.opened_at) for e in found.episodes} == wanted


@pytest.fixture
def closed_market(world: World) -> Iterator[World]:
    """New York as it is after three days without a session; afterwards its calendar again."""
    recent = "calendar = 'XNYS' and closes_at > now() - interval 3 day"
    columns = world.client.query(f"select * from quant.trading_session where {recent}")
    gone = f"alter table quant.trading_session delete where {recent} settings mutations_sync = 2"
    world.client.command(gone)
    yield world
    world.client.command(gone)
    world.client.insert("quant.trading_session", columns.result_rows, column_names=columns.column_names)


def test_a_market_closed_for_three_days_tells_nothing_and_an_open_one_without_data_does(closed_market: World) -> None:
    world = closed_market
    [(last, before)] = world.client.query(
        "select closes_at, ms_before from quant.trading_session where calendar = 'XNYS' and closes_at < now()"
        " order by closes_at desc limit 1"
    ).result_rows
    closed_at = last.replace(tzinfo=UTC)
    strategy = world.strategy("weekend")
    for number in range(120):
        at = closed_at - timedelta(minutes=120 - number)
        world.snapshot(at, Decimal(10_000 + number))
        if number % 10 == 0:
            side = "sell" if number % 20 else "buy"
            decision = world.decision(strategy, at)
            world.order(
                Order(
                    side,
                    Decimal(1 + (side == "buy")),
                    Decimal(100 + number),
                    at,
                    "paper",
                    "MU",
                    decision,
                    fee=Decimal("0.01"),
                )
            )
    world.quotes(("MU", closed_at - timedelta(minutes=number + 1), 200.0) for number in range(120))

    def evaluate() -> set[str]:
        for _ in range(3):
            world.batch()
            world.tick(VIEWS)
        return {row[0] for row in world.client.query("select distinct policy_id from quant.quant_alerts").result_rows}

    assert evaluate() == set()
    names = {row[0] for row in world.client.query("select distinct signal from quant.alert_signal").result_rows}
    assert {"ta_freshness_seconds", "minutes_without_data", "max_drawdown", "light_tier_age_seconds"} <= names
    # The same facts, an hour after the next opening.
    now = datetime.now(UTC)
    opened = [["XNYS", now.date(), now - timedelta(hours=1), now + timedelta(hours=1), before + 23_400_000]]
    columns = ["calendar", "session_date", "opens_at", "closes_at", "ms_before"]
    world.client.insert("quant.trading_session", opened, column_names=columns)
    assert evaluate() == {"ta_freshness"}


def test_what_is_missing_is_seen_as_well(world: World) -> None:
    """A hash of a missing value would be missing, and a frame that is never new never counts."""
    columns = ["account", "window", "metric_name", "as_of", "value", "status", "reason", "last_event_at"]
    for value, event in ((None, None), (-0.07, None), (-0.07, START)):
        world.client.command("truncate table quant.latest_medium")
        row = ["paper", "1d", "max_drawdown", START, value, "ok", "", event]
        world.client.insert("quant.latest_medium", [row], column_names=columns)
        world.tick(["alert_signal_refresh"])
        query = "select value, seen from quant.alert_signal where signal = 'max_drawdown'"
        ((found, seen),) = world.client.query(query).result_rows
        assert found == value
        assert seen > 0


def test_gates_that_fail_are_one_alert_for_each_severity(world: World) -> None:
    """However many checks and accounts are concerned, until all of them pass; of late stages other policies tell."""

    def evaluate(*failing: tuple[str, str, str]) -> dict[str, float]:
        for name in ("matches_source", "feeds_arrive", "frames_reproduce"):
            for check in ("one", "two"):
                found = [Finding("wrong", account) for gate, of, account in failing if (gate, of) == (name, check)]
                gate = gates()[name]
                record(world.client, Verdict(f"{name}:{check}", gate, gate.severity, found))
        world.tick(["alert_signal_refresh", *EVALUATION])
        query = (
            "select policy_id, observed from quant.alert_state where policy_id like 'quality_gate%' and state = 'open'"
        )
        return dict(world.client.query(query).result_rows)

    assert gates()["matches_source"].severity == "error"
    assert gates()["frames_reproduce"].severity == "warn"
    world.client.command("truncate table quant.quality_gate")
    assert evaluate(("feeds_arrive", "one", "")) == {}
    wrong = (("matches_source", "one", "paper"), ("matches_source", "one", "two"), ("matches_source", "two", "paper"))
    assert evaluate(*wrong) == {"quality_gate_failing": 3}
    assert evaluate(wrong[0], ("frames_reproduce", "one", "")) == {"quality_gate_failing": 1, "quality_gate_warning": 1}
    assert evaluate(wrong[0]) == {"quality_gate_failing": 1}
    assert evaluate() == {}
    told = world.client.query(
        "select policy_id, state from quant.quant_alerts where policy_id like 'quality_gate%' order by transition_at, 1"
    ).result_rows
    assert told == [
        ("quality_gate_failing", "open"),
        ("quality_gate_warning", "open"),
        ("quality_gate_warning", "resolved"),
        ("quality_gate_failing", "resolved"),
    ]
    world.client.command("truncate table quant.quality_gate")


def test_a_file_of_policies_that_is_wrong_says_where(tmp_path: Path) -> None:
    header = ",".join(["policy_id", *DEFAULTS])
    line = ",".join(str(value) for value in ["p", *DEFAULTS.values()])
    for text, told in [
        ("", "has no policies"),
        (f"{header}\n{line}\n{line}\n", "has p twice"),
        (f"{header}\n{line.replace('above', 'over')}\n", "line 2, comparison"),
        (f"{header}\n{line.replace('5.0', 'five')}\n", "line 2, threshold"),
        (f"{header},more\n{line},1\n", "line 2, more"),
        (f"{header}\n{line.replace('3.0', '6.0')}\n", "line 2: clear_threshold is above the threshold"),
        (f"{header}\n{line.replace(',1,1,', ',0,1,')}\n", "line 2, open_after"),
        (f"{header}\n{line.replace(',keep,', ',keep,q')}\n", "inhibited_by names q"),
    ]:
        file = tmp_path / "policies.csv"
        file.write_text(text)
        with pytest.raises(UserError, match=told):
            read_policies(file)


def test_an_episode_tells_what_opened_it_and_its_worst_value(world: World, policies: None) -> None:
    signals = Signals(world)
    signals.set_policies([{**DEFAULTS, "policy_id": "p", "open_after": 2, "clear_after": 2}])
    for step, value in enumerate([6.0, 7.0, 11.0, 2.0, 4.0, 1.0, 0.0]):
        signals.evaluate([signal("paper", step, value)])
    told = signals.transitions()
    assert [row["state"] for row in told] == ["open", "recovering", "open", "recovering", "resolved"]
    opened, ended = told[0], told[-1]
    assert opened["evidence"] == [(START, 6.0), (START + timedelta(seconds=1), 7.0)]
    assert (opened["opened_at"], opened["observed"], opened["peak"]) == (START + timedelta(seconds=1), 7.0, 7.0)
    assert (ended["opened_at"], ended["resolved_at"]) == (opened["opened_at"], START + timedelta(seconds=6))
    assert (ended["observed"], ended["peak"], ended["threshold"]) == (0.0, 11.0, 5.0)
    assert len({row["alert_id"] for row in told}) == 1
    assert len({row["policy_version"] for row in told}) == 1


def test_a_tier_that_says_nothing_ends_nothing(world: World, policies: None) -> None:
    signals = Signals(world)
    signals.set_policies([{**DEFAULTS, "policy_id": "p"}])
    signals.evaluate([signal("paper", 0, 6.0)])
    signals.evaluate([])
    assert signals.states() == {"p": "open"}
    signals.evaluate([signal("paper", 2, 1.0)])
    assert [row["state"] for row in signals.transitions()] == ["open", "resolved"]


def test_evaluating_again_tells_nothing_twice(world: World, policies: None) -> None:
    signals = Signals(world)
    signals.set_policies([{**DEFAULTS, "policy_id": "p"}])
    for _ in range(3):
        signals.evaluate([signal("paper", 0, 6.0)])
    assert world.client.command("select count() from quant.quant_alerts") == 1
    # A transition that was not written down is, when the next evaluation runs.
    world.client.command("truncate table quant.quant_alerts")
    signals.evaluate([signal("paper", 1, 7.0)])
    assert [row["state"] for row in signals.transitions()] == ["open"]


def test_the_projects_policies_fit_their_signals(built: Client) -> None:
    known = {row[0] for row in built.query("select metric_name from quant.metric_definitions").result_rows}
    windows = {row[0] for row in built.query("select window from quant.metric_windows").result_rows}
    rows = list(built.query("select * from quant.alert_policies").named_results())
    names = {row["policy_id"] for row in rows}
    assert len(rows) >= 8
    for row in rows:
        assert row["subject"] != "metric" or row["signal"] in known, row["policy_id"]
        assert row["window"] in windows | {"any"}, row["policy_id"]
        assert set(row["inhibited_by"].split()) <= names, row["policy_id"]
        is_above = row["comparison"].endswith("above")
        assert row["clear_threshold"] <= row["threshold"] if is_above else row["clear_threshold"] >= row["threshold"]
        assert row["open_after"] >= 1
        assert row["clear_after"] >= 1
