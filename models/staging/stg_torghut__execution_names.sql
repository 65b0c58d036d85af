{% for table in ["executions", "executions__history"] %}
    select
        id as order_id,
        _version as source_version,
        trade_decision_id as decision_id,
        alpaca_order_id as broker_order_id,
        _deleted as is_deleted,
        _applied as applied
    from {{ source('torghut_raw', table) }} {{ "union all" if not loop.last }}
{% endfor %}
