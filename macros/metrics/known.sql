{# What was known: rows that the warehouse had taken in by the tick of `known_at`.

   A late fill changes what is true of a moment, not what was known then. A tick fixes how far it reads the snapshots
   (live_scope), the ledger (live_position) and the trades (live_flow), which follow the ledger beside it; its later stages, and a frame at (as_of, known_at), leave out what came
   with a later tick. #}
{# Whether a row counts, by a column of known_state and the number of the row. #}
{% macro is_known(column, number) -%}
    {%- if is_grid() or (is_within_tick() and column == "snapshots") -%} true
    {%- else -%} {{ number }} <= {{ known_until(column) }}
    {%- endif -%}
{%- endmacro %}

{# How far the warehouse was, by a column of known_state. #}
{% macro known_until(column) -%}
    {%- if is_grid() -%} toUInt64(-1)
    {%- elif is_within_tick() and column == "trades" -%} trades_until
    {%- elif is_within_tick() and model.name == "pending_live_position" -%} ledger_until
    {%- elif is_within_tick() -%}
        (select max(ledger) from {{ ref('live_position') }} where as_of = {{ as_of() }})
    {%- elif is_live() -%}
        (
            select max({{ column }})
            from {{ ref('known_state') }}
            where as_of = {{ as_of() }}
        )
    {%- else -%} known_state.{{ column }}
    {%- endif -%}
{%- endmacro %}

{# Rows of the ledger as they were known, with a condition that names its columns, under the name of ledger: as of the
   tick's revision of the ledger, or of the one that the trades had followed then. #}
{% macro known_ledger(condition, column="ledger") -%}
    {%- if is_live() or is_grid() -%}
        {{ ref("position_ledger") }} as ledger final
        where {{ condition }} and {{ is_known(column, "ledger.revision") }}
    {%- else -%} {{ ledger_at(known_until(column), condition) }}
    {%- endif -%}
{%- endmacro %}

{# The constants of a stage, from a plain view with one row. As subqueries of the stage itself they are analysed anew in
   every query that names them: a tick's positions and flows took 374 and 120 ms with these, 338 and 105 from views. #}
{% macro constants_of(view, names) -%}
    (select ({{ names | join(", ") }}) from {{ ref(view) }}) as constants
    {%- for name in names %}, constants.{{ loop.index }} as {{ name }} {%- endfor %}
{%- endmacro %}

{# The constants that a tick's stages name: the last revision of the ledger, of which a refresh has two, and the one that
   the trades had followed. Once in a query: either may move on while it is planned. #}
{% macro ledger_until() -%}
    (
        select max(revision) + 1
        from {{ ref('position_ledger') }}
        where toStartOfHour(executed_at) = toDateTime(0, 'UTC') and account = ''
    ) as ledger_until
{%- endmacro %}
{% macro trades_until() -%}
    least(
        {{ known_until("ledger") }},
        (
            select intDiv(max(revision), 2)
            from {{ ref('trade') }}
            where toStartOfHour(traded_at) = toDateTime(0, 'UTC') and account = ''
        )
    ) as trades_until
{%- endmacro %}

{# Up to when the mirror was complete: as the tick found it, and behind the newest tick as it is now. #}
{% macro mirrored_until() -%}
    {%- if is_live() -%}
        (
            select max(watermark)
            from {{ ref('known_state') }}
            where as_of = {{ as_of() }}
        )
    {%- else -%} known_state.watermark
    {%- endif -%}
{%- endmacro %}

{# For parameterized views, the constants that these name. They come in as literals: every mention of a subquery is
   analysed anew, and a frame had 28 copies of the second. #}
{% macro known_constants() -%}
    {known:{{ known_type() }}} as known_state,
    {{ edges() }} as edge_list,
    {scopes:Array(Tuple(String, String))} as asked_scopes
{%- endmacro %}
{% macro known_type() -%}
    Tuple(
        snapshots UInt64,
        ledger UInt64,
        watermark Nullable(DateTime64(6, 'UTC')),
        trades UInt64,
        settled DateTime64(3, 'UTC'),
        valued_until DateTime('UTC'),
        written_until Int64,
        rolled_until DateTime('UTC'),
        flips_until DateTime('UTC')
    )
{%- endmacro %}

{# One row: what these constants are at a moment. A moment behind the newest tick has no bound; one before the first tick
   has that of the first. #}
{% macro known_moment() %}
    with
        toUInt64(-1) as unbounded,
        (
            select argMin(state, priority)
            from
                (
                    select
                        1 as priority,
                        (
                            unbounded,
                            unbounded,
                            (
                                select toNullable(max(watermark))
                                from {{ ref("stg_mirror__progress") }}
                            ),
                            unbounded,
                            {{ as_of() }},
                            toDateTime({{ never_ends() }}, 'UTC')
                        ) as state
                    from system.one
                    where
                        {{ known_at() }}
                        > (select max(as_of) from {{ ref("known_state") }})
                    union all
                    select 2 as priority, {{ state_of_tick() }} as state
                    from
                        (
                            select *
                            from {{ ref("known_state") }}
                            where as_of <= {{ known_at() }}
                            order by as_of desc, ledger desc
                            limit 1
                        )
                    union all
                    select 3 as priority, {{ state_of_tick() }} as state
                    from (select * from {{ ref("known_state") }} order by as_of limit 1)
                )
        ) as state,
        state .2 as ledger_until,
        -- A build of order_outcome anew forgets what was known before.
        (
            select max(metadata_modification_time)
            from system.tables
            where
                database = '{{ ref("order_outcome").schema }}'
                and name = 'order_outcome'
        ) as outcomes_built_at
    select
        cast(
            (
                state .1,
                state .2,
                state .3,
                state .4,
                state .5,
                state .6,
                if(
                    state .1 = unbounded or {{ known_at() }} < outcomes_built_at,
                    toInt64(9000000000000000),
                    toUnixTimestamp64Milli(state .5)
                ),
                {{ first_unrolled_hour("ledger_until") }},
                {{ first_unflipped_hour("ledger_until") }}
            ) as {{ known_type() }}
        ) as known
{% endmacro %}

{# Whether a row is of the account that a frame of the past is about, where it is about one; a tick is about all. #}
{% macro is_asked(account) -%}
    {%- if is_live() -%} true
    {%- else -%}({account:String} = '' or {{ account }} = {account:String})
    {%- endif -%}
{%- endmacro %}

{# A row of known_state as a constant. Rows of earlier versions do not say what was settled, or valued. #}
{% macro state_of_tick() -%}
    (
        snapshots,
        ledger,
        toNullable(watermark),
        trades,
        if(toUnixTimestamp(settled) = 0, as_of - interval 20 second, settled),
        if(
            toUnixTimestamp(valued_until) = 0,
            toDateTime({{ never_ends() }}, 'UTC'),
            valued_until
        )
    )
{%- endmacro %}

{# In epoch seconds: a minute later is still a DateTime. #}
{% macro never_ends() -%} 4290000000 {%- endmacro %}

{# The last minute of which strategies were valued at the tick. It lies behind only while a history is worked in: then
   turnover is over the points that were there (10 of 8,299 recomputed rows differed by it). #}
{% macro valued_until() -%}
    {%- if is_live() -%}
        (
            select max(valued_until)
            from {{ ref("known_state") }}
            where as_of = {{ as_of() }}
        )
    {%- else -%} known_state.valued_until
    {%- endif -%}
{%- endmacro %}

{% macro known_at() -%} toDateTime64({known_at:DateTime64(3)}, 3, 'UTC') {%- endmacro %}

{# Rows of order_outcome as they were known, by the constant written_until, with a condition that names its columns. One
   that was written soon behind its last moment counts from its moments on (see settled_at): it is written anew while fills
   and quotes come in. One that came late counts from when it was written, and what it replaced until then. A build of the
   table anew forgets what was known before. #}
{% macro known_outcomes(condition) -%}
    (
        select *
        from {{ ref("order_outcome") }} final
        where {{ condition }} and {{ is_outcome_known() }}
        union all
        select *
        from {{ ref("order_outcome") }}
        where
            superseded_by > 2 * written_until + 1
            and {{ condition }}
            and {{ is_outcome_known() }}
    )
{%- endmacro %}
{% macro is_outcome_known() -%}
    intDiv(revision, 2) <= greatest(
        written_until,
        toUnixTimestamp64Milli(toDateTime64(last_at, 3)) + {{ outcome_grace_ms() }}
    )
{%- endmacro %}

{# In epoch milliseconds. #}
{% macro written_until() -%}
    {%- if is_live() -%} toUnixTimestamp64Milli({{ settled_at() }})
    {%- else -%} known_state.written_until
    {%- endif -%}
{%- endmacro %}

{# Whether a row of the technical-analysis pipeline counts, by when that pipeline wrote it. A second of grace: what it
   stamped before is visible to the stage that reads it. #}
{% macro is_ingested(ingested_at) -%}
    {%- if is_grid() -%} true
    {%- else -%}
        {{ ingested_at }}
        <= {{ as_of() if is_live() else known_at() }} - interval 1 second
    {%- endif -%}
{%- endmacro %}

{# Whether the stage at hand is one of the chain that a tick starts and waits for. #}
{% macro is_within_tick() -%}
    {{ return(is_live() and not model.config.get('meta', {}).get('is_behind_tick', false)) }}
{%- endmacro %}

{# The last moment of which everything is settled that comes in beside the tick: what became of orders, reviews,
   decisions. The tick notes it (pending_known_state): usually it lies twenty seconds back, on a machine that cannot keep
   up as far as needed. Assumed to be twenty seconds, 855 of 10,517 rows of four moments differed when they were recomputed,
   with three other runs on two cores. It is the moment of evaluation, unless what was known then is asked for. #}
{% macro settled_at() -%}
    {%- if is_live() -%}
        (select max(settled) from {{ ref("known_state") }} where as_of = {{ as_of() }})
    {%- else -%} least({{ as_of() }}, known_state.settled)
    {%- endif -%}
{%- endmacro %}
