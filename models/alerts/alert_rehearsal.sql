{%- set columns = [
    ("policy_id", "String"), ("subject", "String"), ("signal", "String"), ("strategy", "String"), ("account", "String"),
    ("window", "String"), ("comparison", "String"), ("threshold", "Float64"), ("clear_threshold", "Float64"),
    ("open_after", "UInt32"), ("clear_after", "UInt32"), ("severity", "String"), ("category", "String"),
    ("session_gated", "UInt8"), ("on_missing", "String"), ("inhibited_by", "String"), ("runbook", "String"),
] -%}
{%- set types = [] -%}
{%- for name, type in columns %} {% do types.append(name ~ " " ~ type) %} {% endfor -%}
{%- set given -%}
select
    {%- for name, _ in columns %}
        tupleElement(policy, {{ loop.index }}) as {{ name }}{{ "," if not loop.last }}
    {%- endfor %}
from (select arrayJoin({policies:Array(Tuple({{ types | join(", ") }}))}) as policy)
{%- endset -%}
{%- set stored -%}
select
    'metric' as subject,
    toString(frame.metric_name) as signal,
    toString(frame.strategy_id) as strategy_id,
    toString(frame.account) as account,
    toString(frame.window) as window,
    frame.as_of as as_of,
    frame.value as value,
    toString(frame.reason) as reason,
    if(frame.account = '', frame.quality != 'closed', session.closes_at >= frame.as_of) as is_open,
    {{ alert_seen("frame") }} as seen
from
    (
        select *, {{ calendar_of("account") }} as calendar
        from {{ ref("quant_metrics_series") }} final
        where
            as_of >= {since:DateTime64(3)}
            and as_of <= {until:DateTime64(3)}
            and metric_name in (select arrayJoin({policies:Array(Tuple({{ types | join(", ") }}))}) .3)
            and window in (select arrayJoin({policies:Array(Tuple({{ types | join(", ") }}))}) .6)
    ) as frame
asof left join
    {{ ref("trading_session") }} as session
    on frame.calendar = session.calendar
    and frame.as_of >= session.opens_at
union all
select
    'health' as subject,
    signal,
    '' as strategy_id,
    account,
    '' as window,
    as_of,
    value,
    reason,
    is_open,
    toUInt64(toUnixTimestamp64Milli(as_of)) as seen
from {{ ref("alert_signal_sample") }}
where
    as_of >= {since:DateTime64(3)}
    and as_of <= {until:DateTime64(3)}
    and signal in (select arrayJoin({policies:Array(Tuple({{ types | join(", ") }}))}) .3)
{%- endset -%}
with
    judged as ({{ alert_judgements(stored, alert_policies_of(given)) }}),
    framed as (
        select
            policy_id,
            policy_version,
            signal,
            strategy_id,
            scope_account,
            scope_window,
            severity,
            threshold,
            cast(
                (
                    concat(
                        policy_id,
                        '|',
                        strategy_id,
                        '|',
                        scope_account,
                        '|',
                        scope_window
                    ),
                    open_after,
                    clear_after
                ),
                'Tuple(key String, open_after UInt32, clear_after UInt32)'
            ) as rule,
            arraySort(
                frame -> frame .1,
                groupArray(
                    cast(
                        (as_of, judgement, value, excess, seen, why),
                        $${{ alert_frame_type() }}$$
                    )
                )
            ) as frames
        from judged
        group by
            policy_id,
            policy_version,
            signal,
            strategy_id,
            scope_account,
            scope_window,
            severity,
            threshold,
            rule
    ),
    folded as (
        select
            * except (frames),
            length(frames) as frame_count,
            arrayFold(
                (memory, frame) -> {{ alert_step("memory", "frame", "rule") }},
                frames,
                {{ alert_nothing() }}
            ) as memory
        from framed
    )
select
    policy_id,
    policy_version,
    signal as metric_name,
    strategy_id,
    scope_account as account,
    scope_window as
window
    ,
    severity,
    threshold,
    frame_count,
    transition.alert_id as alert_id,
    transition.at as transition_at,
    transition.state as state,
    transition.observed as observed,
    transition.opened_at as opened_at,
    transition.peak as peak,
    transition.evidence[1] .1 as breached_at,
    transition.reason as reason
from folded
array join memory.transitions as transition
