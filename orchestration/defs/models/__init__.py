"""The dbt project as Dagster assets.

The warehouse computes itself, and a table made anew by itself loses its place in the chain of those that follow it. So
no model can be materialized one by one: models are observed, and a rebuild builds all of them.
"""
