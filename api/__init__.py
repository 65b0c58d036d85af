"""The HTTP service over the warehouse: snapshot, health, OpenAPI."""
