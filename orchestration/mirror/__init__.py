"""Mirror room: Postgres to ClickHouse by logical replication - everything that keeps `torghut_raw` a true copy."""
