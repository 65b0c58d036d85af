{# Episodes of alerts from those of their transitions that a condition selects, with what people said about them. #}
{% macro alert_episodes(transitions="true") %}
    with
        transitions as (
            select * from {{ ref("quant_alerts") }} final where {{ transitions }}
        ),
        actions as (select * from {{ ref("alert_action") }}),
        strategies as (select * from {{ ref("api_strategies") }}),
        episodes as (
            select
                alert_id,
                any(policy_id) as policy,
                any(policy_version) as version,
                any(metric_name) as metric,
                any(strategy_id) as strategy,
                any(account) as account_label,
                any(window) as window_name,
                toString(any(severity)) as how_severe,
                toString(any(category)) as kind,
                any(threshold) as limit_value,
                any(runbook) as what_to_do,
                any(opened_at) as opened,
                argMax(
                    (
                        toString(state),
                        observed,
                        resolved_at,
                        peak,
                        toString(reason),
                        transition_at
                    ),
                    transition_at
                ) as newest,
                any(evidence) as opened_by
            from transitions
            group by alert_id
        ),
        acknowledgements as (
            select alert_id, argMax((actor, acted_at, reason), acted_at) as newest
            from actions
            where action = 'acknowledge'
            group by alert_id
        ),
        -- An episode, a policy, a strategy or an account may be silenced, until the end
        -- of the silence or the next word about the same.
        silences as (
            select
                alert_id,
                policy_id,
                strategy_id,
                account,
                argMax((action, silenced_until, actor, reason), acted_at) as newest
            from actions
            where action in ('silence', 'unsilence')
            group by alert_id, policy_id, strategy_id, account
        ),
        silenced as (
            select
                episodes.alert_id as alert_id, max(silences.newest .2) as silenced_until
            from episodes
            cross join silences
            where
                silences.newest .1 = 'silence'
                and silences.alert_id in ('', episodes.alert_id)
                and silences.policy_id in ('', episodes.policy)
                and silences.strategy_id in ('', episodes.strategy)
                and silences.account in ('', episodes.account_label)
            group by episodes.alert_id
        )
    select
        episodes.alert_id as alert_id,
        policy as policy_id,
        version as policy_version,
        metric as metric_name,
        strategy as strategy_id,
        ifNull(strategies.strategy_name, '') as strategy_name,
        account_label as account,
        window_name as
    window
        ,
        how_severe as severity,
        kind as category,
        limit_value as threshold,
        episodes.newest .2 as observed,
        episodes.newest .4 as peak,
        episodes.newest .1 as state,
        opened as opened_at,
        episodes.newest .6 as updated_at,
        episodes.newest .3 as resolved_at,
        episodes.newest .5 as reason,
        what_to_do as runbook,
        opened_by as evidence,
        acknowledgements.newest .1 as acknowledged_by,
        if(
            acknowledged_by = '', null, toNullable(acknowledgements.newest .2)
        ) as acknowledged_at,
        acknowledgements.newest .3 as acknowledgement,
        silenced.silenced_until as silenced_until
    from episodes
    left join acknowledgements on episodes.alert_id = acknowledgements.alert_id
    left join silenced on episodes.alert_id = silenced.alert_id
    left join strategies on episodes.strategy = strategies.strategy_id
{% endmacro %}
