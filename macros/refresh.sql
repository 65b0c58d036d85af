{# Tables that refreshable views fill: their empty form, and the cursor by which each refresh takes what is new. #}
{# The body of a table model whose columns are those of its contract and whose rows come from a refreshable view. #}
{% macro empty_table() -%}
    select
        {%- for column in model.columns.values() %}
            defaultValueOfTypeName(
                $${{ column.data_type }}$$
            ) as `{{ column.name }}`{{ "," if not loop.last }}
        {%- endfor %}
    from system.one
    where 0
{%- endmacro %}

{# `refreshable` config of a view that runs every so many seconds, that many behind the full ones: what takes long and
   runs each minute does not begin all at once. #}
{% macro every(seconds, behind=0, append=true) %}
    {{ return({'interval': 'EVERY ' ~ seconds ~ ' SECOND' ~ (' OFFSET ' ~ behind ~ ' SECOND' if behind else ''), 'append': append}) }}
{% endmacro %}

{# Names of the refreshable views by stage; the tier is `before_positions` and `from_positions`. #}
{% macro views_of_stages() %}
    {{ return({
        'facts': [
            'decision_fact_refresh', 'order_event_fact_refresh', 'execution_version_fact_refresh',
            'changed_order_refresh', 'trade_execution_fact_refresh',
        ],
        'snapshots': ['position_snapshot_fact_refresh'],
        'quarantine': ['quarantined_row_refresh'],
        'ledger': ['position_ledger_refresh', 'trade_refresh'],
        'upkeep': [
            'ledger_adjustment_refresh', 'ledger_head_refresh', 'strategy_hour_refresh', 'strategy_day_refresh',
            'position_hour_refresh', 'equity_minute_refresh', 'grid_edge_refresh', 'strategy_minute_refresh',
            'symbol_hour_refresh', 'symbol_hour_sweep_refresh', 'holding_hour_refresh', 'working_order_refresh', 'context_review_refresh',
            'order_outcome_refresh',
        ],
        'before_positions': [
            'live_edge_refresh', 'live_market_refresh', 'live_holding_refresh', 'live_scope_refresh',
        ],
        'from_positions': [
            'live_position_refresh', 'live_flow_refresh', 'known_state_refresh', 'latest_light_refresh',
        ],
        'medium': [
            'live_path_refresh', 'live_feed_refresh', 'live_order_refresh',
            'latest_medium_refresh',
        ],
        'heavy': ['live_coverage_refresh', 'latest_heavy_refresh'],
        'series': ['series_light_refresh', 'series_medium_refresh', 'series_heavy_refresh'],
    }) }}
{% endmacro %}

{# What metrics are made of and no tick waits for. #}
{% macro views_beside_the_tick() %}
    {{ return(['order_outcome_refresh', 'context_review_refresh', 'working_order_refresh']) }}
{% endmacro %}

{# A list of names as SQL literals. #}
{% macro quoted_list(names) -%}
    {%- for name in names %} '{{ name }}'{{ ", " if not loop.last }}{% endfor -%}
{%- endmacro %}

{# `refreshable` config of a view that runs as soon as all of `views` ran since its last run, and appends to its target or
   replaces it.

   Not EVERY 1 SECOND DEPENDS ON: a run that begins late, in the next second, counts as that of the next second, so behind
   a chain of views that takes most of a second every other run was left out, and a fill took one to two seconds more. #}
{% macro after(views, append=true) %}
    {%- set names = [] -%}
    {%- for name in views %}
        {% do names.append(target.schema ~ '.' ~ name) %}
    {% endfor -%}
    {{ return({'interval': 'AFTER 0 SECOND', 'depends_on': names, 'append': append}) }}
{% endmacro %}

{# Config of a table that keeps what a stage of a tier stored, for some minutes. By partition, the newest moment is known
   without reading a row, and what is old is dropped without a merge. #}
{% macro stage_table(order_by) %}
    {{ return({
        'engine': 'ReplacingMergeTree',
        'order_by': order_by,
        'partition_by': 'toStartOfFiveMinutes(as_of)',
        'ttl': 'toDateTime(as_of) + interval 5 minute',
        'settings': {'index_granularity': 256, 'ttl_only_drop_parts': 1, 'merge_with_ttl_timeout': 60},
    }) }}
{% endmacro %}

{# Settings of a refresh.

   Its queries read few rows: they cost planning and thread switches, not computing. One thread, a plain hash join and no
   compiled or statistics-driven plans took the engine from 1.6 to 1.3 cores, and most views half the time. Four rewrites
   of the plan take more than they save: without them and two others, the CPU of nine refreshes fell from 918 to 778 ms
   (means of ten, noisy); these four change none of the rows that are read. Nor are groups split into 256 buckets, each a
   block: a walk along 1,600 paths takes a step for each point and block, 6.9 s instead of 0.2. #}
{% macro refresh_settings(threads=1) -%}
    settings
    max_threads = {{ threads }},
    join_algorithm = 'hash',
    compile_expressions = 0,
    compile_aggregate_expressions = 0,
    compile_sort_description = 0,
    use_statistics = 0,
    use_hash_table_stats_for_join_reordering = 0,
    collect_hash_table_stats_during_joins = 0,
    use_query_condition_cache = 0,
    query_plan_optimize_join_order_limit = 0,
    query_plan_merge_expressions = 0,
    query_plan_split_filter = 0,
    query_plan_lift_up_array_join = 0,
    query_plan_optimize_lazy_materialization = 0,
    group_by_two_level_threshold = 0,
    group_by_two_level_threshold_bytes = 0
{%- endmacro %}

{# Settings of a refresh whose rows become one part: they are there at once, and with them the cursor among them. #}
{% macro one_part() -%}
    min_insert_block_size_rows = 1000000000,
    min_insert_block_size_bytes = 0,
    optimize_on_insert = 0
{%- endmacro %}

{# The next revision of a table whose cursor, with an empty account, is at the first moment of `time_column`. #}
{% macro next_revision(table, time_column) -%}
    (
        select 1 + max(revision)
        from {{ table }}
        where {{ time_column }} = toDateTime(0, 'UTC') and account = ''
    )
{%- endmacro %}

{# Up to which revision of a table to go from the revision `done`: all that is closed by its cursor, a row with an empty
   account, or as far as a refresh takes in. A refresh has two revisions, the odd one stands for both.

   One subquery, as each place that names it resolves all that is named in it once more. #}
{% macro revisions_until(table, done, condition="true", rows=none) -%}
    (
        select {{ revision_until("behind", "begun", rows) }}
        from
            (
                select
                    (
                        max(closed), arraySort(groupArrayIf((both, lines), lines > 0))
                    ) as behind,
                    {{ done }} as begun
                from
                    (
                        select
                            bitOr(revision, 1) as both,
                            maxIf(both, account = '') as closed,
                            countIf(account != '') as lines
                        from {{ table }}
                        where {{ condition }} and revision > {{ done }}
                        group by both
                    )
            )
    )
{%- endmacro %}

{# Up to which of them to go: all that is closed, or as far as a refresh takes in. #}
{% macro revision_until(behind, done, rows=none) -%}
    greatest(
        {{ done }},
        least(
            {{ behind }}.1,
            ifNull(
                nullIf(
                    arrayFirst(
                        (both, lines) -> lines >= {{ rows or var("rows_per_refresh") }},
                        {{ behind }}.2 .1,
                        arrayCumSum({{ behind }}.2 .2)
                    ),
                    0
                ),
                {{ behind }}.1
            )
        )
    )
{%- endmacro %}

{# Rows of a mirrored staging model that were applied after the last refresh of `target_table` and are complete.

   Each refresh writes every row that it reads, in the order in which they were applied, so the highest `applied` of the
   target is the cursor, also after a refresh that was killed in the middle. The upper bound is the mirror's
   checkpoint: up to it, all tables of a batch are visible. #}
{% macro newly_applied(target_table) -%}
    applied > (select max(applied) from {{ target_table }})
    and applied <= (select applied from {{ ref('stg_mirror__progress') }})
{%- endmacro %}

{# Drop refreshable views that the project does not build, which would keep running: those of a former version, and
   those of the tiers where the control plane is disabled. Of plain views, which may be anybody's, those that former
   versions built: they would answer by formulas that are no longer served. #}
{% macro drop_retired_views() %}
    {% if execute and flags.WHICH in ('run', 'build') %}
        {%- set built = graph.nodes.values() | selectattr('config.materialized', 'equalto', 'materialized_view') | map(attribute='name') | list -%}
        {%- set found = run_query("select view from system.view_refreshes where database = '" ~ target.schema ~ "'") -%}
        {%- set retired = ["api_metric_frame", "stg_torghut__defects"] -%}
        {%- for row in found if row[0] not in built -%}
            {%- do retired.append(row[0]) -%}
        {%- endfor -%}
        {% for name in retired %}
            {% do run_query('drop view if exists ' ~ target.schema ~ '.`' ~ name ~ '`' ~ on_cluster_clause_of()) %}
        {% endfor %}
    {% endif %}
{% endmacro %}

{# How often the state of the stages is kept. #}
{% macro health_sample_seconds() -%} 10 {%- endmacro %}

{# Age of the mirror's watermark, in seconds, beyond which a metric is stale. #}
{% macro maximum_staleness_seconds() -%}
    {{ env_var('JANGAR_TORGHUT_QUANT_MAX_STALENESS_SECONDS', '15') | int }}
{%- endmacro %}
