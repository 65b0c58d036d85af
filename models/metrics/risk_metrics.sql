{{ metric_rows(risk_formulas()) }}
