-- Policies that could never open or never end, or that name what does not exist: each
-- with what is wrong.
with
    policies as (select * from {{ ref("alert_policies") }}),
    known as (
        select
            groupArray(policy_id) as names,
            (
                select groupArray(metric_name) from {{ ref("metric_definitions") }}
            ) as metrics,
            (select groupArray(window) from {{ ref("metric_windows") }}) as windows
        from policies
    ),
    judged as (
        select
            policy_id,
            multiIf(
                endsWith(comparison, 'above') and clear_threshold > threshold,
                'clear_threshold is above the threshold',
                endsWith(comparison, 'below') and clear_threshold < threshold,
                'clear_threshold is below the threshold',
                open_after = 0 or clear_after = 0,
                'open_after and clear_after count from 1',
                subject = 'metric' and not has(metrics, signal),
                'there is no metric ' || signal,
                subject = 'metric' and not has(windows, window),
                'there is no window '
                || window
                    ,
                    not hasAll(names, splitByWhitespace(toString(inhibited_by))),
                    'inhibited_by names a policy that does not exist',
                    has(splitByWhitespace(toString(inhibited_by)), policy_id),
                    'it inhibits itself',
                    ''
            ) as fault
        from policies
        cross join known
    )
select *
from judged
where fault != ''
