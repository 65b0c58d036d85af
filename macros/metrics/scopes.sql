{# The scopes of metrics and what a scope is as a whole, whatever the metric. #}
{# The four scopes to which a row of a strategy on an account adds: (strategy, account), account, strategy, desk. Of a
   moment of the past, those that are asked for: the whole desk of 200 accounts has 401 others. #}
{% macro scopes(strategy_id, account) -%}
    {%- set all -%}
    [
        ({{ strategy_id }}, {{ account }}),
        ('', {{ account }}),
        ({{ strategy_id }}, ''),
        ('', '')
    ]
    {%- endset -%}
    {%- if is_live() -%} {{ all }}
    {%- else -%}
        arrayFilter(scope -> empty(asked_scopes) or has(asked_scopes, scope), {{ all }})
    {%- endif -%}
{%- endmacro %}

{# Rows (strategy_id, account, member): the scopes that anything had happened in by then, with their accounts, and
   whether the whole equity of the account is the scope's own: it has all strategies, or the only one with fills. #}
{% macro scope_members() %}
    select
        scope .1 as strategy_id,
        scope .2 as account,
        member,
        strategy_id = '' or max(is_alone) as owns_equity
    from
        (
            select
                toString(account) as member,
                toString(strategy_id) as strategy,
                max(evidence = 'fill') as has_fills,
                has_fills
                and sum(max(evidence = 'fill')) over (partition by member)
                = 1 as is_alone,
                arrayJoin(arrayDistinct({{ scopes("strategy", "member") }})) as scope
            from {{ ref("scope_evidence") }}
            where first_at <= {{ as_of() }}
            group by member, strategy
        )
    group by strategy_id, account, member
{% endmacro %}

{# Rows (strategy_id, account, edge): every scope and window; and those with the last snapshots of the scope's accounts. #}
{% macro scope_windows() %}
    select
        {{ window_of_scope() }}, arraySort(groupUniqArray(bound.calendar)) as calendars
    from ({{ scope_members() }}) as member
    inner join ({{ edge_rows() }}) as bound on member.member = bound.account
    where bound.edge > 0
    group by strategy_id, account, edge
{% endmacro %}
{% macro scope_bases() %}
    select
        {{ window_of_scope() }},
        arraySort(groupUniqArray(bound.calendar)) as calendars,
        count() as accounts,
        countIf(
            level.snapshot_at > toDateTime64(0, 6, 'UTC')
        ) as accounts_with_snapshots,
        max(level.snapshot_at) as last_snapshot_at,
        sum(level.equity) as last_equity,
        sum(level.gross_value) as snapshot_gross,
        sum(level.net_value) as snapshot_net,
        sumMap(level.symbols, level.market_values) as snapshot_values,
        sum(level.unpriced_positions) as snapshot_unpriced,
        max(level.is_stale) as is_snapshot_stale,
        arraySort(groupArray(member.member)) as members,
        min(member.owns_equity) as owns_equity,
        max(level.gap_ms) as gap_ms
    from ({{ scope_members() }}) as member
    inner join ({{ edge_rows() }}) as bound on member.member = bound.account
    left join ({{ account_levels() }}) as level on member.member = level.account
    where bound.edge > 0
    group by strategy_id, account, edge
{% endmacro %}
{% macro window_of_scope() -%}
    member.strategy_id as strategy_id,
    member.account as account,
    bound.edge as edge,
    any(bound.window) as window
        , min(bound.edge_at) as window_start, max(bound.is_open) as is_open
{%- endmacro %}

{# What scope_members gives, with the usual gap between the snapshots of an account, from the stage that stores it where
   there is one: there, that of all accounts of the scope. #}
{% macro members_with_gaps() %}
    {%- if is_live() %}
        select strategy_id, account, arrayJoin(members) as member, owns_equity, gap_ms
        from ({{ stage_rows("live_scope") }})
        where edge = 1
    {%- else %}
        select one_member.*, snapshots.gap_ms as gap_ms
        from ({{ scope_members() }}) as one_member
        left join
            ({{ last_snapshots() }}) as snapshots
            on one_member.member = snapshots.account
    {%- endif %}
{% endmacro %}

{# Per account with snapshots: its last one, and whether that is too old to say what the account holds. #}
{% macro account_levels() %}
    select
        snapshots.account as account,
        snapshots.snapshot_at as snapshot_at,
        ifNull(snapshots.level .1, 0) as equity,
        snapshots.level .2 as gross_value,
        snapshots.level .3 as net_value,
        snapshots.level .4 as unpriced_positions,
        snapshots.level .5 as symbols,
        arrayMap(value -> ifNull(value, 0), snapshots.level .6) as market_values,
        edge.trading_ms - snapshots.level .7
        > 2 * greatest(snapshots.gap_ms, 30000) as is_stale,
        snapshots.gap_ms as gap_ms
    from ({{ last_snapshots() }}) as snapshots
    inner join
        (select account, trading_ms from ({{ edge_rows() }}) where edge = 0) as edge
        on snapshots.account = edge.account
{% endmacro %}

{# Per account: its last snapshot, and the median gap between the last ones in trading time. Snapshots outside the
   sessions do not advance it: gaps of zero do not count. #}
{% macro last_snapshots() %}
    select
        account,
        snapshot_at,
        level,
        arraySort(
            arraySlice(
                arrayFilter(gap -> gap > 0, arrayDifference(arrayReverse(recent))), -20
            )
        ) as gaps,
        gaps[intDiv(length(gaps) + 1, 2)] as gap_ms
    from ({{ recent_snapshots_of_accounts() }})
{% endmacro %}

{# Per account: its last snapshot and the trading times of the last hundred. An account that had a hundred snapshots in
   four days, a long weekend, is not looked up in the sixty days before, and what it held is read of its last one alone:
   by all of 20 days, 200 accounts took 0.33 s of a tick. #}
{% macro recent_snapshots_of_accounts() %}
    with
        (
            select groupArray((account, snapshot_at, recent))
            from
                (
                    {%- for days in (4, 60) %}
                        select
                            toString(snapshot.account) as account,
                            max(snapshot.snapshot_at) as snapshot_at,
                            {{ recent_snapshots() }} as recent
                        from
                            {{ snapshots_of_days(days) }}
                            {%- if loop.last %}
                                and (
                                    toStartOfHour(snapshot.snapshot_at),
                                    snapshot.account
                                ) in (
                                    select arrayJoin({{ hours_of_day() }}), account
                                    from {{ ref("snapshot_day") }}
                                    where
                                        day_at > {{ as_of() }} - interval 61 day
                                        and account not in (
                                            select snapshot.account
                                            from {{ snapshots_of_days(4) }}
                                            group by snapshot.account
                                            having count() >= 100
                                        )
                                )
                            {%- endif %}
                        group by account
                        {%- if not loop.last %}
                            having count() >= 100
                            union all
                        {% endif %}
                    {%- endfor %}
                )
        ) as found
    select
        toString(snapshot.account) as account,
        snapshot.snapshot_at as snapshot_at,
        {{ snapshot_level() }} as level,
        arrayFirst(one -> one .1 = account, found) .3 as recent
    from
        {{ snapshots_of_days(60) }}
        and (
            toStartOfHour(snapshot.snapshot_at),
            snapshot.account,
            snapshot.snapshot_at
        ) in (
            select toStartOfHour(one .2), one .1, one .2
            from (select arrayJoin(found) as one)
        )
    order by snapshot.snapshot_id
    limit 1 by account
{% endmacro %}

{% macro snapshots_of_days(days) -%}
    {{ ref("position_snapshot_fact") }} as snapshot final
    where
        -- Sorted by the hour: bounds of the moment keep no row from being read.
        toStartOfHour(snapshot.snapshot_at) <= toStartOfHour({{ as_of() }})
        and toStartOfHour(snapshot.snapshot_at)
        >= toStartOfHour({{ as_of() }} - interval {{ days }} day)
        and snapshot.snapshot_at <= {{ as_of() }}
        and snapshot.snapshot_at > {{ as_of() }} - interval {{ days }} day
        and {{ is_known("snapshots", "snapshot.known_from") }}
        and {{ is_asked("snapshot.account") }}
{%- endmacro %}

{# The last hundred trading times, newest first. #}
{% macro recent_snapshots() -%}
    arrayMap(negative -> - negative, groupArraySorted(100)(- snapshot.trading_ms))
{%- endmacro %}

{% macro snapshot_level() -%}
    (
        snapshot.equity,
        snapshot.gross_value,
        snapshot.net_value,
        snapshot.unpriced_positions,
        snapshot.position_symbols,
        snapshot.position_values,
        snapshot.trading_ms
    )
{%- endmacro %}
