"""`jangar-quant frame`: what it prints, and what it says about what does not exist."""

import asyncio
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from api.frames import Scope
from api.past import past_frame
from api.warehouse import Warehouse
from orchestration.errors import UserError
from orchestration.settings import Settings
from orchestration.transform.frame import Format, frame, parse_moment
from orchestration.transform.on_demand import FRAME_SETTINGS, frames_query, moment_of_frame
from tests.oracles.world import Order, World, after

D = Decimal
NOW = datetime(2026, 3, 2, 16, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("", NOW),
        ("2026-03-02", datetime(2026, 3, 2, tzinfo=UTC)),
        ("2026-03-02T15:30:00.1239", datetime(2026, 3, 2, 15, 30, 0, 123_000, tzinfo=UTC)),
        ("2026-03-02T10:30:00-05:00", datetime(2026, 3, 2, 15, 30, tzinfo=UTC)),
        ("2026-03-02 15:30:00Z", datetime(2026, 3, 2, 15, 30, tzinfo=UTC)),
    ],
)
def test_a_moment_is_utc_unless_it_names_a_zone(text: str, moment: datetime) -> None:
    assert parse_moment(text, NOW) == moment


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", "2026-03-03"])
def test_what_is_no_moment_or_lies_ahead_is_refused(text: str) -> None:
    with pytest.raises(UserError):
        parse_moment(text, NOW)


def test_json_has_the_unrounded_values_of_a_strategy_given_by_name(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    strategy = world.strategy("thirds")
    decision = world.decision(strategy)
    world.order(Order("buy", D(3), D(10), after(-10), decision=decision, fee=D("0.1")))
    world.order(Order("sell", D(1), D("10.3333333"), after(-5), decision=decision, fee=D("0.1")))
    world.batch()
    world.tick()
    frame("thirds", "paper", "1h", after(0).isoformat(), Format.json)
    document = json.loads(capsys.readouterr().out)
    metrics = {metric["metric_name"]: metric for metric in document["metrics"]}
    assert document["strategy_id"] == str(strategy)
    assert document["as_of"] == "2026-03-02T15:00:00.000Z"
    assert metrics["realized_pnl"]["value"] == 0.3333333
    assert metrics["cumulative_return"]["value"] is None
    assert metrics["cumulative_return"]["reason"] == "no_source_rows"
    assert metrics["realized_pnl"]["meta"]["open_positions"] == 1
    frame("thirds", "paper", "1h", after(0).isoformat(), Format.table)
    printed = capsys.readouterr().out
    assert "0.333333" in printed
    assert "no_source_rows" in printed


def test_a_scope_that_is_asked_for_alone_is_what_it_is_among_all(
    world: World, built: Client, warehouse_settings: Settings
) -> None:
    alpha, beta = world.strategy("alpha"), world.strategy("beta")
    traders = [(alpha, "paper"), (beta, "paper"), (alpha, "live")]
    for number, (trader, account) in enumerate(traders):
        decision = world.decision(trader, after(-40), alpaca_account_label=account)
        world.order(Order("buy", D(3), D(10 + number), after(-30), account, decision=decision, fee=D("0.1")))
        world.order(Order("sell", D(1), D(11), after(-20), account, decision=decision))
    for minute in range(-300, 0, 10):
        for account in ("paper", "live"):
            world.snapshot(after(minute), D(100_000 + minute % 7), account)
        world.quote("MU", after(minute), 10 + minute % 5)
    world.batch()
    world.tick()
    known_at = datetime.now(UTC)
    everything = world.frames(after(0), known_at)
    scopes = {(strategy, account) for strategy, account, _ in everything}
    assert scopes == {
        *((str(trader), account) for trader, account in traders),
        *(("", account) for account in ("paper", "live", "")),
        *((str(trader), "") for trader in (alpha, beta)),
    }
    # One of each kind.
    for strategy, account in [(str(alpha), "paper"), ("", "paper"), (str(alpha), ""), ("", "")]:
        alone = built.query(
            frames_query(built, after(0), known_at, account),
            parameters=moment_of_frame(after(0), known_at, account, strategy),
            settings=FRAME_SETTINGS,
        ).named_results()
        rows = {(row["window"], row["metric_name"]): row for row in alone}
        assert len(rows) == 7 * 49
        for (window, metric), row in rows.items():
            assert row == everything[strategy, account, window][metric]

    asked = [Scope("", "paper", "1h"), Scope(str(alpha), "paper", "1h")]

    async def of_the_api() -> list[list[dict[str, Any]]]:
        warehouse = Warehouse(warehouse_settings)
        try:
            return [await past_frame(warehouse, scope, after(0), known_at) for scope in asked]
        finally:
            await warehouse.close()

    for scope, served in zip(asked, asyncio.run(of_the_api()), strict=True):
        frame_of_scope = everything[scope]
        assert [row["metric_name"] for row in served] == sorted(frame_of_scope)
        for row in served:
            expected = frame_of_scope[row["metric_name"]]
            assert {name: row[name] for name in ("status", "reason", "sample_count", "meta")} == {
                name: expected[name] for name in ("status", "reason", "sample_count", "meta")
            }
            if expected["value"] is None:
                assert row["value"] is None
            else:
                assert row["value"] == pytest.approx(expected["value"], abs=0.005, rel=1e-6)


@pytest.mark.slow
def test_three_hundred_accounts_have_a_frame(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(300):
        world.order(Order("buy", D(1), D(10), after(-10), account=f"account-{number}"))
    world.batch()
    world.tick()
    frame("", "", "1h", after(0).isoformat(), Format.json)
    metrics = {metric["metric_name"]: metric["value"] for metric in json.loads(capsys.readouterr().out)["metrics"]}
    assert metrics["trade_count"] == 0
    assert metrics["gross_exposure"] == 3000


def test_what_is_unknown_is_named_with_what_is_known(world: World) -> None:
    for name in ("twin", "twin", "single"):
        world.strategy(name)
    world.order(Order("buy", D(1), D(10), after(0)))
    world.batch()
    world.tick()
    for arguments, said in [
        (("nobody", "paper", "1d"), "single, twin"),
        (("twin", "paper", "1d"), "by its id"),
        (("", "elsewhere", "1d"), "paper"),
        (("", "paper", "2d"), "20d"),
    ]:
        with pytest.raises(UserError) as error:
            frame(*arguments, "", Format.table)
        assert said in error.value.remedy
    with pytest.raises(UserError, match="Nothing had happened"):
        frame("", "paper", "1d", after(-60).isoformat(), Format.table)
