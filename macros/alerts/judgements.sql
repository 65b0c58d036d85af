{# What each policy says of each signal that it takes: rows (policy_id, strategy_id, scope_account, scope_window) with the
   judgement breach, between, clear, missing, muted or gone. `signals` has the columns of alert_signal, `policies` those
   of alert_policy. #}
{% macro alert_judgements(signals, policies) %}
    with
        signals as ({{ signals }}),
        policies as ({{ policies }}),
        strategies as (select * from {{ ref("api_strategies") }}),
        matched as (
            select
                {%- for column in ["policy_id", "policy_version", "subject", "signal", "is_above", "threshold", "clear_threshold", "open_after", "clear_after", "severity", "category", "session_gated", "on_missing", "causes", "runbook"] %}
                    policies.{{ column }} as {{ column }},
                {%- endfor %}
                signals.strategy_id as strategy_id,
                signals.account as scope_account,
                signals.window as scope_window,
                signals.as_of as as_of,
                signals.value as value,
                if(policies.is_absolute, abs(signals.value), signals.value) as compared,
                signals.reason as reason,
                signals.is_open as is_open,
                signals.seen as seen,
                strategies.is_enabled as is_enabled
            from policies
            inner join
                signals
                on policies.subject = signals.subject
                and policies.signal = signals.signal
            left join
                (
                    select strategy_id, is_enabled
                    from strategies
                    union all
                    select '' as strategy_id, 1 as is_enabled
                ) as strategies
                on signals.strategy_id = strategies.strategy_id
            where
                policies.window in ('any', signals.window)
                and {{ is_selected("policies.strategy", "signals.strategy_id") }}
                and {{ is_selected("policies.account", "signals.account") }}
        ),
        judged as (
            select
                * except (compared),
                multiIf(
                    not is_enabled,
                    'gone',
                    session_gated and not is_open,
                    'muted',
                    value is null,
                    transform(
                        on_missing, ['open', 'resolve'], ['breach', 'gone'], 'missing'
                    ),
                    if(is_above, compared > threshold, compared < threshold),
                    'breach',
                    if(
                        is_above,
                        compared <= clear_threshold,
                        compared >= clear_threshold
                    ),
                    'clear',
                    'between'
                ) as judgement,
                multiIf(
                    not is_enabled,
                    'strategy_disabled',
                    judgement = 'muted',
                    'session_closed',
                    value is null,
                    if(reason = '', 'no_data', reason),
                    ''
                ) as why,
                ifNull(
                    if(is_above, compared - threshold, threshold - compared), 0
                ) as excess
            from matched
        )
    select *
    from judged
{% endmacro %}
