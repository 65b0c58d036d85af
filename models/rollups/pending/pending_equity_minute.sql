-- depends_on: {{ ref("account_settings") }}
{%- set touched_rows -%}
select account, {{ calendar_of("account") }} as calendar, snapshot_at as at
from {{ ref("position_snapshot_fact") }}
where applied >= done and applied <= applied_until and account != ''
{%- endset %}
{%- set first_at -%} (select min(at) from ({{ touched_rows }})) {%- endset %}
{#- A subquery in each place, not a list: a list of constants is copied for every step of planning. 120,000 points took
    3 GB so, and the 500,000 of one refresh do not fit. -#}
{%- set touched_points -%}
select account, toDateTime(grid_at, 'UTC') from ({{ on_grid(touched_rows, first_at) }})
{%- endset %}
{%- set snapshots -%}
select account, {{ calendar_of("account") }} as calendar, snapshot_at as at, snapshot_id, equity, cash
from {{ ref("position_snapshot_fact") }} final
where
    notEmpty(touched .1)
    and account in (select arrayJoin(touched .1))
    and toStartOfHour(snapshot_at) >= toStartOfHour(touched .2)
    and snapshot_at > touched .2
    and equity is not null
{%- endset %}
with
    -- Up to which batch of snapshots the grid is here. It is looked at once more: its
    -- rows become visible one part after the other.
    (
        select max(revision)
        from {{ ref("equity_minute") }}
        where account = '' and grid_at = toDateTime(0, 'UTC')
    ) as done,
    (
        select max(applied)
        from
            (
                select applied
                from {{ ref("position_snapshot_fact") }}
                where applied >= done
                order by applied
                limit {{ var("rows_per_refresh") }}
            )
    ) as applied_until,
    (
        select (groupUniqArray(toString(account)), min(grid_before))
        from ({{ on_grid(touched_rows, first_at) }})
    ) as touched,
    versions as (
        select
            account,
            toDateTime(grid_at, 'UTC') as grid_at,
            argMax((equity, cash, at), (at, snapshot_id)) as point,
            true as is_current
        from ({{ on_grid(snapshots, 'touched .2') }})
        where (account, grid_at) in ({{ touched_points }})
        group by account, grid_at
        union all
        select
            account,
            grid_at,
            (toNullable(equity), cash, snapshot_at) as point,
            false as is_current
        from {{ ref("equity_minute") }} final
        where (account, grid_at) in ({{ touched_points }})
    )
select
    account,
    grid_at,
    assumeNotNull(point .1) as equity,
    point .2 as cash,
    point .3 as snapshot_at,
    is_deleted,
    applied_until as revision
from
    (
        select
            account,
            grid_at,
            argMax(versions.point, is_current) as point,
            1 - max(is_current) as is_deleted
        from versions
        group by account, grid_at
        -- A point that is as it was is not written again.
        having uniqExact(versions.point) > 1 or count() = 1
        union all
        -- The cursor: a row that no reader sees.
        select
            '' as account,
            toDateTime(0, 'UTC') as grid_at,
            (toDecimal128(0, 12), null, toDateTime64(0, 6, 'UTC')) as point,
            1 as is_deleted
        from system.one
        where applied_until > done
    )
