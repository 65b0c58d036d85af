{{ account_edges() }}
