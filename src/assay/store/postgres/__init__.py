"""The PostgreSQL dialect: several servers may share one database. Needs the extra `pg`."""

from assay.store.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
