"""What Prometheus is told of ticks and formulas."""

from datetime import UTC, datetime, timedelta

import httpx
from prometheus_client.parser import text_string_to_metric_families

from orchestration.replay.verify import behind_start
from tests.oracles.world import FACTS, TIERS, Order, World, after


def test_ticks_are_a_histogram_and_formulas_have_versions(api: httpx.Client, world: World) -> None:
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    rows = [
        [midnight - timedelta(seconds=1), 99],
        *([midnight + timedelta(seconds=n), taken] for n, taken in enumerate((80, 100, 400, 40_000))),
    ]
    world.client.insert("known_state", rows, column_names=["as_of", "taken_ms"], database="quant")
    text = api.get(str(api.base_url.copy_with(path="/metrics"))).text
    found = {family.name: family for family in text_string_to_metric_families(text)}
    counts = {
        sample.labels["le"]: sample.value
        for sample in found["jangar_quant_tick_seconds"].samples
        if sample.name.endswith("_bucket")
    }
    assert (counts["0.1"], counts["0.25"], counts["0.5"], counts["30.0"], counts["+Inf"]) == (2, 2, 3, 3, 4)
    (total,) = (s.value for s in found["jangar_quant_tick_seconds"].samples if s.name.endswith("_sum"))
    assert total == 40.58
    versions = {s.labels["metric"]: s.value for s in found["jangar_quant_formula_version"].samples}
    assert versions == dict(
        world.client.query("select metric_name, toFloat64(formula_version) from quant.metric_definitions").result_rows
    )
    assert found["jangar_quant_build_info"].samples[0].value == 1


def test_returns_are_of_a_moment_whose_state_is_noted(world: World) -> None:
    """A slow tick has its flows long before its state: a path of that moment knew of no valuation, and was stale."""

    def newest(table: str) -> datetime:
        ((moment,),) = world.client.query(f"select max(as_of) from quant.{table}").result_rows
        assert isinstance(moment, datetime)
        return moment

    before_state = TIERS[: TIERS.index("known_state_refresh")]
    world.strategy("alpha")
    world.order(Order("buy", 10, 100, after(60), "paper", "AAPL"))
    world.batch()
    world.tick((*FACTS, *TIERS))
    noted = newest("known_state")
    world.tick((*before_state, "live_path_refresh"))
    assert newest("live_flow") > noted
    assert newest("live_path") == newest("known_state") == noted
    world.tick(("known_state_refresh", "live_path_refresh"))
    assert newest("live_path") == newest("known_state") == newest("live_flow")


def test_the_first_minutes_of_a_warehouse_are_not_recomputed(world: World) -> None:
    began = after(0)
    start, soon, late = began - timedelta(days=2), began + timedelta(minutes=2), began + timedelta(minutes=9)
    assert behind_start(world.client, start, late) == (start, late)
    for moment in (began, soon):
        world.client.insert("known_state", [[moment]], column_names=["as_of"], database="quant")
    assert behind_start(world.client, start, soon) == (start, began)
    assert behind_start(world.client, start, late) == (began + timedelta(minutes=3), late)
    assert behind_start(world.client, late - timedelta(minutes=1), late) == (late - timedelta(minutes=1), late)
