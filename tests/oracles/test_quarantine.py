"""Rows that cannot be used are told with the reason, and stop nothing."""

import json
from collections import defaultdict
from dataclasses import replace
from decimal import Decimal

from tests.oracles.world import Order, World, after

D = Decimal


def quarantined(world: World) -> dict[str, set[tuple[str, str]]]:
    """Reasons by source table, as (row id, reason)."""
    world.tick(["quarantined_row_refresh"])
    found: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for table, row, reason in world.client.query(
        "select source_table, row_id, reason from quant.quarantined_row final where source_table != ''"
    ).result_rows:
        found[table].add((row, reason))
    return found


def count_in_health(world: World) -> int:
    """What the health view counts."""
    rows = world.client.query("select quarantined_rows from quant.api_pipeline_health where stage = 'facts'")
    return int(rows.result_rows[0][0])


def test_rows_without_defects_are_not_quarantined(world: World) -> None:
    order = world.order(Order("buy", D(100), D(10), after(1), decision=world.decision(world.strategy("s"))))
    world.order(Order("sell", D(5), None, after(1), filled=D(0), status="new"), raw_order=None)
    world.event(order, after(1), D(100), D(10))
    world.event(order, after(0), D(0), D(0), event_type="new", filled_qty=None, avg_fill_price=None)
    world.snapshot(after(2), D(1000), positions=[{"symbol": "MU", "qty": "100", "side": "long"}])
    world.snapshot(after(3), D(1000))
    world.batch()
    world.tick()
    assert quarantined(world) == {}
    assert count_in_health(world) == 0


def test_every_defect_has_its_reason_and_the_rest_goes_on(world: World) -> None:
    good = world.order(Order("buy", D(1), D(10), after(1), symbol="GOOD"))
    unpriced = world.order(Order("buy", D(1), None, after(1)))
    sideless = world.order(Order("hold", D(1), D(10), after(1)))
    listed = world.order(Order("buy", D(1), D(10), after(1)), raw_order="[]")
    world.event(good, after(1), D(1), D(10), filled_qty=None)
    world.event(good, after(1), D(1), D(10), avg_fill_price=None)
    world.event(good, after(1), D(1), D(10), alpaca_order_id=None)
    strategy = world.strategy("s")
    undecided = world.decision(strategy, decision_json=json.dumps({"action": "wait", "qty": "1"}))
    unsized = world.decision(strategy, decision_json=json.dumps({"action": "buy", "qty": "many"}))
    garbled = world.decision(strategy, decision_json="no json {")
    world.snapshot(after(2), D(1000), positions=[{"qty": "100"}])
    world.snapshot(after(3), D(1000), positions=[{"symbol": "MU", "qty": "some"}])
    world.snapshot(after(4), D(1000), positions=[{"symbol": "MU"}])
    # As values by time are loaded, without quantities.
    world.snapshot(after(5), D(1000), positions=[{"symbol": "MU", "qty": None, "market_value": "500"}])
    world.snapshot(after(6), D(1000), positions=[{"symbol": "MU", "market_value": "500"}])
    world.batch()
    world.tick()
    found = quarantined(world)
    assert found["executions"] == {
        (str(unpriced.id), "filled without a price"),
        (str(sideless.id), "side is neither buy nor sell"),
        (str(listed.id), "raw_order is no JSON object"),
    }
    assert found["trade_decisions"] == {
        (str(undecided), "action is neither buy nor sell"),
        (str(unsized), "qty is no number"),
        (str(garbled), "action is neither buy nor sell"),
        (str(garbled), "qty is no number"),
    }
    assert {reason for _, reason in found["execution_order_events"]} == {
        "a fill without a quantity",
        "a fill without a price",
        "an event of no order",
    }
    assert {reason for _, reason in found["position_snapshots"]} == {
        "a position has no symbol",
        "the quantity of a position is no number",
    }
    assert len(found["position_snapshots"]) == 3
    assert count_in_health(world) == 3 + 3 + 3 + 3
    # An order that is neither bought nor sold is no fill; one with an odd raw_order is.
    assert sorted(str(fill["order_id"]) for fill in world.fills()) == sorted([str(good.id), str(listed.id)])


def test_each_version_is_looked_at_once(world: World) -> None:
    order = world.order(Order("buy", D(1), None, after(1)))
    world.batch()
    assert quarantined(world)["executions"] == {(str(order.id), "filled without a price")}
    world.order(replace(order, price=D(10)))
    world.batch()
    assert len(quarantined(world)["executions"]) == 1
    world.order(replace(order, price=D(-1)))
    world.batch()
    quarantined(world)
    rows = world.client.query("select count() from quant.quarantined_row final where source_table != ''").result_rows
    assert rows == [(2,)]
    assert count_in_health(world) == 1


def test_three_kinds_of_reject_are_kept_apart(world: World) -> None:
    strategy = world.strategy("s")

    def rejected(**document: object) -> object:
        return world.decision(strategy, status="rejected", decision_json=json.dumps({"action": "buy", **document}))

    vetoed = rejected(risk_reasons=["llm_veto;symbol_not_allowed"], reject_class="policy")
    at_once = rejected(risk_reasons=["alpaca_order_rejected code=403 reason=insufficient"])
    staged = rejected(risk_reasons=["capacity"], submission_stage="rejected_submit")
    # The source copies the status of the order to its decision.
    later = rejected(risk_reasons=[])
    order = world.order(Order("buy", D(1), None, after(5), filled=D(0), status="rejected", decision=later))
    world.decision(strategy, status="filled")
    world.batch()
    world.tick()
    rows = world.client.query(
        "select reject_kind, decision_id, order_id, strategy_id, reason, reject_class from quant.reject_fact"
    ).result_rows
    assert {(kind, decision) for kind, decision, *_ in rows} == {
        ("decision", vetoed),
        ("submit", at_once),
        ("submit", staged),
        ("order", later),
    }
    assert [(row[2], row[3]) for row in rows if row[0] == "order"] == [(order.id, str(strategy))]
    assert [row[4:] for row in rows if row[0] == "decision"] == [("llm_veto;symbol_not_allowed", "policy")]
