"""The SQLite dialect: one writer thread with group commit, reads on connections of their own."""

from assay.store.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
