"""Columns from which columns are computed, against what a reader of the SQL finds."""

from typing import Any

import pytest

from orchestration.defs.lineage.query import Columns
from orchestration.defs.lineage.trace import trace


@pytest.fixture(scope="module")
def columns() -> Columns:
    """Fills with their orders, and lists of marks."""
    found = Columns()
    found.add("shop", "fill", ["fill_id", "order_id", "quantity", "price", "fee"])
    found.add("shop", "order", ["order_id", "account", "side", "fee"])
    found.add("shop", "mark", ["account", "marks"])
    return found


def test_ctes_joins_and_expressions(columns: Columns) -> None:
    assert origins(
        columns,
        """
        with
            fills as (select order_id, quantity * price as notional, fee from shop.fill where fee > 0),
            orders as (select *, if(side = 'sell', -1, 1) as sign from shop.order)
        select
            account as label,
            sum(notional * sign) as bought,
            max(fills.fee) as highest_fee,
            count() as fills
        from fills
        inner join orders using (order_id)
        group by account
        """,
    ) == {
        "label": "order.account",
        "bought": "fill.price fill.quantity order.side",
        "highest_fee": "fill.fee",
        "fills": "",
    }


def test_unions_go_by_place_and_aliases_stand_for_what_they_name(columns: Columns) -> None:
    assert origins(
        columns,
        """
        select *, cost * 2 as twice
        from (
            select order_id as id, quantity * price as gross, gross - fee as cost from shop.fill
            union all
            select order_id, 0, fee from shop.order
        )
        """,
    ) == {
        "id": "fill.order_id order.order_id",
        "gross": "fill.price fill.quantity",
        "cost": "fill.fee fill.price fill.quantity order.fee",
        "twice": "fill.fee fill.price fill.quantity order.fee",
    }


def test_outputs_are_read_before_they_are_named_and_by_element(columns: Columns) -> None:
    assert origins(
        columns,
        """
        select
            net * 2 as twice,
            gross - fee as net,
            quantity * price as gross,
            (order_id, quantity)::Tuple(id UInt64, amount UInt64) as pair,
            pair.amount as amount
        from shop.fill
        """,
    ) == {
        "twice": "fill.fee fill.price fill.quantity",
        "net": "fill.fee fill.price fill.quantity",
        "gross": "fill.price fill.quantity",
        "pair": "fill.order_id fill.quantity",
        "amount": "fill.order_id fill.quantity",
    }


def test_named_values(columns: Columns) -> None:
    assert origins(
        columns,
        """
        with
            (select (max(price), min(quantity)) from shop.fill) as bounds,
            bounds .1 + {offset:Float64} as highest,
            -- Within its own query the name is that of the column.
            (select max(fee) from shop.order) as fee,
            rows as (select account, fee from shop.order where fee > highest)
        select account, fee, highest - fee as distance, highest from rows
        """,
    ) == {
        "account": "order.account",
        "fee": "order.fee",
        "distance": "fill.price fill.quantity order.fee",
        "highest": "fill.price fill.quantity",
    }


def test_lists_parameters_and_tables_of_the_system(columns: Columns) -> None:
    assert origins(
        columns,
        """
        select
            account,
            item.price as price,
            arrayMax(mark -> mark .2 * {scale:Decimal(9, 2)}, marks) as highest,
            quantilesExactInclusive(0.5, 0.95)(length(marks)) as sizes,
            (select max(last_success_time) from system.view_refreshes) as refreshed_at
        from shop.mark final
        array join marks as item
        cross join numbers(2)
        """,
    ) == {
        "account": "mark.account",
        "price": "mark.marks",
        "highest": "mark.marks",
        "sizes": "mark.marks",
        "refreshed_at": "",
    }


def test_a_view_with_parameters_is_read_as_a_table(columns: Columns) -> None:
    assert origins(columns, "select fee from shop.order (since = {since:DateTime64(3)})") == {"fee": "order.fee"}


def test_a_table_has_its_columns_from_the_view_that_fills_it_and_not_from_its_own_cursor() -> None:
    found = trace(
        manifest(
            node("fact", "select 1 as price, now() as at from system.one", ["price", "at"]),
            node("total", "select 0 as price, now() as at from system.one where 0", ["price", "at"]),
            node(
                "pending", "select price, max2(at, (select max(at) from p.total)) as at from p.fact", (), "fact total"
            ),
            node("refresh", "select * from p.pending", (), "pending", fills="total"),
            node("reader", "select price * 2 as twice from p.total", ["twice"], "total"),
        )
    )
    assert found == {
        "m.fact": {"price": [], "at": []},
        "m.pending": {"price": [("m.fact", "price")], "at": [("m.fact", "at")]},
        "m.refresh": {"price": [("m.pending", "price")], "at": [("m.pending", "at")]},
        "m.total": {"price": [("m.refresh", "price")], "at": [("m.refresh", "at")]},
        "m.reader": {"twice": [("m.total", "price")]},
    }


def test_what_is_not_understood_has_no_lineage_and_the_rest_has(caplog: pytest.LogCaptureFixture) -> None:
    found = trace(
        manifest(
            node("broken", "select from where", ["price"]),
            node("reader", "select price from p.broken", ["price"], "broken"),
        )
    )
    assert found == {"m.broken": {"price": []}, "m.reader": {"price": [("m.broken", "price")]}}
    assert "no column lineage of broken" in caplog.text


def origins(columns: Columns, sql: str) -> dict[str, str]:
    """By column of a query, `table.column` of what it is computed from."""
    return {
        name: " ".join(sorted(f"{origin.table}.{origin.name}" for origin in found))
        for name, found in columns.origins(sql).items()
    }


def node(name: str, sql: str, columns: Any, parents: str = "", fills: str = "") -> dict[str, Any]:
    """A compiled model."""
    return {
        "name": name,
        "schema": "p",
        "alias": name,
        "resource_type": "model",
        "columns": {column: {"name": column} for column in columns},
        "compiled_code": sql,
        "depends_on": {"nodes": [f"m.{parent}" for parent in (*parents.split(), *([fills] if fills else []))]},
        "config": {"materialized": "materialized_view" if fills else "view"},
        "raw_code": f'{{{{ materialization_target_table(ref("{fills}")) }}}}' if fills else "",
    }


def manifest(*nodes: dict[str, Any]) -> dict[str, Any]:
    """A manifest of models."""
    return {"nodes": {f"m.{found['name']}": found for found in nodes}, "sources": {}}
