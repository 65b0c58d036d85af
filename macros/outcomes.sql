{# What order_outcome is made of. #}
{# A row that was written so soon behind its last moment was there when it mattered. #}
{% macro outcome_grace_ms() -%} 90000 {%- endmacro %}

{# Columns that an order or a decision without one brings along, before mids and the other orders of its decision are
   looked up. #}
{% macro outcome_columns() -%}
    {{ return([
        'order_id', 'broker_order_id', 'kind', 'decision_id', 'strategy_id', 'account', 'symbol', 'side', 'status',
        'submitted_quantity', 'filled_quantity', 'average_fill_price', 'limit_price', 'fee', 'decided_at',
        'submitted_at', 'fill_times', 'fill_quantities', 'fill_notionals', 'ended_at', 'expected_adapter',
        'actual_adapter', 'fallback_count', 'applied',
    ]) }}
{%- endmacro %}

{# Columns of the decision behind an order, over its orders that ended before it and itself. #}
{% macro outcome_decision_columns() -%}
    {{ return([
        'decision_quantity', 'decision_filled_quantity', 'decision_filled_notional', 'decision_fee',
        'is_decision_fee_known', 'is_decision_priced', 'decision_arrival_mid', 'superseded_at',
    ]) }}
{%- endmacro %}

{# The moments at which an order needs a mid, by the column of the mid. #}
{% macro outcome_moments() -%}
    {{ return({'decision_mid': 'decided_at', 'arrival_mid': 'submitted_at', 'end_mid': 'ended_at'}) }}
{%- endmacro %}

{# Whether a row is looked at again because quotes may have come since: for a minute, and only when it is of the last
   minutes itself, so that a history that is loaded is looked at once. #}
{% macro awaits_quotes() -%}
    toStartOfHour(last_at) >= toStartOfHour(now('UTC') - interval 10 minute)
    and last_at > now('UTC') - interval 10 minute
    and revision > 2 * toUnixTimestamp64Milli(now64(3) - interval 60 second)
    and notEmpty(account)
{%- endmacro %}

{# Rows of the orders at the broker and of the decisions without an order that two conditions select.

   A reject before the submission, also by a check of the broker's rules that the client made, is a veto; one of the
   broker at once is kept apart from one of an order. Both stand for an order that ended when it began. #}
{% macro outcome_rows(in_orders, in_decisions) %}
    {%- set reject_columns = {
        "order_id": "decision_id",
        "broker_order_id": "toString(decision_id)",
        "kind": "if(reject_kind = 'decision' or match(reject_reason, '^(broker_precheck|local_pre_submit)_rejected'), "
        ~ "'veto', 'submit')",
        "decision_id": "toNullable(decision_id)",
        "status": "'rejected'",
        "submitted_quantity": "null",
        "filled_quantity": "null",
        "average_fill_price": "null",
        "limit_price": "null",
        "fee": "null",
        "submitted_at": "rejected_at",
        "fill_times": "[]",
        "fill_quantities": "[]",
        "fill_notionals": "[]",
        "ended_at": "toNullable(rejected_at)",
        "expected_adapter": "''",
        "actual_adapter": "''",
        "fallback_count": "0",
    } -%}
    select
        {%- for column in outcome_columns() %}
            {{ "'order' as kind" if column == "kind" else column }}{{ "," if not loop.last }}
        {%- endfor %}
    from ({{ order_states(in_orders, in_decisions) }})
    union all
    select
        {%- for column in outcome_columns() %}
            {{ reject_columns.get(column, "rejects." ~ column) }}
            as {{ column }}{{ "," if not loop.last }}
        {%- endfor %}
    from ({{ orderless_rejects(in_decisions) }}) as rejects
{% endmacro %}
