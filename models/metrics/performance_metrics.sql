{{ metric_rows(performance_formulas()) }}
