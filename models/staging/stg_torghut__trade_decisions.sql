select
    id as decision_id,
    toString(strategy_id) as strategy_id,
    alpaca_account_label as account,
    symbol,
    timeframe,
    status,
    created_at as decided_at,
    executed_at as submitted_at,
    lower(JSONExtractString(decision_json, 'action')) as action,
    {{ decimal_or_null(json_scalar('decision_json', "'qty'")) }} as quantity,
    {{ moment_or_null("JSONExtractString(decision_json, 'event_ts')") }} as signal_at,
    arrayStringConcat(
        JSONExtract(decision_json, 'risk_reasons', 'Array(String)'), ';'
    ) as reject_reason,
    JSONExtractString(decision_json, 'reject_class') as reject_class,
    JSONExtractString(decision_json, 'submission_stage') as submission_stage,
    ifNull(rationale, '') as rationale,
    _version as source_version,
    _deleted as is_deleted,
    _applied as applied
from {{ source('torghut_raw', 'trade_decisions') }}
