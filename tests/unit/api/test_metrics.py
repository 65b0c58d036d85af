"""The metrics endpoint without a warehouse: it answers all the same."""

import asyncio
import re

import httpx

from api.app import create_app
from orchestration.settings import Settings
from tests.ports import free_port


def test_an_absent_warehouse_is_a_metric() -> None:
    app = create_app(Settings.model_validate({"CLICKHOUSE_URL": f"http://127.0.0.1:{free_port()}"}))

    async def scrape() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            return await client.get("/metrics")

    answer = asyncio.run(scrape())
    assert answer.status_code == 200
    assert {"jangar_quant_warehouse_up 0.0", "jangar_quant_stream_listeners 0.0"} <= set(answer.text.splitlines())


def test_requests_are_counted_by_route_whatever_their_values() -> None:
    app = create_app(Settings(control_plane_enabled=True))

    async def requests() -> str:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            await client.get("/healthz")
            await client.get("/nothing/of/this")
            await client.get("/api/torghut/trading/control-plane/quant/alerts/none-of-them")
            return (await client.get("/metrics")).text

    text = asyncio.run(requests())
    counted = re.findall(r"jangar_quant_api_requests_total\{(.*?)\} (\S+)", text)
    assert counted == [
        ('method="GET",route="/healthz",status="200"', "1.0"),
        ('method="GET",route="none",status="404"', "1.0"),
        ('method="GET",route="/api/torghut/trading/control-plane/quant/alerts/{alert_id}",status="400"', "1.0"),
    ]
    assert 'jangar_quant_api_request_seconds_bucket{le="0.05",method="GET",route="/healthz"} 1.0' in text
