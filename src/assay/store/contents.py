"""What a database holds, as far as a copy of it must agree: so that a copy can be checked against where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

LEDGER = "schema_migrations"
"""The table that every database of Assay has: which migrations were applied."""


_SNAPSHOTS_SINCE = 9
"""The migration that brought them."""


@dataclass(frozen=True)
class Contents:
    """What a database held at one moment."""

    counts: Mapping[str, int]
    """Rows of each table."""
    migrations: Mapping[int, str]
    """Checksums of the migrations that were applied, by number."""
    jobs: frozenset[str]
    """The ids of its jobs, after which the folders of their logs are named."""
    blobs: frozenset[str]
    """The digests of its artifacts."""
    snapshots: frozenset[str] = frozenset()
    """The digests of the snapshots that its runs were given."""

    @staticmethod
    def has_snapshots(migrations: Mapping[int, str]) -> bool:
        """Say whether runs are given snapshots in a database with these migrations."""
        return max(migrations, default=0) >= _SNAPSHOTS_SINCE
