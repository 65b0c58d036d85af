{# Sums over an hour of a strategy on an account, and what is read beside them.

   Windows begin and end inside hours, the present hour still runs, and a late fill changes an hour that was summed up:
   for those, fills and trades are read. All other hours of a window come from strategy_hour and position_hour. #}
{# The first hour that is not, or no longer, what strategy_hour and position_hour say. #}
{% macro rolled_until() -%}
    (
        select min(until)
        from
            (
                select toDateTime(max(traded_at), 'UTC') as until
                from {{ ref("position_hour") }}
                where hour_at = toDateTime(0, 'UTC') and account = ''
                union all
                select toStartOfHour(executed_at) as until
                from {{ ref("position_ledger") }}
                where
                    revision > (
                        select max(ledger_revision)
                        from {{ ref("position_hour") }}
                        where hour_at = toDateTime(0, 'UTC') and account = ''
                    )
                    and notEmpty(account)
            )
    )
{%- endmacro %}

{# Whether a moment lies in an hour that is read row by row: one with an edge, or one that is not summed up. `edge_hours`
   and `rolled_until` name constants of the reader.

   The tables are sorted by toStartOfHour of their moment: bounds of the moment itself would not keep a row from being
   read. #}
{% macro is_unrolled(moment) -%}
    (
        toStartOfHour({{ moment }}) >= rolled_until
        or toStartOfHour({{ moment }}) in (select arrayJoin(edge_hours))
    )
    and toStartOfHour({{ moment }}) <= toStartOfHour({{ as_of() }})
{%- endmacro %}

{# The hours in which the edges lie. #}
{% macro edge_hours() -%}
    (select groupUniqArray(toStartOfHour(edge_at)) from ({{ edge_rows() }}))
{%- endmacro %}

{# Sums of rows of the ledger, under that name. #}
{% macro fill_sums() -%}
    countIf(event = 'fill') as fills,
    sum(gross_realized_pnl) as realized_pnl,
    sumIf(ifNull(fee, 0), event = 'fill') as fees,
    sumIf(ledger.notional, event = 'fill') as notional,
    sumIf(ledger.notional, event = 'fill' and fee is null) as feeless_notional
{%- endmacro %}

{# Sums of trades. A win or a loss is more than half of the last decimal place of money. #}
{% macro trade_sums() -%}
    count() as trades,
    countIf(gross_pnl - closing_fee > 0.0000005) as wins,
    countIf(gross_pnl - closing_fee < -0.0000005) as losses
{%- endmacro %}
