"""The source room: the Postgres that holds the facts - embedded server, schema migrations, connections."""
