with
    reviews as (
        select *, JSONExtractRaw(input_json, 'market_context') as context
        from {{ source("torghut_raw", "llm_decision_reviews") }}
    )
select
    id as review_id,
    trade_decision_id as decision_id,
    created_at as reviewed_at,
    JSONExtractString(context, 'context_version') as context_version,
    coalesce(
        nullIf(JSONExtractString(context, 'symbol'), ''),
        JSONExtractString(input_json, 'decision', 'symbol')
    ) as symbol,
    {{ moment_or_null("JSONExtractString(context, 'as_of_utc')") }} as context_at,
    JSONExtract(context, 'freshness_seconds', 'Nullable(Float64)') as freshness_seconds,
    JSONExtract(context, 'quality_score', 'Nullable(Float64)') as quality_score,
    JSONExtract(context, 'source_count', 'Nullable(UInt32)') as source_count,
    JSONExtract(context, 'risk_flags', 'Array(String)') as risk_flags,
    mapFromArrays(
        arrayMap(domain -> domain .1, JSONExtractKeysAndValuesRaw(context, 'domains')),
        arrayMap(
            domain -> JSONExtractString(domain .2, 'state'),
            JSONExtractKeysAndValuesRaw(context, 'domains')
        )
    ) as domain_states,
    mapFromArrays(
        arrayMap(domain -> domain .1, JSONExtractKeysAndValuesRaw(context, 'domains')),
        arrayMap(
            domain -> JSONExtract(domain .2, 'freshness_seconds', 'Nullable(Float64)'),
            JSONExtractKeysAndValuesRaw(context, 'domains')
        )
    ) as domain_freshness_seconds,
    _version as source_version,
    _deleted as is_deleted,
    _applied as applied
from reviews
where JSONType(context) = 'Object'
