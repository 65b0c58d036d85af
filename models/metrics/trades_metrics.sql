{{ metric_rows(trade_formulas()) }}
