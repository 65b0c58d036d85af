{{ config(refreshable=after(["tick_refresh"])) }}
{{ materialization_target_table(ref("decision_fact")) }}
-- depends_on: {{ ref("tick_refresh") }}
select
    decision_id,
    strategy_id,
    account,
    symbol,
    timeframe,
    status,
    decided_at,
    submitted_at,
    signal_at,
    action,
    quantity,
    reject_reason,
    reject_class,
    submission_stage,
    rationale,
    is_deleted,
    applied
from {{ ref("stg_torghut__trade_decisions") }}
where {{ newly_applied(ref("decision_fact")) }}
-- In the order of arrival: the newest row is the cursor, also of a refresh that was
-- killed in the middle.
order by applied {{ refresh_settings() }}
