"""Frames that are recomputed from the facts: written by `backfill`, compared by `verify`."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import typer
from clickhouse_connect.driver.client import Client

from orchestration.errors import UserError
from orchestration.replay import command
from orchestration.replay.backfill import BackfillRequest, prepare, run_backfill
from orchestration.replay.moments import MAXIMUM_MOMENTS, divide, moment_of, parse_step, plan
from orchestration.replay.scope import Scope, frame_columns
from orchestration.replay.verify import Sample, Verification, verify
from orchestration.transform.frame import Format
from orchestration.transform.on_demand import FRAME_SETTINGS, frames_query, moment_of_frame
from tests.oracles.world import FACTS, MIRRORED, SUMS, TIERS, Order, World
from tests.waiting import wait_for

D = Decimal
# Long enough ago that no live tier comes near it, and inside of what the series keeps.
START = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(hours=3)
MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def traded(built: Client) -> World:
    """An account that trades around the clock, of two strategies, with an hour of fills, snapshots and quotes."""
    world = World(built)
    world.clear()
    strategies = [world.strategy("first"), world.strategy("second")]
    for number in range(30):
        at = START + number * 2 * MINUTE + timedelta(seconds=20)
        decision = world.decision(strategies[number % 2], at, alpaca_account_label="paper-crypto")
        side = "sell" if number % 3 == 2 else "buy"
        world.order(Order(side, D(number % 5 + 1), D(100 + number), at, "paper-crypto", "BTC/USD", decision, fee=D(1)))
    for number in range(240):
        at = START + number * timedelta(seconds=15)
        world.snapshot(at, D(10_000 + number * number % 71), "paper-crypto")
    world.quotes(("BTC/USD", START + number * MINUTE, 100.0 + number % 7) for number in range(60))
    world.batch()
    world.tick((*FACTS, *SUMS))
    return world


@pytest.fixture
def desk(traded: World) -> World:
    """The same for all tests, with an empty series; what one of them adds stays."""
    for table in ("quant_metrics_series", "backfill_progress"):
        traded.client.command(f"truncate table quant.{table}")
    return traded


def request(minutes: int = 1, again: bool = False, scope: Scope | None = None) -> BackfillRequest:
    """A backfill of the moments that many minutes behind the fortieth one."""
    first = START + 40 * MINUTE
    return BackfillRequest(scope or Scope(), first, first + minutes * MINUTE, 60, again)


def run(world: World, wanted: BackfillRequest, stop_after: int | None = None) -> list[datetime]:
    """Run a backfill, or interrupt it, and return how many moments it recomputed."""
    seen: list[datetime] = []

    def observe(_: object) -> None:
        seen.append(datetime.now(UTC))
        if len(seen) == stop_after:
            raise KeyboardInterrupt

    run_backfill(world.client, wanted, prepare(world.client, wanted), observe)
    return seen


def rows(world: World) -> list[tuple[Any, ...]]:
    """The rows of a backfill in the series; those of the tiers know no more than their own moment."""
    columns = ", ".join(frame_columns(world.client))
    query = f"select {columns}, tier from quant.quant_metrics_series final where as_of != known_at order by all"
    return list(world.client.query(query).result_rows)


@pytest.mark.parametrize("times", [2, pytest.param(100, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def test_a_frame_is_the_same_bytes_by_one_thread_and_by_eight(desk: World, times: int) -> None:
    as_of = START + 45 * MINUTE
    # Small blocks, so that eight threads have something to share.
    shared = {"max_threads": 8, "max_block_size": 64, "merge_tree_min_rows_for_concurrent_read": 1}
    known_at = datetime.now(UTC)
    query = f"select * from ({frames_query(desk.client, as_of, known_at)}) order by all"
    moments = moment_of_frame(as_of, known_at)
    found = set()
    for number in range(times):
        settings = {**FRAME_SETTINGS, **(shared if number % 2 else {})}
        found.add(desk.client.raw_query(query, parameters=moments, settings=settings, fmt="RowBinary"))
    [frame] = found
    assert len(frame) > 100_000


def test_a_backfill_writes_the_frames_of_its_moments(desk: World) -> None:
    assert len(run(desk, request())) == 2
    written = rows(desk)
    columns = frame_columns(desk.client)
    moments = {(row[columns.index("as_of")], row[columns.index("known_at")]) for row in written}
    assert sorted(as_of for as_of, _ in moments) == [START + (40 + number) * MINUTE for number in range(2)]
    as_of, known_at = max(moments)
    expected = desk.client.query(
        f"select {', '.join('frame.' + name for name in columns)}, definition.tier"
        " from quant.metric_frames(as_of = {as_of:String}, known_at = {known_at:String}) as frame"
        " inner join quant.metric_definitions as definition using (metric_name)",
        parameters=moment_of_frame(as_of, known_at),
        settings=FRAME_SETTINGS,
    ).result_rows
    assert sorted(map(str, expected)) == sorted(str(row) for row in written if row[columns.index("as_of")] == as_of)
    assert len(written) == 2 * len(expected)
    assert {row[-1] for row in written} == {"light", "medium", "heavy"}
    assert any(row[columns.index("value")] for row in written)


def test_a_backfill_of_a_scope_writes_that_scope_alone(desk: World) -> None:
    run(desk, request(0, scope=Scope(account="paper-crypto", window="1h")))
    columns = frame_columns(desk.client)
    assert {(row[columns.index("account")], row[columns.index("window")]) for row in rows(desk)} == {
        ("paper-crypto", "1h")
    }


@pytest.mark.slow
def test_an_interrupted_backfill_goes_on_and_leaves_what_a_whole_one_does(desk: World) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(desk, request(), stop_after=1)
    # What comes in before it goes on changes nothing: it knows what it knew when it began.
    desk.snapshot(START + 40 * MINUTE + timedelta(seconds=50), D(9_000), "paper-crypto")
    desk.batch()
    desk.tick((*FACTS, *SUMS))
    assert len(run(desk, request())) == 1
    interrupted = rows(desk)
    assert run(desk, request()) == []
    assert rows(desk) == interrupted
    known_at = {row[frame_columns(desk.client).index("known_at")] for row in interrupted}
    assert len(known_at) == 1
    assert verified(desk, START, START + timedelta(hours=2)).differences == []
    # Anew, with what is known by now.
    assert len(run(desk, request(again=True))) == 2
    assert len(rows(desk)) == len(interrupted)
    assert rows(desk) != interrupted
    assert run(desk, request()) == []


def test_a_backfill_that_was_killed_goes_on(desk: World) -> None:
    arguments = ["--from", START.isoformat(), "--to", (START + 170 * MINUTE).isoformat(), "--step", "10s"]
    process = subprocess.Popen([sys.executable, "-m", "orchestration", "backfill", *arguments], env=dict(os.environ))
    try:
        count = "select count() from quant.backfill_progress"
        wait_for(lambda: desk.client.command(count) > 0, 120, "a backfill keeps what is done")
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=10)
    wanted = BackfillRequest(Scope(), START, START + 170 * MINUTE, 10)
    found = prepare(desk.client, wanted)
    done_until = max(found.run.done_until.values())
    pending = [moment for session in found.sessions for moment in found.run.pending(session)]
    assert moment_of(pending[0]) == done_until + timedelta(seconds=10)
    as_of = frame_columns(desk.client).index("as_of")
    stored = {row[as_of] for row in rows(desk)}
    assert {moment_of(moment) for session in found.sessions for moment in session.moments} - stored <= {
        moment_of(moment) for moment in pending
    }


@pytest.mark.slow
def test_a_backfill_stays_behind_the_live_tiers(desk: World) -> None:
    desk.tick(TIERS)
    newest = desk.client.query("select tier, max(as_of) from quant.quant_metrics_series group by tier").result_rows
    behind = min(moment for _, moment in newest)
    run(desk, BackfillRequest(Scope(window="1h"), behind - timedelta(seconds=3), datetime.now(UTC), 1))
    assert rows(desk)
    assert (
        desk.client.query("select tier, max(as_of) from quant.quant_metrics_series group by tier").result_rows == newest
    )


def test_moments_lie_in_sessions_and_none_comes_twice() -> None:
    monday, tuesday = date(2026, 3, 2), date(2026, 3, 3)

    def at(day: int, hour: int, minute: int = 0) -> datetime:
        return datetime(2026, 3, day, hour, minute, tzinfo=UTC)

    day_and_night = [
        ("24/7", monday, at(2, 0), at(3, 0)),
        ("XNYS", monday, at(2, 14, 30), at(2, 21)),
        ("24/7", tuesday, at(3, 0), at(4, 0)),
    ]
    found = list(divide(day_and_night, at(2, 13, 45), at(3, 1), 1800))
    assert [session.key for session in found] == [("24/7", monday), ("24/7", tuesday)]
    moments = [moment_of(moment) for session in found for moment in session.moments]
    assert moments == [at(2, 14) + number * timedelta(minutes=30) for number in range(23)]
    exchange = list(divide(day_and_night[1:2], at(2, 0), at(3, 0), 3600))
    assert [moment_of(moment) for moment in exchange[0].moments] == [at(2, hour) for hour in range(15, 22)]


def test_only_the_calendars_of_the_scope_count(desk: World) -> None:
    desk.snapshot(START, D(100), "paper")
    desk.batch()
    desk.tick()
    week = START - timedelta(days=7)
    around_the_clock = plan(desk.client, Scope(account="paper-crypto"), week, START, 3600)
    exchange = plan(desk.client, Scope(account="paper"), week, START, 3600)
    assert {session.calendar for session in around_the_clock} == {"24/7"}
    assert sum(len(session.moments) for session in around_the_clock) >= 168
    assert {session.calendar for session in exchange} == {"XNYS"}
    # One more where both ends of the week lie in a session.
    assert 7 <= sum(len(session.moments) for session in exchange) <= 5 * 7 + 1


@pytest.mark.parametrize(("text", "seconds"), [("60", 60), ("30s", 30), ("1m", 60), ("2h", 7200), ("1d", 86400)])
def test_a_step_has_a_unit(text: str, seconds: int) -> None:
    assert parse_step(text) == seconds


def test_what_cannot_be_recomputed_is_refused(desk: World) -> None:
    start, end = START.isoformat(), (START + 10 * MINUTE).isoformat()
    before = (START - MINUTE).isoformat()
    within_minute = (START + timedelta(seconds=1)).isoformat()
    for arguments, said in [
        ({"start": end, "end": start}, "is after"),
        ({"end": "2999-01-01"}, "lies in the future"),
        ({"start": "yesterday"}, "--from 'yesterday' is not a moment"),
        ({"step": "0s"}, "too small"),
        ({"step": "100ms"}, "is no step"),
        ({"strategy": "nobody"}, "no strategy 'nobody'"),
        ({"account": "elsewhere"}, "no account 'elsewhere'"),
        ({"window": "2d"}, "no window '2d'"),
        ({"start": "2020-01-01"}, "keeps nothing before"),
        ({"start": (START - timedelta(days=2)).isoformat(), "end": before}, "Nothing had happened"),
        (
            {"start": within_minute, "end": (START + timedelta(seconds=59)).isoformat(), "step": "1m"},
            "lies in a session",
        ),
    ]:
        with pytest.raises(UserError, match=said):
            command.backfill(**{"start": start, "end": end, **arguments})
    assert desk.client.command("select count() from quant.backfill_progress") == 0
    week = (START - timedelta(days=40), START)
    with pytest.raises(UserError, match=f"at most {MAXIMUM_MOMENTS:,}"):
        plan(desk.client, Scope(), *week, 1)


def verified(world: World, start: datetime, end: datetime) -> Verification:
    """All that is stored of a time, compared."""
    return verify(world.client, Sample(Scope(), start, end, 1000, 1), lambda: None)


def test_live_frames_are_what_was_known_then(desk: World) -> None:
    desk.tick(TIERS)
    # These come late: they belong to a time of which frames are stored, or to one before all of them.
    desk.snapshot(START + 50 * MINUTE + timedelta(seconds=1), D(9_000), "paper-crypto")
    desk.order(Order("buy", D(50), D(90), START, "paper-crypto", "BTC/USD", fee=D(1)))
    desk.order(Order("sell", D(9), D(90), datetime.now(UTC), "paper-crypto", "BTC/USD", fee=D(2)))
    desk.batch()
    desk.tick((*FACTS, *SUMS, *TIERS))
    found = verified(desk, START, datetime.now(UTC) + MINUTE)
    assert (found.moments, found.of_other_formulas) == (2, 0)
    assert found.rows == desk.client.command("select count() from quant.quant_metrics_series")
    assert found.differences == []


def test_what_the_source_sends_again_changes_no_frame(desk: World) -> None:
    """A migration that touches every row, long behind what the rows tell of."""
    desk.tick((*SUMS, *TIERS))
    for table in MIRRORED:
        desk.send_again(table)
    desk.batch()
    desk.tick((*FACTS, *SUMS))
    found = verified(desk, START, datetime.now(UTC) + MINUTE)
    assert found.rows == desk.client.command("select count() from quant.quant_metrics_series") > 0
    assert found.differences == []


def test_a_late_correction_changes_no_frame_of_before(desk: World) -> None:
    """An order that had cost less, one that had not been filled, one that never was, one of an hour before."""
    at = START + 10 * MINUTE
    strategy = desk.strategy("corrected")
    orders = [
        Order("buy", D(5), D(100), at, "paper-crypto", "BTC/USD", desk.decision(strategy, at), fee=D(4))
        for _ in range(4)
    ]
    for order in orders:
        desk.order(order)
    desk.batch()
    desk.tick((*FACTS, *SUMS))
    desk.age_outcomes()
    desk.tick(TIERS)
    desk.order(replace(orders[0], price=D(99), fee=D(2)))
    desk.order(replace(orders[1], status="canceled", filled=D(0)))
    desk.order(orders[2], deleted=True)
    desk.order(replace(orders[3], at=at - timedelta(hours=1)))
    desk.batch()
    desk.tick((*FACTS, *SUMS, *TIERS))
    stored = desk.client.query(
        "select as_of, groupArray((metric_name, value)) from quant.quant_metrics_series final where window = '1d'"
        " and account = 'paper-crypto' and strategy_id = {strategy:String}"
        " and metric_name in ('cost_bps', 'fill_ratio')"
        " group by as_of order by as_of",
        parameters={"strategy": str(strategy)},
    ).result_columns[1]
    before, behind = map(dict, stored)
    assert before == {"cost_bps": 80.0, "fill_ratio": 1.0}
    # Of the fees 4 for 500 and 2 for 495 are left; what became of orders is told anew when it has settled.
    assert behind == {"cost_bps": pytest.approx(1e4 * 6 / 995, rel=1e-9)}
    assert verified(desk, START, datetime.now(UTC) + MINUTE).differences == []


def test_a_row_that_was_changed_is_found(desk: World, capsys: pytest.CaptureFixture[str]) -> None:
    run(desk, request())
    moments = {"start": START.isoformat(), "end": (START + timedelta(hours=2)).isoformat()}
    command.verify(**moments)
    assert "2 of 2 moments" in (printed := capsys.readouterr().out)
    assert "0 differences" in printed
    changed = (
        "insert into quant.quant_metrics_series select * replace ({change}) from quant.quant_metrics_series final"
        " where metric_name = {{metric:String}} and window = '1h' and account = 'paper-crypto' and strategy_id = ''"
        " and as_of = {{as_of:DateTime64(3)}}"
    )
    # By one bit, and another row to one of an older formula.
    one_bit = "reinterpretAsFloat64(bitXor(reinterpretAsUInt64(assumeNotNull(value)), 1)) as value"
    for change, metric in [(one_bit, "realized_pnl"), ("'0' as formula_version, 7 as value", "trade_count")]:
        desk.client.command(changed.format(change=change), parameters={"metric": metric, "as_of": START + 41 * MINUTE})
    moments["start"] = (START + 41 * MINUTE).isoformat()
    with pytest.raises(typer.Exit) as stopped:
        command.verify(**moments, output=Format.json)
    assert stopped.value.exit_code == 1
    document = json.loads(capsys.readouterr().out)
    assert document["rows_of_other_formulas"] == 1
    [difference] = document["differences"]
    assert (difference["metric_name"], difference["account"], difference["window"]) == (
        "realized_pnl",
        "paper-crypto",
        "1h",
    )
    assert difference["stored"].keys() == {"value"}
    with pytest.raises(typer.Exit):
        command.verify(**moments)
    assert "realized_pnl" in capsys.readouterr().out
    assert verify(desk.client, Sample(Scope(), START, START + 41 * MINUTE, 9, 1), lambda: None).differences == []
