"""The product as a newcomer meets it: `up` reaches live metrics, survives `kill -9` of any part, and stops cleanly."""

import csv
import os
import signal
import uuid
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import psutil

from orchestration.settings import PROJECT_DIR
from tests.e2e.running import IS_CROWDED, QUANT, RunningUp
from tests.waiting import wait_for

METRICS = {
    row["metric_name"]
    for row in csv.DictReader((PROJECT_DIR / "seeds" / "metric_definitions.csv").read_text().splitlines())
}
MIRRORED = (
    "strategies",
    "trade_decisions",
    "executions",
    "position_snapshots",
    "execution_order_events",
)


def _source_counts(up: RunningUp) -> dict[str, int]:
    with up.source() as source:
        return {t: source.execute(f"select count(*) from {t}").fetchone()[0] for t in MIRRORED}  # type: ignore[index,arg-type]


def _mirror_counts(up: RunningUp) -> dict[str, tuple[int, int]]:
    """Rows and distinct ids: they differ when something is doubled."""
    with up.warehouse() as warehouse:
        return {
            t: warehouse.query(f"select count(), uniqExact(id) from torghut_raw.{t} final").result_rows[0]
            for t in MIRRORED
        }


def _stop_desk_and_compare(up: RunningUp) -> None:
    """The desk keeps writing, so a count of Postgres is only a lower bound, and one taken later an upper bound."""

    def caught_up() -> bool:
        before = _source_counts(up)
        mirrored = _mirror_counts(up)
        after = _source_counts(up)
        return all(before[t] <= mirrored[t][0] <= after[t] and mirrored[t][0] == mirrored[t][1] for t in MIRRORED)

    wait_for(caught_up, 30, "the mirror holds what Postgres holds")


def test_both_accounts_have_live_frames_in_every_window(up: RunningUp) -> None:
    for account in ("paper", "paper-crypto"):
        for window in ("1m", "5m", "15m", "1h", "1d", "5d", "20d"):
            # The heavy tier comes last.
            wait_for(
                lambda account=account, window=window: set(up.snapshot(account=account, window=window)) == METRICS,
                90,
                f"every metric of {account}, {window}",
            )
            frame = up.snapshot(account=account, window=window)
            assert all(row["status"] in ("ok", "insufficient_data") for row in frame.values())
            assert all((row["value"] is None) == (row["status"] != "ok") for row in frame.values())


def test_a_committed_fill_changes_the_snapshot(up: RunningUp) -> None:
    """A sale of 3 at 110 of what was bought at 100 realizes 30 in an account of its own."""
    account = f"e2e-{uuid.uuid4().hex[:8]}"
    with up.source() as source:
        strategy = source.execute("select id from strategies limit 1").fetchone()[0]  # type: ignore[index]
        for side, quantity, price in (("buy", 5, 100), ("sell", 3, 110)):
            decision = uuid.uuid4()
            with source.transaction():
                source.execute(
                    "insert into trade_decisions"
                    " (id, strategy_id, alpaca_account_label, symbol, timeframe, decision_json, status)"
                    " values (%s, %s, %s, 'NVDA', '1Min', '{}', 'filled')",
                    (decision, strategy, account),
                )
                source.execute(
                    "insert into executions"
                    " (id, trade_decision_id, alpaca_account_label, alpaca_order_id, symbol, side, order_type,"
                    " time_in_force, submitted_qty, filled_qty, avg_fill_price, status, last_update_at)"
                    " values (%s, %s, %s, %s, 'NVDA', %s, 'market', 'day', %s, %s, %s, 'filled', now())",
                    (uuid.uuid4(), decision, account, str(uuid.uuid4()), side, quantity, quantity, price),
                )

    def realized() -> bool:
        return up.snapshot(account=account, strategy_id=str(strategy), window="1h")["realized_pnl"]["value"] == 30

    # Beside other tests a tick comes every four seconds.
    wait_for(realized, 30 if IS_CROWDED else 10, "the sale shows in realized_pnl")
    assert up.snapshot(account=account, strategy_id=str(strategy), window="1h")["trade_count"]["value"] == 1


def test_health_names_every_stage(up: RunningUp) -> None:
    status, body = up.get(f"{QUANT}/health")
    assert status == 200
    assert body["ok"] is True
    assert body["status"] == "ok", body
    tiers = ["light_tier", "medium_tier", "heavy_tier"]
    assert [stage["stage"] for stage in body["stages"]] == [
        *("source", "mirror", "facts", "ledger"),
        *tiers,
        *("series", "serving"),
    ]
    [source, *_] = body["stages"]
    # It trades.
    assert (source["state"], source["reason"]) == ("writing", "")


def test_health_of_a_past_moment_is_as_it_was(up: RunningUp) -> None:
    _, before = up.get(f"{QUANT}/health?as_of=2001-01-01T00:00:00Z")
    assert (before["status"], before["stages"]) == ("down", [])

    def kept() -> list[str]:
        moment = quote(datetime.now(UTC).isoformat())
        return [stage["stage"] for stage in up.get(f"{QUANT}/health?as_of={moment}")[1]["stages"]]

    wait_for(lambda: len(kept()) == 9, 60, "a sample of every stage")
    assert up.get(f"{QUANT}/health?as_of=2199-01-01T00:00:00Z")[0] == 400


def test_everything_recovers_from_kill_9_of_each_process(up: RunningUp) -> None:
    for name, pid in up.children().items():
        os.kill(pid, signal.SIGKILL)

        def running_again(name: str = name, pid: int = pid) -> bool:
            return up.children().get(name, pid) != pid

        wait_for(running_again, 60, f"{name} runs again")
        wait_for(lambda: up.get("/readyz")[0] == 200, 60, f"ready again after the end of {name}")
        newest = up.snapshot(account="paper-crypto", window="1h")["gross_exposure"]["as_of"]
        wait_for(
            lambda newest=newest: up.snapshot(account="paper-crypto", window="1h")["gross_exposure"]["as_of"] > newest,
            30,
            f"frames go on after the end of {name}",
        )
    _stop_desk_and_compare(up)


def test_a_second_up_on_the_same_state_directory_is_refused(up: RunningUp) -> None:
    second = RunningUp(up.state_dir)
    second.output = up.state_dir.parent / "second.out"
    second.start()
    assert second.process is not None
    assert second.process.wait(30) == 1
    assert "already up" in second.text()


def test_an_occupied_port_is_one_sentence(up: RunningUp, tmp_path: Path) -> None:
    second = RunningUp(tmp_path / "state", environment={"JANGAR_QUANT_API_PORT": up.ports["JANGAR_QUANT_API_PORT"]})
    second.start()
    assert second.process is not None
    assert second.process.wait(30) == 1
    assert f"Port {up.ports['JANGAR_QUANT_API_PORT']}" in second.text()
    assert "JANGAR_QUANT_API_PORT" in second.text()
    assert not (tmp_path / "state" / "children.json").exists()


def test_stops_cleanly_and_starts_again_with_its_data(up: RunningUp) -> None:
    before = _source_counts(up)
    processes = [psutil.Process(pid) for pid in up.children().values()]
    family = [p for parent in processes for p in (parent, *parent.children(recursive=True))]
    assert up.stop() == 0
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive, alive
    up.start()
    up.wait_until_up()
    after = _source_counts(up)
    assert all(after[t] >= before[t] for t in MIRRORED)
    _stop_desk_and_compare(up)
