"""The metrics endpoint without a warehouse: it answers all the same."""

import asyncio

import httpx

from api.app import create_app
from orchestration.settings import Settings
from tests.ports import free_port


def test_an_absent_warehouse_is_a_metric() -> None:
    app = create_app(Settings.model_validate({"CLICKHOUSE_URL": f"http://127.0.0.1:{free_port()}"}))

    async def scrape() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as client:
            return await client.get("/metrics")

    answer = asyncio.run(scrape())
    assert answer.status_code == 200
    samples = [line for line in answer.text.splitlines() if not line.startswith("#")]
    assert samples == ["jangar_quant_warehouse_up 0.0"]
