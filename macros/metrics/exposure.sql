{# What is held at the end of the window. Accounts take it from the broker's last snapshot, strategies from the ledger,
   and so does an account whose snapshots were never seen. #}
{% macro exposure_formulas() -%}
    {%- set held = {"samples": "length(held_values)", "last_event": "exposure_at", "meta": "exposure_meta"} -%}
    {%- set sizes = "arrayReverseSort(arrayMap(value -> abs(toFloat64(value)), held_values))" -%}
    [
        {{ metric("gross_exposure", "gross_exposure", reason="exposure_reason", **held) }},
        {{ metric("net_exposure", "net_exposure", reason="exposure_reason", **held) }},
        {{
            metric(
                "leverage_gross_over_equity",
                "toFloat64(gross_exposure) / toFloat64(last_equity)",
                reason="leverage_reason",
                **held
            )
        }},
        {{
            metric(
                "position_concentration_top1_pct",
                "(" ~ sizes ~ ")[1] / arraySum(" ~ sizes ~ ")",
                reason="concentration_reason",
                **held
            )
        }},
        {{
            metric(
                "position_concentration_top5_pct",
                "arraySum(arraySlice(" ~ sizes ~ ", 1, 5)) / arraySum(" ~ sizes ~ ")",
                reason="concentration_reason",
                **held
            )
        }},
        {{
            metric(
                "position_hhi",
                "arraySum(size -> size * size, " ~ sizes ~ ") / pow(arraySum(" ~ sizes ~ "), 2)",
                reason="concentration_reason",
                **held
            )
        }}
    ]
{%- endmacro %}

{% macro exposure_columns(rows) %}
    select
        *,
        multiIf(
            not is_broker_exposure,
            if(empty(end_unpriced), '', 'missing_price'),
            is_snapshot_stale,
            'stale_source',
            snapshot_unpriced > 0,
            'missing_price',
            ''
        ) as exposure_reason,
        multiIf(
            exposure_reason != '',
            exposure_reason,
            accounts_with_snapshots < accounts,
            'no_source_rows',
            is_snapshot_stale,
            'stale_source',
            last_equity <= 0,
            'nonpositive_equity',
            ''
        ) as leverage_reason,
        multiIf(
            exposure_reason != '',
            exposure_reason,
            empty(held_values),
            'zero_denominator',
            ''
        ) as concentration_reason,
        {{
            json_object(
                {
                    "basis": ("if(is_broker_exposure, 'account_snapshot', 'ledger')", "String"),
                    "symbols": ("length(held_values)", "UInt64"),
                    "largest": ("largest_symbols", "Array(String)"),
                    "equity": ("toFloat64(last_equity)", "Float64"),
                    "mark_sources": ("mark_sources", "Array(String)"),
                    "unpriced_symbols": ("end_unpriced", "Array(String)"),
                    "calendars": ("calendars", "Array(String)"),
                }
            )
        }}
        as exposure_meta
    from
        (
            select
                *,
                if(is_broker_exposure, snapshot_gross, gross_value) as gross_exposure,
                if(is_broker_exposure, snapshot_net, net_value) as net_exposure,
                if(is_broker_exposure, last_snapshot_at, last_fill_at) as exposure_at,
                -- By instrument, over strategies and accounts; a flat one is none.
                arrayFilter(
                    pair -> pair .2 != 0,
                    arrayZip(
                        if(is_broker_exposure, snapshot_values .1, ledger_values .1),
                        if(is_broker_exposure, snapshot_values .2, ledger_values .2)
                    )
                ) as held,
                arrayMap(pair -> pair .2, held) as held_values,
                arraySlice(
                    arrayMap(
                        pair -> pair .2,
                        arrayReverseSort(
                            arrayMap(pair -> (abs(pair .2), pair .1), held)
                        )
                    ),
                    1,
                    5
                ) as largest_symbols
            from
                (
                    select
                        *,
                        strategy_id = ''
                        and accounts_with_snapshots = accounts as is_broker_exposure
                    from ({{ rows }})
                )
        )
{% endmacro %}
