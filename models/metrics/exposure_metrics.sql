{{ metric_rows(exposure_formulas()) }}
