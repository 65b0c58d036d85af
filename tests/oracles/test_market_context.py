"""The market context of a decision is in the input of its review."""

from datetime import UTC, datetime

from tests.oracles.world import World, after

CONTEXT = {
    "context_version": "v1",
    "symbol": "NVDA",
    "as_of_utc": "2026-03-02T15:00:05Z",
    "freshness_seconds": 42,
    "quality_score": 0.75,
    "source_count": 3,
    "risk_flags": ["earnings_soon"],
    "domains": {
        "technicals": {"domain": "technicals", "state": "ok", "freshness_seconds": 12.5},
        "news": {"domain": "news", "state": "missing", "freshness_seconds": None},
    },
}


def test_a_context_is_read_with_its_domains(world: World) -> None:
    strategy = world.strategy("s")
    decision = world.decision(strategy)
    review = world.review(decision, after(3), {"decision": {"symbol": "MU"}, "market_context": CONTEXT})
    # Reviews from before there was a context, and one whose context is none.
    for document in ({"decision": {"symbol": "MU"}}, {"market_context": None}, {"market_context": []}, []):
        world.review(decision, after(4), document)
    world.batch()
    world.tick()
    rows = list(world.client.query("select * from quant.market_context_fact").named_results())
    assert len(rows) == 1
    assert rows[0] == {
        "review_id": review,
        "decision_id": decision,
        "strategy_id": str(strategy),
        "account": "paper",
        "symbol": "NVDA",
        "reviewed_at": after(3),
        "context_at": datetime(2026, 3, 2, 15, 0, 5, tzinfo=UTC),
        "context_version": "v1",
        "freshness_seconds": 42.0,
        "quality_score": 0.75,
        "source_count": 3,
        "risk_flags": ["earnings_soon"],
        "domain_states": {"technicals": "ok", "news": "missing"},
        "domain_freshness_seconds": {"technicals": 12.5, "news": None},
    }


def test_what_a_context_lacks_is_not_invented(world: World) -> None:
    world.review(world.decision(world.strategy("s")), after(3), {"decision": {"symbol": "MU"}, "market_context": {}})
    world.batch()
    world.tick()
    (row,) = world.client.query("select * from quant.market_context_fact").named_results()
    assert row["symbol"] == "MU"
    assert (row["context_at"], row["freshness_seconds"], row["quality_score"], row["source_count"]) == (None,) * 4
    assert (row["risk_flags"], row["domain_states"]) == ([], {})
