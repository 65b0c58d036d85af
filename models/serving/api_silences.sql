{{ config(contract={"enforced": true}) }}
with
    actions as (select * from {{ ref("alert_action") }}),
    -- The last word about a scope decides.
    newest as (
        select
            alert_id,
            policy_id,
            strategy_id,
            account,
            argMax(
                (action, action_id, silenced_until, actor, reason, acted_at), acted_at
            ) as last_action
        from actions
        where action in ('silence', 'unsilence')
        group by alert_id, policy_id, strategy_id, account
    )
select
    last_action .2 as silence_id,
    alert_id,
    policy_id,
    strategy_id,
    account,
    assumeNotNull(last_action .3) as silenced_until,
    last_action .4 as silenced_by,
    last_action .5 as reason,
    last_action .6 as silenced_at
from newest
where last_action .1 = 'silence' and last_action .3 > now64(3)
