"""Alerts: what people see of them and do about them; policies are in `seeds/alert_policies.csv`, their evaluation in
`models/alerts`."""
