{{ config(refreshable=after(["alert_state_refresh"])) }}
{{ materialization_target_table(ref("quant_alerts")) }}
-- depends_on: {{ ref("alert_state_refresh") }}
select
    transition.alert_id as alert_id,
    policy_id,
    policy_version,
    signal as metric_name,
    strategy_id,
    account,
window
    ,
    severity,
    category,
    threshold,
    runbook,
    transition.at as transition_at,
    transition.previous_state as previous_state,
    transition.state as state,
    transition.observed as observed,
    transition.opened_at as opened_at,
    if(state = 'resolved', toNullable(transition_at), null) as resolved_at,
    transition.peak as peak,
    transition.reason as reason,
    transition.evidence as evidence
from
    (
        select
            * except (transitions, state, opened_at, evidence, peak, alert_id),
            cast(
                arrayJoin(transitions), $${{ alert_transition_type() }}$$
            ) as transition
        from {{ ref("alert_state") }}
    )
where
    (transition.at, transition.alert_id, transition.state) not in (
        select transition_at, alert_id, state
        from {{ ref("quant_alerts") }}
        where
            transition_at >= (
                select min(transition .1)
                from {{ ref("alert_state") }}
                array join transitions as transition
            )
    )
    {{ refresh_settings() }}
