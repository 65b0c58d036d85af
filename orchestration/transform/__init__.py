"""Transform: running the dbt project, and reading metric frames straight from its views."""
