"""PostgreSQL: the embedded cluster, roles, schema, transactions for other rooms, and sealing."""
