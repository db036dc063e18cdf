"""What alembic runs: migrations, on the connection that `gateway.store.migrate` hands over."""

from alembic import context

from gateway.store.roles import SCHEMA

context.configure(connection=context.config.attributes["connection"], version_table_schema=SCHEMA)
with context.begin_transaction():
    context.run_migrations()
