with
    -- Up to which batch of the mirror the reviews are here, and to which they are
    -- complete.
    (select max(applied) from {{ ref("context_review") }}) as done,
    (
        select max(_applied)
        from {{ source("torghut_raw", "llm_decision_reviews") }}
        where
            _applied > done
            and _applied <= (select applied from {{ ref("stg_mirror__progress") }})
    ) as applied_until,
    reviews as (
        select
            review_id,
            decision_id,
            reviewed_at,
            -- Where the context does not tell its age, the moment that it is of does.
            coalesce(
                freshness_seconds,
                dateDiff('millisecond', context_at, reviewed_at) / 1000
            ) as age_seconds,
            applied
        from {{ ref("stg_torghut__market_contexts") }}
        where applied > done and applied <= applied_until
    ),
    -- From the mirror's rows: a decision is there no later than its review.
    decisions as (
        select decision_id, strategy_id, account
        from {{ ref("stg_torghut__trade_decisions") }}
        where decision_id in (select decision_id from reviews) and is_deleted = 0
        order by source_version desc
        limit 1 by decision_id
    )
select
    reviews.review_id as review_id,
    if(
        decisions.strategy_id = '', 'unattributed', decisions.strategy_id
    ) as strategy_id,
    if(decisions.strategy_id = '', 'unknown', decisions.account) as account,
    reviews.reviewed_at as reviewed_at,
    assumeNotNull(reviews.age_seconds) as age_seconds,
    reviews.applied as applied
from reviews
left join decisions on reviews.decision_id = decisions.decision_id
where reviews.age_seconds is not null
union all
-- The cursor: a row that no reader sees.
select
    toUUIDOrZero('') as review_id,
    '' as strategy_id,
    '' as account,
    toDateTime64(0, 6, 'UTC') as reviewed_at,
    0 as age_seconds,
    applied_until as applied
from system.one
where applied_until > done
