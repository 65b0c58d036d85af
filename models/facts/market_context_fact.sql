{{ config(materialized="view") }}
with
    contexts as (
        select *
        from {{ ref("stg_torghut__market_contexts") }}
        order by source_version desc
        limit 1 by review_id
    )
select
    contexts.review_id as review_id,
    contexts.decision_id as decision_id,
    if(
        decision.strategy_id = '', 'unattributed', toString(decision.strategy_id)
    ) as strategy_id,
    if(decision.strategy_id = '', 'unknown', toString(decision.account)) as account,
    contexts.symbol as symbol,
    contexts.reviewed_at as reviewed_at,
    contexts.context_at as context_at,
    contexts.context_version as context_version,
    contexts.freshness_seconds as freshness_seconds,
    contexts.quality_score as quality_score,
    contexts.source_count as source_count,
    contexts.risk_flags as risk_flags,
    contexts.domain_states as domain_states,
    contexts.domain_freshness_seconds as domain_freshness_seconds
from contexts
left join
    {{ ref("decision_fact") }} as decision final
    on contexts.decision_id = decision.decision_id
where contexts.is_deleted = 0
