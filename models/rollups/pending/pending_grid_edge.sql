-- depends_on: {{ ref("account_settings") }}
{%- set events -%}
select account, {{ calendar_of("account") }} as calendar, changed_at as at from changes
{%- endset %}
{%- set activity -%}
select account, {{ calendar_of("account") }} as calendar, at
from
    (
        select account, toDateTime64(grid_at, 6, 'UTC') as at
        from {{ ref("equity_minute") }} final
        where notEmpty(account) and grid_at > begins_at
        union all
        select account, executed_at as at
        from {{ ref("position_ledger") }} final
        where
            toStartOfHour(executed_at) >= toStartOfHour(begins_at)
            and executed_at > begins_at
    )
{%- endset %}
with
    (select now64(3)) as as_of,
    -- Everything that was committed before is here.
    (
        select least(min(watermark), as_of) from {{ ref("stg_mirror__progress") }}
    ) as complete_until,
    -- Per account, the last point that is here, and the revision of the ledger that it
    -- follows.
    cursors as (
        select
            account, max(known_until) as known_until, max(ledger_revision) as revision
        from {{ ref("strategy_minute") }} final
        where grid_at = toDateTime(0, 'UTC')
        group by account
    ),
    -- The first event of each account, or the first that changed since.
    changes as (
        select account, min(executed_at) as changed_at
        from {{ ref("position_ledger") }} as ledger
        left join cursors using (account)
        where
            notEmpty(account)
            and ledger.revision > cursors.revision
            and ledger.revision > (select min(revision) from cursors)
        group by account
    ),
    accounts as (
        select
            account,
            {{ calendar_of("account") }} as calendar,
            -- From the point before the change on.
            min(from_at) as from_at
        from
            (
                select account, toDateTime64(grid_before, 6, 'UTC') as from_at
                from ({{ on_grid(events) }})
                union all
                select account, toDateTime64(known_until, 6, 'UTC') as from_at
                from cursors
            )
        group by account
    ),
    (select min(from_at) from accounts) as begins_at,
    -- Sessions in which the account did or reported anything: an old account is not
    -- valued every minute from then until now.
    sessions as (
        select distinct account, session_at from ({{ on_grid(activity, "begins_at") }})
    ),
    points as (
        select
            accounts.account as account,
            accounts.calendar as calendar,
            arrayJoin(
                arrayMap(
                    minute -> session.opens_at + toIntervalMinute(minute),
                    range(
                        1, 1 + dateDiff('minute', session.opens_at, session.closes_at)
                    )
                )
            ) as edge_at,
            {{ grid_before("edge_at") }} as quotes_from
        from accounts
        inner join
            (
                select *
                from ({{ grid_sessions('begins_at') }})
                where opens_at < complete_until
            ) as session
            on accounts.calendar = session.calendar
        where
            session.closes_at > accounts.from_at
            and (accounts.account, session.opens_at)
            in (select account, session_at from sessions)
            and edge_at > accounts.from_at
            and edge_at <= complete_until
        order by edge_at
        limit {{ var("grid_points_per_refresh") }}
    )
select
    as_of,
    account,
    calendar,
    toUInt16(dense_rank() over (partition by calendar order by edge_at)) as edge,
    edge_at,
    quotes_from
from points
