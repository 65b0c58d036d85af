{# What is wrong with rows of the source, of those that a condition on `applied` selects: the condition stands in each
   branch, as it would not get past arrayJoin, and 600,000 rows were parsed each minute. #}
{% macro defects(condition="true") %}
    {%- set found = [
    ("executions", "order_id", ref("stg_torghut__execution_versions"), [
        ("side not in ('buy', 'sell')", "side is neither buy nor sell"),
        ("filled_quantity is null", "filled_qty is no number"),
        ("filled_quantity < 0", "filled_qty is negative"),
        ("filled_quantity > 0 and ifNull(average_fill_price, 0) <= 0", "filled without a price"),
        ("broker_order != '' and JSONType(broker_order) != 'Object'", "raw_order is no JSON object"),
    ]),
    ("execution_order_events", "event_id", ref("stg_torghut__execution_order_events"), [
        ("order_key = ''", "an event of no order"),
        ("is_fill and cumulative_quantity is null and quantity is null", "a fill without a quantity"),
        ("is_fill and average_fill_price is null and price is null and notional is null", "a fill without a price"),
    ]),
    ("trade_decisions", "decision_id", ref("stg_torghut__trade_decisions"), [
        ("action not in ('buy', 'sell')", "action is neither buy nor sell"),
        ("quantity is null", "qty is no number"),
    ]),
    ("position_snapshots", "snapshot_id", ref("stg_torghut__position_snapshots"), [
        ("equity is null", "equity is no number"),
        ("position_defect != ''", "position_defect"),
    ]),
] -%}
    {% for table, id, relation, defects in found %}
        select
            '{{ table }}' as source_table,
            toString({{ id }}) as row_id,
            source_version,
            arrayJoin(
                arrayFilter(
                    reason -> reason != '',
                    [
                        {%- for condition, reason in defects %}
                            if(
                                {{ condition | replace("is_fill", "event_type in ('fill', 'partial_fill')") }},
                                {{ reason if reason == "position_defect" else "'" ~ reason ~ "'" }},
                                ''
                            ){{ "," if not loop.last }}
                        {%- endfor %}
                    ]
                )
            ) as reason,
            applied
        from {{ relation }}
        where is_deleted = 0 and {{ condition }} {{ "union all" if not loop.last }}
    {% endfor %}
{% endmacro %}
