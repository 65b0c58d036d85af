"""Bench of the alerts: what an evaluation costs at many strategy-accounts and policies, and with a long past.

Runs its own ClickHouse in a temporary directory: `python -m tests.bench.alerts --accounts 200 --policies 50 --episodes
1000000`. Every strategy-account has a frame of every metric and window; two percent of the values that policies watch
are beyond their thresholds, and change every fourth evaluation.
"""

import argparse
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from clickhouse_connect.driver.client import Client
from rich.console import Console
from rich.table import Table

from api.warehouse import query_text
from tests.bench.rollups import refresh
from tests.bench.tiers import built_warehouse, percentile
from tests.oracles.world import World

_DUE = (
    "SELECT * FROM quant.due_notification(channel = 'bench', repeat_seconds = 14400, severities = ['warning'])"
    " ORDER BY opened_at"
)
_WEEK = {
    **dict.fromkeys(("severity", "metric", "window", "strategy_id", "account"), ""),
    **{"state": "all", "any_strategy": 1, "any_account": 1, "limit": 200},
    **{"since": datetime.now(UTC) - timedelta(days=7), "until": datetime.now(UTC) + timedelta(days=1)},
}
EVALUATION = ("alert_signal_refresh", "alert_state_refresh", "quant_alerts_refresh")
_POLICIES = (
    "INSERT INTO quant.alert_policies SELECT 'p' || toString(number), 'metric', metric_name, 'any', 'each',"
    " arrayElement(['1m', '15m', '1h', '1d', '5d'], 1 + number % 5), 'above', 0.98, 0.9, 2, 2, 'warning', 'strategy',"
    " 0, 'keep', '', '', '' FROM numbers({count:UInt32}) AS n INNER JOIN (SELECT metric_name,"
    " row_number() OVER (ORDER BY metric_name) - 1 AS place, count() OVER () AS total FROM quant.metric_definitions)"
    " AS d ON d.place = n.number % 30"
)
_FRAMES = (
    "INSERT INTO quant.latest_light (strategy_id, account, window, metric_name, as_of, value, sample_count, status)"
    " SELECT {strategies:Array(String)}[1 + n.number], 'a' || toString(n.number), w.window, d.metric_name,"
    " now64(3) AS as_of, cityHash64(n.number, w.window, d.metric_name, intDiv({turn:UInt32}, 4)) % 10000 / 10000,"
    " {turn:UInt32} + 1, 'ok'"
    " FROM numbers({accounts:UInt32}) AS n CROSS JOIN quant.metric_windows AS w"
    " CROSS JOIN quant.metric_definitions AS d"
)
_EPISODES = (
    "INSERT INTO quant.quant_alerts (alert_id, policy_id, policy_version, metric_name, strategy_id, account, window,"
    " severity, category, threshold, transition_at, previous_state, state, observed, opened_at, resolved_at, peak)"
    " SELECT lower(hex(sipHash128(number))), 'p' || toString(number % 50), 'v', 'net_pnl',"
    " 's' || toString(number % 200), 'a' || toString(number % 200), '1d', 'warning', 'strategy', 0.98,"
    " toDateTime64(now() - 60 - intDiv(number, {count:UInt32} / 31536000) + 60 * ended, 3, 'UTC') AS at,"
    " if(ended, 'open', 'pending'), if(ended, 'resolved', 'open'), 1, at - 60 * ended, if(ended, at, null), 1"
    " FROM (SELECT number, arrayJoin([0, 1]) AS ended FROM numbers({count:UInt32}))"
)


def evaluate(client: Client, strategies: list[str], turns: int, first: int) -> list[list[float]]:
    """Seconds that each view of the evaluation says it took, by turn."""
    found = []
    for turn in range(first, first + turns):
        client.command("TRUNCATE TABLE quant.latest_light")
        client.command(_FRAMES, parameters={"accounts": len(strategies), "strategies": strategies, "turn": turn})
        found.append([refresh(client, view)[0] for view in EVALUATION])
    return found


def told(found: list[list[float]]) -> str:
    """The median and the 95th percentile of the whole, and the medians of its views, in milliseconds."""
    whole = [1000 * sum(row) for row in found]
    parts = " + ".join(f"{1000 * percentile([row[k] for row in found], 0.5):.0f}" for k in range(len(EVALUATION)))
    return f"{percentile(whole, 0.5):.0f}, {percentile(whole, 0.95):.0f} ms ({parts})"


def reads(client: Client) -> dict[str, Callable[[], object]]:
    """What the API and the notifier ask for."""
    alert = client.query("SELECT any(alert_id) FROM quant.quant_alerts").result_rows[0][0]
    return {
        "active alerts": lambda: client.query(query_text("active_alerts")),
        "due notifications": lambda: client.query(_DUE),
        "alerts of a week": lambda: client.query(query_text("alerts"), parameters=_WEEK),
        "one alert": lambda: client.query(query_text("alert"), parameters={"alert_id": alert}),
    }


def measure(client: Client, strategies: list[str], policies: int, episodes: int, turns: int, table: Table) -> None:
    """Time evaluations and reads; a row of the table each."""
    client.command("TRUNCATE TABLE quant.alert_policies")
    evaluate(client, strategies, 1, 0)
    table.add_row("without policies, p50 and p95", told(evaluate(client, strategies, turns, 0)))
    client.command(_POLICIES, parameters={"count": policies})
    table.add_row(f"{policies} policies", told(evaluate(client, strategies, turns, 0)))
    scopes, active = client.query(
        "SELECT (SELECT count() FROM quant.alert_signal), countIf(alert_id != '') FROM quant.alert_state"
    ).result_rows[0]
    table.add_row("signals, open episodes", f"{scopes:,}, {active:,}")
    before = told_reads(client, turns)
    client.command(_EPISODES, parameters={"count": episodes})
    table.add_row(f"with {episodes:,} episodes stored", told(evaluate(client, strategies, turns, turns)))
    after = told_reads(client, turns)
    for name, seconds in after.items():
        table.add_row(f"{name}, before and with them", f"{1000 * before[name]:.0f}, {1000 * seconds:.0f} ms")


def told_reads(client: Client, turns: int) -> dict[str, float]:
    """Median seconds of each read."""
    found = {}
    for name, read in reads(client).items():
        times = []
        for _ in range(turns):
            started = time.perf_counter()
            read()
            times.append(time.perf_counter() - started)
        found[name] = percentile(times, 0.5)
    return found


def main() -> None:
    """Print one table with all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=200)
    parser.add_argument("--policies", type=int, default=50)
    parser.add_argument("--episodes", type=int, default=1_000_000)
    parser.add_argument("--turns", type=int, default=20)
    given = parser.parse_args()
    table = Table("what", "measured", title=f"{given.accounts} strategy-accounts, {given.policies} policies")
    try:
        with built_warehouse() as warehouse, warehouse.client() as client:
            world = World(client)
            strategies = [str(world.strategy(f"s{number}")) for number in range(given.accounts)]
            world.batch()
            measure(client, strategies, given.policies, given.episodes, given.turns, table)
    finally:
        Console().print(table)


if __name__ == "__main__":
    main()
