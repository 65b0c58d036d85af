{{ config(meta={"stage_before": "live_flow"}) }}
-- depends_on: {{ ref("live_flow") }}
-- depends_on: {{ ref("live_edge") }}
-- depends_on: {{ ref("live_scope") }}
-- depends_on: {{ ref("live_position") }}
{#- Null-safe: a metric without a value stays without one. -#}
{%- set is_unchanged -%}
(
    former.metric_name != ''
    and former.value <=> frame.value
    and former.status = frame.status
    and former.quality = frame.quality
    and former.reason = frame.reason
)
{%- endset %}
select frame.strategy_id as strategy_id, frame.account as account, frame.window as
window
    ,
    frame.metric_name as metric_name,
    frame.as_of as as_of,
    frame.value as value,
    frame.unit as unit,
    frame.status as status,
    frame.quality as quality,
    frame.reason as reason,
    frame.freshness_seconds as freshness_seconds,
    frame.watermark as watermark,
    frame.last_event_at as last_event_at,
    frame.sample_count as sample_count,
    frame.window_start as window_start,
    frame.window_end as window_end,
    frame.formula_version as formula_version,
    frame.meta as meta,
    -- When the row last said something new, and when it was last written to the
    -- series: with every change, else once
    -- per minute, so that an unchanged value costs one row a minute and a gap means
    -- that nothing was computed.
    if({{ is_unchanged }}, former.changed_at, frame.as_of) as changed_at,
    if(
        {{ is_unchanged }} and frame.as_of < former.recorded_at + interval 60 second,
        former.recorded_at,
        frame.as_of
    ) as recorded_at
from ({{ metric_frames() }}) as frame
left join
    {{ ref("quant_metrics_latest") }} as former
    on frame.strategy_id = former.strategy_id
    and frame.account = former.account
    and frame.window = former.window
    and frame.metric_name = former.metric_name
