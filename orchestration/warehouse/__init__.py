"""The warehouse: clients of ClickHouse, and the embedded ClickHouse that serves its HTTP interface."""
