{{ config(contract={"enforced": true}) }}
select
    (select maxOrNull(as_of) from {{ ref("quant_metrics_latest") }}) as newest_frame_at,
    -- The tier also succeeds when there is nothing to compute.
    (
        select max(last_success_at)
        from {{ ref("api_pipeline_health") }}
        where stage = 'light_tier'
    ) as newest_tick_at,
    exists (
        {%- for table in ["executions", "execution_order_events", "trade_decisions", "position_snapshots"] %}
            (select 1 from {{ source("torghut_raw", table) }} limit 1)
            {{ "union all" if not loop.last }}
        {%- endfor %}
    ) as has_facts
