"""The series of metrics: what is kept for how long, and that what is kept is the last of its time."""

import json
from datetime import UTC, datetime, timedelta

from tests.oracles.world import World

COLUMNS = ["strategy_id", "account", "window", "metric_name", "as_of", "value", "status", "meta", "tier"]


def stored(world: World, metric: str) -> list[tuple[datetime, float | None, str]]:
    rows = world.client.query(
        "select as_of, value, meta from quant.quant_metrics_series final"
        " where metric_name = {metric:String} order by as_of",
        parameters={"metric": metric},
    ).result_rows
    return [(as_of, value, json.loads(meta)["n"]) for as_of, value, meta in rows]


def test_the_series_keeps_every_row_then_the_last_of_a_minute_then_of_an_hour(world: World) -> None:
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    recent, older, oldest = now - timedelta(hours=3), now - timedelta(days=3), now - timedelta(days=60)
    gone = now - timedelta(days=800)
    rows = []
    for number, begin in enumerate((recent, older, oldest, gone)):
        for second in range(0, 7200, 20):
            at = begin + timedelta(seconds=second)
            # The last of each minute has no value: it is what counts, not the last that has one.
            value = None if second % 60 == 40 else float(second)
            rows.append(["s", "a", "1h", f"m{number}", at, value, "ok", json.dumps({"n": str(second)}), "light"])
    world.client.insert("quant.quant_metrics_series", rows, column_names=COLUMNS)
    world.client.command("optimize table quant.quant_metrics_series final")
    assert len(stored(world, "m0")) == 360
    assert stored(world, "m1") == [
        (older + timedelta(seconds=second), None, str(second)) for second in range(40, 7200, 60)
    ]
    assert stored(world, "m2") == [(oldest + timedelta(seconds=second), None, str(second)) for second in (3580, 7180)]
    assert stored(world, "m3") == []
