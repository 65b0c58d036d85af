{# The parsed form of a row of executions, used for the current rows and for their history. #}
{% macro parsed_executions(relation) %}
    select
        id as order_id,
        _version as source_version,
        trade_decision_id as decision_id,
        alpaca_account_label as account,
        alpaca_order_id as broker_order_id,
        ifNull(client_order_id, '') as client_order_id,
        symbol,
        lower(side) as side,
        order_type,
        time_in_force,
        if(status = 'cancelled', 'canceled', status) as status,
        {{ decimal_or_null('submitted_qty') }} as submitted_quantity,
        {{ decimal_or_null('filled_qty') }} as filled_quantity,
        {{ decimal_or_null('avg_fill_price', 12) }} as average_fill_price,
        {{ broker_order("ifNull(raw_order, '')") }} as broker_order,
        {{ decimal_or_null(json_scalar("broker_order", "'limit_price'"), 12) }}
        as limit_price,
        coalesce(
            {{ decimal_or_null(json_scalar("ifNull(raw_order, '')", "'cost_amount'"), 12) }},
            {{ decimal_or_null(json_scalar("ifNull(raw_order, '')", "'runtime_ledger_cost', 'cost_amount'"), 12) }}
        ) as fee,
        JSONExtractString(ifNull(raw_order, ''), 'cost_basis') as fee_basis,
        coalesce(
            toUInt64OrNull({{ json_scalar("ifNull(raw_order, '')", "'_seq'") }}),
            accurateCastOrNull(order_feed_last_seq, 'UInt64')
        ) as sequence,
        created_at,
        {{ moment_or_null("JSONExtractString(broker_order, 'submitted_at')") }}
        as submitted_at,
        {{ moment_or_null("JSONExtractString(broker_order, 'filled_at')") }}
        as filled_at,
        last_update_at,
        updated_at,
        ifNull(execution_expected_adapter, '') as expected_adapter,
        ifNull(execution_actual_adapter, '') as actual_adapter,
        ifNull(execution_fallback_count, 0) as fallback_count,
        _deleted as is_deleted,
        _applied as applied
    from {{ relation }}
{% endmacro %}
