{%- set is_adjusted = has_adjustments() -%}
-- depends_on: {{ ref("opening_positions") }}
-- depends_on: {{ ref("corporate_actions") }}
-- depends_on: {{ ref("ledger_adjustment") }}
with
    -- The newest fill and the newest adjustment in the ledger, its own revision, and
    -- that of its heads.
    (
        select
            (
                maxIf(ordinal, is_ledger and fill_id = 'fills'),
                maxIf(ordinal, is_ledger and fill_id = 'adjustments'),
                maxIf(revision, is_ledger),
                maxIf(revision, not is_ledger)
            )
        from
            (
                select fill_id, ordinal, revision, true as is_ledger
                from {{ ref("position_ledger") }}
                where toStartOfHour(executed_at) = toDateTime(0, 'UTC') and account = ''
                union all
                select fill_id, ordinal, revision, false as is_ledger
                from {{ ref("ledger_head") }}
                where account = ''
            )
    ) as done,
    -- The heads are written beside the ledger, not with it: while those of the last
    -- refresh are missing, which a kill can leave behind, nothing is taken in.
    done .4 >= done .3 as is_ready,
    -- Fills behind the last ones that are here; of many, some are taken at a time.
    {{ revisions_until(ref("trade_execution_fact"), "done .1", "is_ready", var("fills_per_refresh")) }}
    as fills_until,
    {%- if is_adjusted %}
        (
            select greatest(done .2, max(revision))
            from {{ ref("ledger_adjustment") }}
            where is_ready and account = ''
        )
    {%- else %} toUInt64(0)
    {%- endif %} as adjustments_until
select
    cast(
        (
            ifNull(done .1, 0),
            ifNull(fills_until, 0),
            ifNull(done .2, 0),
            ifNull(adjustments_until, 0),
            ifNull(done .3, 0),
            -- Behind the heads of a refresh whose rows a kill lost, too: no two heads
            -- of a key have one revision.
            ifNull(2 * (intDiv(greatest(done .3, done .4), 2) + 1), 0)
        ) as {{ ledger_progress_type() }}
    ) as progress
