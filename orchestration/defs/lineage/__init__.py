"""Which columns each column is computed from: worked out from the compiled SQL of the dbt project."""
