{%- set is_adjusted = has_adjustments() -%}
{%- set key = "account, strategy_id, symbol" -%}
{%- set moment = "executed_at, sequence, fill_id" -%}
-- depends_on: {{ ref("opening_positions") }}
-- depends_on: {{ ref("corporate_actions") }}
-- depends_on: {{ ref("ledger_adjustment") }}
with
    (select progress from {{ ref("ledger_progress") }}) as progress,
    changed as (
        select {{ key }}, min(moment) as first_change, max(is_rewritten) as is_rewritten
        from
            (
                select {{ key }}, ({{ moment }}) as moment, 0 as is_rewritten
                from {{ new_fills("progress") }}
                {%- if is_adjusted %}
                    union all
                    select {{ key }}, ({{ moment }}) as moment, 1 as is_rewritten
                    from {{ new_adjustments("progress") }}
                {%- endif %}
            )
        group by {{ key }}
    )
select
    cast(
        groupArray(
            (
                toString(changed.account),
                toString(changed.strategy_id),
                toString(changed.symbol),
                -- The head of a refresh whose rows a kill lost: its key is folded from
                -- its first event on.
                if(
                    head.revision > progress.written + 1,
                    defaultValueOfArgumentType(first_change),
                    first_change
                ) as from_change,
                is_rewritten
                or (head.executed_at, head.sequence, head.fill_id) >= from_change,
                {{ ledger_state_of("head") }}
            )
        ) as Array(
            Tuple(
                account String,
                strategy_id String,
                symbol String,
                first_change Tuple(DateTime64(6, 'UTC'), UInt64, String),
                is_late UInt8,
                origin {{ ledger_state_type() }}
            )
        )
    ) as changes
from changed
left join {{ ref("ledger_head") }} as head final using ({{ key }})
