"""Run by alembic. The connection comes from `core.db.migrate`; there is no alembic.ini and no offline mode."""

from alembic import context

from core.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, compare_type=True)
with context.begin_transaction():
    context.run_migrations()
