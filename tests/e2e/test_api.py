"""The API over the running product: past moments, names, and one readable error for every wrong request."""

import urllib.request
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.running import PROBLEM, QUANT, RunningUp
from tests.waiting import wait_for


def test_a_past_frame_is_the_same_whenever_it_is_asked(up: RunningUp) -> None:
    moment = (datetime.now(UTC) - timedelta(hours=5)).isoformat()

    def past() -> dict[str, tuple[float | None, str, int]]:
        path = f"{QUANT}/snapshot?account=paper-crypto&window=1h&as_of={quote(moment)}"
        # Other tests run beside this one: the warehouse may need longer than the API waits for it.
        frame = wait_for(lambda: up.get(path)[1]["frame"], 90, "the past frame")
        assert frame["frame_age_seconds"] == 0
        return {m["metric_name"]: (m["value"], m["status"], m["sample_count"]) for m in frame["metrics"]}

    # The desk writes the signals of the time before it started behind everything else.
    wait_for(lambda: past()["missing_signal_rate"][0] == 0, 150, "the signals of that hour")
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
        ("account=paper&as_of=2150-01-01T00:00:00Z", 400, "lies in the future"),
        ("account=paper&as_of=2999-01-01T00:00:00Z", 400, "1990 to 2199"),
        ("account=paper&as_of=yesterday", 400, "as_of"),
        (f"account={'x' * 65}", 400, "account"),
    ],
)
def test_a_wrong_request_gets_one_readable_error(up: RunningUp, query: str, status: int, told: str) -> None:
    answered, body = up.get(f"{QUANT}/snapshot?{query}")
    assert answered == status
    assert set(body) == PROBLEM
    assert body["ok"] is False
    assert told in body["message"]


def test_openapi_describes_the_routes(up: RunningUp) -> None:
    status, document = up.get("/openapi.json")
    assert status == 200
    assert {f"{QUANT}/snapshot", f"{QUANT}/health"} <= set(document["paths"])
    parameters = {p["name"] for p in document["paths"][f"{QUANT}/snapshot"]["get"]["parameters"]}
    assert parameters == {"strategy_id", "account", "window", "as_of", "known_at", "recorded"}


def test_an_unknown_route_has_the_same_shape(up: RunningUp) -> None:
    status, body = up.get("/nowhere")
    assert (status, set(body), body["ok"], body["detail"]) == (404, PROBLEM, False, "Not Found")


def test_prometheus_reads_the_state_of_mirror_and_stages(up: RunningUp) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{up.ports['JANGAR_QUANT_API_PORT']}/metrics", timeout=60) as answer:
        content_type, text = answer.headers["Content-Type"], answer.read().decode()
    assert content_type.startswith("text/plain; version=1.0.0")
    found = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert found["jangar_quant_warehouse_up",] == 1
    states = {key[1:]: value for key, value in found.items() if key[0] == "jangar_quant_mirror_state"}
    assert states["jangar_quant", "streaming"] == 1
    assert sum(value for (slot, _), value in states.items() if slot == "jangar_quant") == 1
    assert 0 <= found["jangar_quant_mirror_report_age_seconds", "jangar_quant"] < 30
    assert 0 <= found["jangar_quant_mirror_complete_age_seconds", "jangar_quant"] < 30
    assert found["jangar_quant_mirror_lossy_values", "jangar_quant"] == 0
    stages = {stage["stage"] for stage in up.get(f"{QUANT}/health")[1]["stages"]}
    assert {key[1] for key in found if key[0] == "jangar_quant_stage_lag_seconds"} == stages
