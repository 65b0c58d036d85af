"""The HTTP service over the warehouse: stateless, read-only, one ClickHouse query per request, SQL in `queries/`."""
