{{ parsed_executions(source('torghut_raw', 'executions')) }}
union all
{{ parsed_executions(source('torghut_raw', 'executions__history')) }}
