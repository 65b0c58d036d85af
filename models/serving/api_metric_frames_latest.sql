{{ config(contract={"enforced": true}) }}
-- Rounded once, here, and aged again: freshness is that of this moment, also when the
-- tier has stopped computing.
with
    dateDiff('millisecond', latest.watermark, now64(3)) / 1000 as age_seconds,
    -- What gates say cannot be trusted: few rows, read once for all metrics.
    (
        select
            groupArray((toString(account), toString(strategy_id), toString(check_name)))
        from {{ ref("quality_gate") }} final
        where status = 'error'
    ) as failed_checks,
    -- A gate of an account concerns the sums over all accounts, too.
    arrayFirst(
        failed -> (failed .1 = '' or latest.account in ('', failed .1))
        and (failed .2 = '' or latest.strategy_id in ('', failed .2)),
        failed_checks
    ) .3 as failed_check
select
    latest.strategy_id as strategy_id,
    ifNull(strategies.strategy_name, '') as strategy_name,
    latest.account as account,
    latest.window as
window
    ,
    latest.metric_name as metric_name,
    latest.as_of as as_of,
    {{ rounded("latest.value", "latest.metric_name") }} as value,
    latest.unit as unit,
    latest.status as status,
    multiIf(
        failed_check != '',
        'error',
        latest.quality = 'good' and age_seconds > latest.allowed_seconds,
        'stale',
        toString(latest.quality)
    ) as quality,
    multiIf(
        failed_check != '' and latest.status = 'ok',
        'quality_gate ' || failed_check,
        latest.reason = '' and quality = 'stale',
        'stale_source',
        toString(latest.reason)
    ) as reason,
    age_seconds as freshness_seconds,
    latest.watermark as watermark,
    latest.last_event_at as last_event_at,
    latest.sample_count as sample_count,
    latest.window_start as window_start,
    latest.window_end as window_end,
    latest.formula_version as formula_version,
    latest.meta as meta,
    latest.changed_at as changed_at
from
    (
        -- Not stale while the next tick of its tier is not due: what is computed every
        -- half minute was so half of the time.
        {%- for tier, seconds in [("light", tier_seconds()), ("medium", medium_seconds()), ("heavy", heavy_seconds())] %}
            select
                *, {{ maximum_staleness_seconds() }} + {{ seconds }} as allowed_seconds
            from {{ ref("latest_" ~ tier) }} {{ "union all" if not loop.last }}
        {%- endfor %}
    ) as latest
left join
    (select strategy_id, strategy_name from {{ ref("api_strategies") }}) as strategies
    on latest.strategy_id = strategies.strategy_id
