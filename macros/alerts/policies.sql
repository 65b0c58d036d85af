{# Policies with their version and their selectors taken apart; `rows` has the columns of the seed. #}
{% macro alert_policies_of(rows) %}
    select
        *,
        splitByWhitespace(toString(inhibited_by)) as causes,
        endsWith(comparison, 'above') as is_above,
        startsWith(comparison, 'abs') as is_absolute,
        -- Any change of a policy makes it another one: its open episodes end, and
        -- begin again under the new one.
        substring(
            lower(
                hex(
                    sipHash128(
                        signal,
                        strategy,
                        account,
                        window
                            ,
                            comparison,
                            threshold,
                            clear_threshold,
                            open_after,
                            clear_after,
                            severity,
                            category,
                            session_gated,
                            on_missing,
                            inhibited_by
                    )
                )
            ),
            1,
            12
        ) as policy_version
    from ({{ rows }})
{% endmacro %}
