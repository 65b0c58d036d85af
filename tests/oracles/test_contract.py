"""The API keeps what its OpenAPI description says, whatever it is asked, and that changes only on purpose."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from clickhouse_connect.driver.client import Client
from hypothesis import HealthCheck, settings
from schemathesis.checks import CHECKS

from api.app import TRADING, create_app
from orchestration.settings import Settings
from tests.e2e.running import PROBLEM
from tests.oracles.world import FACTS, Order, World, after

DESCRIPTION: dict[str, Any] = json.loads(json.dumps(create_app(Settings()).openapi()))
SNAPSHOT = Path(__file__).parents[2] / "docs" / "openapi.json"
QUANT = f"{TRADING}/control-plane/quant"

# A stream does not end, so nothing can be said of its whole body; frames of the past take the engine seconds each; and
# to be not ready is what /readyz is for.
_SCHEMA = schemathesis.openapi.from_dict(DESCRIPTION).exclude(path_regex="/stream$|/explain$|/snapshot$|/readyz$")
# That `from` lies before `to`, and that a strategy exists, no schema can say: then 400 or 404 is the right answer.
# Nobody is asked who they are here: test_security does.
_EXCLUDED = CHECKS.get_by_names(["positive_data_acceptance", "ignored_auth"])

HOSTILE = (
    "' or 1=1 --",
    "\\'",
    "'; drop table quant.quant_alerts; --",
    "{x:String}",
    "%00",
    "\u202e\x7f",
    "\U0001f600" * 40,
)


@pytest.fixture(scope="module")
def traded(built: Client) -> World:
    """A few fills and decisions: an answer should have rows to be checked."""
    world = World(built)
    world.clear()
    strategy = world.strategy("alpha")
    world.decision(strategy, after(0))
    world.order(Order("buy", 10, 100, after(60), "paper", "AAPL"))
    world.batch()
    world.tick((*FACTS, "order_outcome_refresh"))
    return world


def test_the_description_is_that_of_the_documentation() -> None:
    assert json.loads(SNAPSHOT.read_text()) == DESCRIPTION, "The API's contract changed: `make docs`, and say so."


@_SCHEMA.parametrize()
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_as_described(case: schemathesis.Case, api: httpx.Client, traded: World) -> None:
    case.call_and_validate(base_url=str(api.base_url.copy_with(path="/")), excluded_checks=_EXCLUDED)


@pytest.mark.parametrize(
    "path", [p for p in DESCRIPTION["paths"] if "get" in DESCRIPTION["paths"][p] and not p.endswith("/stream")]
)
def test_a_parameter_is_a_value_never_a_piece_of_a_query(path: str, api: httpx.Client, traded: World) -> None:
    operation = DESCRIPTION["paths"][path]["get"]
    texts = [
        parameter["name"]
        for parameter in operation.get("parameters", [])
        if parameter["in"] == "query"
        and parameter["schema"].get("type") == "string"
        and "enum" not in parameter["schema"]
    ]
    for name in texts:
        for value in HOSTILE:
            answer = api.get(str(api.base_url.copy_with(path=path)), params={name: value, **_required(operation, name)})
            assert answer.status_code in (200, 400, 404), (name, value, answer.text)
            assert "DB::" not in answer.text
            if answer.status_code != 200:
                assert set(answer.json()) == PROBLEM
    assert traded.client.query("select count() >= 0 from quant.quant_alerts").result_rows == [(1,)]


def _required(operation: dict[str, Any], but: str) -> dict[str, str]:
    values = {"metric": "net_pnl", "metrics": "net_pnl"}
    return {
        parameter["name"]: values[parameter["name"]]
        for parameter in operation["parameters"]
        if parameter.get("required") and parameter["name"] != but
    }


def test_a_parameter_that_is_not_there_or_twice_is_refused(api: httpx.Client) -> None:
    misspelt = api.get("/control-plane/quant/alerts", params={"acount": "paper"})
    assert misspelt.status_code == 400
    assert misspelt.json()["detail"] == "acount: there is no such parameter."
    twice = api.get("/control-plane/quant/alerts?account=a&account=b")
    assert (twice.status_code, twice.json()["detail"]) == (400, "account: is there 2 times.")
