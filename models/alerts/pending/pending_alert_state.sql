with
    former as (select * from {{ ref("alert_state") }}),
    judged as (
        {{ alert_judgements("select * from " ~ ref("alert_signal"), "select * from " ~ ref("alert_policy")) }}
    ),
    caused as (
        select
            {%- for column in ["policy_id", "policy_version", "subject", "signal", "strategy_id", "scope_account", "scope_window", "severity", "category", "threshold", "clear_threshold", "open_after", "clear_after", "runbook", "causes", "as_of", "judgement", "value", "excess", "seen", "why"] %}
                judged.{{ column }} as {{ column }},
            {%- endfor %}
            -- An episode that is open, or about to be.
            groupUniqArrayIf(
                judged.policy_id, judged.judgement = 'breach' or former.alert_id != ''
            ) over () as active
        from judged
        left join
            former
            on judged.policy_id = former.policy_id
            and judged.strategy_id = former.strategy_id
            and judged.scope_account = former.account
            and judged.scope_window = former.window
    ),
    frames as (
        select
            policy_id,
            policy_version,
            subject,
            signal,
            strategy_id,
            scope_account as account,
            scope_window as
        window
            ,
            severity,
            category,
            threshold,
            clear_threshold,
            open_after,
            clear_after,
            runbook,
            cast(
                (
                    as_of,
                    if(
                        judgement = 'breach' and hasAny(causes, active),
                        'inhibited',
                        judgement
                    ),
                    value,
                    excess,
                    seen,
                    if(
                        judgement = 'breach' and hasAny(causes, active),
                        'inhibited',
                        why
                    )
                ),
                $${{ alert_frame_type() }}$$
            ) as frame
        from caused
    ),
    paired as (
        select
            frames.policy_id != '' as is_seen,
            former.policy_id != '' as is_known,
            if(is_seen, frames.policy_id, former.policy_id) as policy_id,
            if(is_seen, frames.strategy_id, former.strategy_id) as strategy_id,
            if(is_seen, frames.account, former.account) as account,
            if(is_seen, frames.window, former.window) as
        window
            ,
            is_seen
            and former.alert_id != ''
            and former.policy_version != frames.policy_version as is_outdated,
            -- An episode keeps the policy under which it opened.
            not is_seen or is_outdated as is_former,
            {%- for column in ["policy_version", "subject", "signal", "severity", "category", "threshold", "clear_threshold", "open_after", "clear_after", "runbook"] %}
                if(is_former, former.{{ column }}, frames.{{ column }}) as {{ column }},
            {%- endfor %}
            if(
                is_known
                and (former.policy_version = frames.policy_version or is_former),
                {{ alert_memory_of("former") }},
                {{ alert_nothing() }}
            ) as before,
            multiIf(
                is_outdated,
                'policy_changed',
                is_seen,
                '',
                former.policy_id
                not in (select policy_id from {{ ref("alert_policy") }}),
                'policy_removed',
                -- A tier that says nothing at all tells nothing of a scope.
                former.signal in (select signal from {{ ref("alert_signal") }}),
                'scope_gone',
                'unknown'
            ) as ending,
            if(
                ending = '',
                frames.frame,
                cast(
                    (
                        now64(3, 'UTC'),
                        if(ending = 'unknown', 'muted', 'gone'),
                        null,
                        0.,
                        0,
                        ending
                    ),
                    $${{ alert_frame_type() }}$$
                )
            ) as frame
        from frames
        full outer join
            former
            on frames.policy_id = former.policy_id
            and frames.strategy_id = former.strategy_id
            and frames.account = former.account
            and frames.window = former.window
    ),
    ruled as (
        select
            *,
            cast(
                (
                    concat(policy_id, '|', strategy_id, '|', account, '|', window),
                    open_after,
                    clear_after
                ),
                'Tuple(key String, open_after UInt32, clear_after UInt32)'
            ) as rule
        from paired
    ),
    stepped as (
        select
            *, {{ alert_step("before", "frame", "rule", kept_seconds=600) }} as memory
        from ruled
    )
select policy_id, policy_version, subject, signal, strategy_id, account,
window
    ,
    severity,
    category,
    threshold,
    clear_threshold,
    open_after,
    clear_after,
    runbook,
    now64(3, 'UTC') as evaluated_at,
    frame.verdict as verdict,
    frame.value as observed,
    memory.state as state,
    memory.breaches as breaches,
    memory.clears as clears,
    memory.seen as seen,
    memory.seen_at as seen_at,
    memory.alert_id as alert_id,
    memory.opened_at as opened_at,
    memory.peak as peak,
    memory.peak_excess as peak_excess,
    memory.evidence as evidence,
    memory.transitions as transitions
from stepped
where memory.state != 'normal' or notEmpty(memory.transitions)
