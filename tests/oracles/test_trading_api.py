"""What the API tells of fills, decisions and orders, and what a metric is made of."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from clickhouse_connect.driver.client import Client

from tests.e2e.running import PROBLEM
from tests.oracles.world import FACTS, START, Order, World, after

D = Decimal
QUANT = "/control-plane/quant"


@pytest.fixture(scope="module")
def traded(built: Client) -> World:
    """Seven fills of two accounts, two of them at the same moment, and three decisions; no test changes them."""
    world = World(built)
    world.clear()
    strategy = world.strategy("alpha")
    for number in range(3):
        world.decision(strategy, after(number))
    for number in range(6):
        side = "sell" if number % 2 else "buy"
        at = after(60 * (number - (number == 3)))
        world.order(Order(side, D(10), D(100 + number), at, "paper", "AAPL", fee=D("0.5")))
    world.order(Order("buy", D(1), D(50), after(10), "other", "MSFT"))
    world.batch()
    world.tick((*FACTS, "order_outcome_refresh"))
    return world


def _times(**more: Any) -> dict[str, Any]:
    return {"from": (START - timedelta(hours=1)).isoformat(), "to": (START + timedelta(hours=1)).isoformat(), **more}


def test_pages_hold_every_fill_once_from_the_newest_on(api: httpx.Client, traded: World) -> None:
    seen: list[dict[str, Any]] = []
    after_page = ""
    while True:
        body = api.get("/executions", params=_times(limit=2, after=after_page)).json()
        seen += body["executions"]
        after_page = body["next"]
        if after_page is None:
            break
        assert len(body["executions"]) == 2
    assert len({row["fill_id"] for row in seen}) == len(seen) == 7
    assert [row["executed_at"] for row in seen] == sorted((row["executed_at"] for row in seen), reverse=True)
    newest = seen[0]
    assert (newest["side"], newest["quantity"], newest["price"], newest["notional"]) == ("sell", 10, 105, 1050)
    assert (newest["fee"], newest["position_after"], newest["realized_pnl"]) == (0.5, 0, 10)


def test_fills_are_found_by_account_and_instrument(api: httpx.Client, traded: World) -> None:
    for query, count in [
        ({"account": "paper"}, 6),
        ({"account": "other"}, 1),
        ({"symbol": "MSFT"}, 1),
        ({"symbol": "MSFT", "account": "paper"}, 0),
        ({"strategy_id": "alpha"}, 0),
        ({"strategy_id": "unattributed"}, 7),
    ]:
        assert len(api.get("/executions", params=_times(**query)).json()["executions"]) == count, query


def test_decisions_and_strategies(api: httpx.Client, traded: World) -> None:
    body = api.get("/decisions", params=_times()).json()
    assert len(body["decisions"]) == 3
    assert body["next"] is None
    names = [row["strategy_name"] for row in api.get("/strategies").json()["strategies"]]
    assert names == ["alpha", "unattributed"]


def test_the_fills_of_a_metric_add_up_to_it(api: httpx.Client, traded: World) -> None:
    query = {"account": "paper", "window": "1h", "as_of": after(250).isoformat()}
    body = api.get(f"{QUANT}/explain", params={**query, "metric": "realized_pnl"}).json()
    assert body["definition"]["unit"] == "USD"
    assert sum(row["realized_pnl"] for row in body["executions"]) == body["metric"]["value"] == 20
    first, last = (datetime.fromisoformat(body["metric"][name]) for name in ("window_start", "window_end"))
    assert all(first < datetime.fromisoformat(row["executed_at"]) <= last for row in body["executions"])
    body = api.get(f"{QUANT}/explain", params={**query, "metric": "fill_ratio"}).json()
    assert len(body["orders"]) == 5
    assert sum(row["filled_quantity"] for row in body["orders"]) == 50


def test_what_was_known_can_be_asked_for(api: httpx.Client, traded: World) -> None:
    query = {"account": "paper", "window": "1h", "as_of": after(250).isoformat()}
    answer = api.get(f"{QUANT}/snapshot", params=query)
    assert (
        api.get(f"{QUANT}/snapshot", params=query, headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
    )
    wrong = api.get(f"{QUANT}/snapshot", params={"known_at": after(250).isoformat()})
    assert (wrong.status_code, set(wrong.json())) == (400, PROBLEM)
    assert wrong.headers["content-type"] == "application/problem+json"


def test_the_dictionary_is_that_of_the_warehouse(api: httpx.Client, built: Client) -> None:
    metrics = api.get(f"{QUANT}/metrics").json()["metrics"]
    assert len(metrics) == built.command("select count() from quant.metric_definitions")


@pytest.mark.parametrize(
    ("path", "query", "status", "told"),
    [
        ("/executions", {"after": "!!"}, 400, "after"),
        ("/executions", {"after": "AAAA"}, 400, "after"),
        ("/executions", {"limit": "0"}, 400, "limit"),
        ("/decisions", {"from": "2026-01-02", "to": "2026-01-01"}, 400, "from"),
        ("/executions", {"strategy_id": "nobody"}, 404, "there is no strategy"),
        (f"{QUANT}/explain", {"metric": "nonsense"}, 404, "there is no metric"),
        (f"{QUANT}/explain", {}, 400, "metric"),
        ("/nowhere", {}, 404, "Not Found"),
    ],
)
def test_a_wrong_request_is_a_problem(
    api: httpx.Client, path: str, query: dict[str, str], status: int, told: str
) -> None:
    answer = api.get(path, params=query)
    assert answer.status_code == status
    assert set(answer.json()) == PROBLEM
    assert told in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/executions", "/decisions"])
def test_text_of_a_request_is_never_sql(api: httpx.Client, traded: World, path: str) -> None:
    for text in ("'", "\\", "' or 1=1 --", "{limit:UInt8}", "\x00", "%s", "`", "/*", "\n"):
        for name in ("account", "symbol"):
            answer = api.get(path, params=_times(**{name: text}))
            assert answer.status_code == 200, (name, text, answer.text)
            assert answer.json()[path[1:]] == []
