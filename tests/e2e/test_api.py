"""The API over the running product: past moments, names, and one readable error for every wrong request."""

from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

from tests.e2e.running import QUANT, RunningUp
from tests.waiting import wait_for


def test_a_past_frame_is_the_same_whenever_it_is_asked(up: RunningUp) -> None:
    moment = (datetime.now(UTC) - timedelta(hours=5)).isoformat()

    def past() -> dict[str, tuple[float | None, str, int]]:
        path = f"{QUANT}/snapshot?account=paper-crypto&window=1h&as_of={quote(moment)}"
        # Other tests run beside this one: the warehouse may need longer than the API waits for it.
        frame = wait_for(lambda: up.get(path)[1]["frame"], 90, "the past frame")
        assert frame["frame_age_seconds"] == 0
        return {m["metric_name"]: (m["value"], m["status"], m["sample_count"]) for m in frame["metrics"]}

    first = past()
    assert past() == first
    assert first["cumulative_return"][1] == "ok"


def test_a_strategy_is_found_by_id_and_by_name(up: RunningUp) -> None:
    with up.source() as source:
        row = source.execute("select id::text, name from strategies order by name limit 1").fetchone()
    assert row is not None
    account = "paper-crypto" if "crypto" in row[1] else "paper"
    by_id, by_name = (
        up.get(f"{QUANT}/snapshot?strategy_id={quote(key)}&account={account}&window=5d")[1]["frame"] for key in row
    )
    assert by_id["strategy_id"] == by_name["strategy_id"] == row[0]
    assert by_id["strategy_name"] == by_name["strategy_name"] == row[1]


@pytest.mark.parametrize(
    ("query", "status", "told"),
    [
        ("account=paper&window=2h", 400, "window"),
        ("account=nobody", 404, "there is no account 'nobody'"),
        ("strategy_id=nobody", 404, "there is no strategy 'nobody'"),
        ("account=paper&as_of=2999-01-01T00:00:00Z", 400, "lies in the future"),
        ("account=paper&as_of=yesterday", 400, "as_of"),
        (f"account={'x' * 65}", 400, "account"),
    ],
)
def test_a_wrong_request_gets_one_readable_error(up: RunningUp, query: str, status: int, told: str) -> None:
    answered, body = up.get(f"{QUANT}/snapshot?{query}")
    assert answered == status
    assert set(body) == {"ok", "message", "remedy"}
    assert body["ok"] is False
    assert told in body["message"]


def test_openapi_describes_both_routes(up: RunningUp) -> None:
    status, document = up.get("/openapi.json")
    assert status == 200
    assert {f"{QUANT}/snapshot", f"{QUANT}/health"} <= set(document["paths"])
    parameters = {p["name"] for p in document["paths"][f"{QUANT}/snapshot"]["get"]["parameters"]}
    assert parameters == {"strategy_id", "account", "window", "as_of"}


def test_an_unknown_route_has_the_same_shape(up: RunningUp) -> None:
    assert up.get("/nowhere") == (404, {"ok": False, "message": "Not Found", "remedy": ""})
