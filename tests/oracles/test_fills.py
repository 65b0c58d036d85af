"""Fills recovered from what the source keeps: events, versions of an order, or the order alone."""

import json
import uuid
from dataclasses import replace
from decimal import Decimal

from tests.oracles.world import Order, World, after

D = Decimal


def test_events_make_fills_when_they_cover_the_order(world: World) -> None:
    order = world.order(Order("buy", D(100), D("10.2"), after(9), fee=D(10)))
    world.event(order, after(1), D(40), D(10))
    world.event(order, after(2), D(100), D("10.2"))
    world.event(order, after(3), D(100), D("10.2"))
    world.batch()
    world.tick()
    fills = world.fills()
    assert [(fill["quantity"], fill["notional"], fill["fee"]) for fill in fills] == [(40, 400, 4), (60, 620, 6)]
    assert [fill["executed_at"] for fill in fills] == [after(1), after(2)]
    assert {fill["fill_source"] for fill in fills} == {"event"}


def test_versions_make_fills_when_events_are_missing_or_incomplete(world: World) -> None:
    order = Order("sell", D(100), D(10), after(1), filled=D(30), status="partially_filled")
    world.order(order)
    world.batch()
    world.tick()
    assert [fill["quantity"] for fill in world.fills()] == [30]
    world.order(replace(order, filled=D(100), price=D("10.7"), at=after(5), status="filled"))
    world.event(order, after(1), D(30), D(10))
    world.batch()
    world.tick()
    fills = world.fills()
    assert [(fill["quantity"], fill["notional"]) for fill in fills] == [(30, 300), (70, 770)]
    assert [fill["executed_at"] for fill in fills] == [after(1), after(5)]
    assert {fill["fill_source"] for fill in fills} == {"history"}


def test_a_partially_filled_and_canceled_order_keeps_its_fill(world: World) -> None:
    world.order(Order("buy", D(100), D(10), after(1), filled=D(25), status="canceled"))
    world.batch()
    world.tick()
    assert [(fill["quantity"], fill["fill_source"]) for fill in world.fills()] == [(25, "order")]


def test_a_quantity_that_was_taken_back_is_no_fill(world: World) -> None:
    order = Order("buy", D(100), D(10), after(1), filled=D(60), status="partially_filled")
    for version in (order, replace(order, filled=D(90), at=after(2)), replace(order, filled=D(80), at=after(3))):
        world.order(version)
        world.batch()
    world.tick()
    assert [fill["quantity"] for fill in world.fills()] == [60, 20]


def test_an_order_without_a_decision_is_unattributed_until_it_is_linked(world: World) -> None:
    order = world.order(Order("buy", D(1), D(10), after(1)))
    world.batch()
    world.tick()
    assert [fill["strategy_id"] for fill in world.fills()] == ["unattributed"]
    strategy = world.strategy("late")
    world.order(replace(order, decision=world.decision(strategy)))
    world.batch()
    world.tick()
    assert [fill["strategy_id"] for fill in world.fills()] == [str(strategy)]


def test_before_the_account_column_the_decision_names_the_account(world: World) -> None:
    decision = world.decision(world.strategy("old"), alpaca_account_label="live")
    world.order(Order("buy", D(1), D(10), after(1), decision=decision), alpaca_account_label=None)
    world.batch()
    world.tick()
    assert [fill["account"] for fill in world.fills()] == ["live"]


def test_every_shape_of_raw_order_is_read_and_garbage_stops_nothing(world: World) -> None:
    at = after(7).isoformat()
    shapes = [
        json.dumps({"filled_at": at}),
        json.dumps({"filled_at": at, "cost_amount": 1.25, "_execution_adapter": "lean"}),
        json.dumps({"channel": "trade_updates", "payload": {"event": "fill", "order": {"filled_at": at}}}),
        json.dumps({"stream": "trade_updates", "data": {"order": {"filled_at": at}}}),
        "not json {",
        "[]",
        '{"filled_at": "soon", "cost_amount": {"a": 1}, "_seq": -4}',
        None,
    ]
    for number, shape in enumerate(shapes):
        world.order(Order("buy", D(1), D(10), after(1), symbol=f"S{number}"), raw_order=shape)
    world.batch()
    world.tick()
    fills = world.fills()
    assert len(fills) == len(shapes)
    assert [fill["executed_at"] for fill in fills] == [after(7)] * 4 + [after(1)] * 4
    assert [fill["fee"] for fill in fills[:3]] == [None, D("1.25"), None]


def test_equal_order_ids_in_two_accounts_do_not_share_events(world: World) -> None:
    first = world.order(Order("buy", D(10), D(10), after(1), account="a"), alpaca_order_id="7")
    world.order(Order("buy", D(20), D(10), after(1), account="b"), alpaca_order_id="7")
    world.event(first, after(2), D(10), D(10), alpaca_order_id="7")
    world.batch()
    world.tick()
    assert [(fill["account"], fill["quantity"], fill["fill_source"]) for fill in world.fills()] == [
        ("a", 10, "event"),
        ("b", 20, "order"),
    ]


def test_an_event_that_names_another_order_or_is_removed_leaves_the_first_one(world: World) -> None:
    first = world.order(Order("buy", D(10), D(20), after(9), status="partially_filled", filled=D(0)))
    second = world.order(Order("buy", D(10), D(21), after(9), status="partially_filled", filled=D(0)))
    identity = uuid.uuid4()
    world.event(first, after(1), D(10), D(20), id=identity)
    world.batch()
    world.tick()
    assert [fill["order_id"] for fill in world.fills()] == [first.id]
    world.event(second, after(1), D(10), D(20), id=identity)
    world.batch()
    world.tick()
    assert [fill["order_id"] for fill in world.fills()] == [second.id]
    world.delete("execution_order_events", identity)
    world.batch()
    world.tick()
    assert world.fills() == []


def test_a_snapshot_that_moved_or_is_removed_is_not_there_twice(world: World) -> None:
    identity = uuid.uuid4()
    world.snapshot(after(1), D(100), id=identity)
    world.batch()
    world.tick()
    world.snapshot(after(2), D(100), account="other", id=identity)
    world.batch()
    world.tick()
    found = "select account, snapshot_at from quant.position_snapshot_fact final"
    assert world.client.query(found).result_rows == [("other", after(2))]
    world.delete("position_snapshots", identity)
    world.batch()
    world.tick()
    assert world.client.query(found).result_rows == []
