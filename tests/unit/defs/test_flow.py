"""In which direction rows flow between models."""

from typing import Any

from orchestration.defs.models.flow import target_of, upstream


def node(name: str, *parents: str, fills: str = "") -> dict[str, Any]:
    """A model of a manifest."""
    return {
        "name": name,
        "resource_type": "model",
        "depends_on": {"nodes": [f"model.p.{parent}" for parent in (*parents, *([fills] if fills else []))]},
        "config": {"materialized": "materialized_view" if fills else "view"},
        "raw_code": f'{{{{ materialization_target_table(ref("{fills}")) }}}}' if fills else "",
    }


def flow(*nodes: dict[str, Any]) -> dict[str, set[str]]:
    """What feeds each model, by name."""
    manifest = {"nodes": {f"model.p.{n['name']}": n for n in nodes}, "sources": {}}
    return {
        unique.removeprefix("model.p."): {parent.removeprefix("model.p.") for parent in parents}
        for unique, parents in upstream(manifest).items()
    }


def test_a_view_feeds_its_table_and_the_tables_cursor_is_no_feed() -> None:
    found = flow(
        node("fact"),
        node("table"),
        node("pending", "fact", "table"),
        node("refresh", "pending", fills="table"),
        node("reader", "table"),
    )
    assert found == {
        "fact": set(),
        "table": {"refresh"},
        "pending": {"fact"},
        "refresh": {"pending"},
        "reader": {"table"},
    }


def test_that_a_view_waits_for_another_one_moves_no_rows() -> None:
    found = flow(node("a"), node("b"), node("a_refresh", fills="a"), node("b_refresh", "a_refresh", "a", fills="b"))
    assert found["b_refresh"] == {"a"}


def test_a_way_round_by_another_table_is_cut_where_it_comes_back() -> None:
    found = flow(
        node("facts"),
        node("ledger"),
        node("heads"),
        node("heads_of_rows", "ledger", fills="heads"),
        node("pending", "facts", "heads", "ledger"),
        node("refresh", "pending", "heads_of_rows", fills="ledger"),
    )
    assert found["pending"] == {"facts"}
    assert found["heads_of_rows"] == {"ledger"}


def test_of_two_tables_that_read_each_other_the_first_reads_the_past() -> None:
    found = flow(
        node("edges"),
        node("points"),
        node("pending_edges", "points"),
        node("pending_points", "edges"),
        node("edges_refresh", "pending_edges", fills="edges"),
        node("points_refresh", "pending_points", "edges_refresh", fills="points"),
    )
    assert found["pending_edges"] == set()
    assert found["pending_points"] == {"edges"}


def test_a_table_has_no_target() -> None:
    assert target_of(node("table")) == ""
    assert target_of(node("view", fills="table")) == "table"
