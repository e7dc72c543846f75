"""What must be changed in a database that was restored from a backup, before anything uses it.

Since the backup was made its counters went on, and others remember what they were: workers hold fences, watchers the
number of the last event, clients the version of a document. None of those may ever name something else.
"""

from __future__ import annotations

from dataclasses import dataclass

from assay.store.base import Steps, run

_GAP = 1_000_000
"""More than any counter can have gone on by since the backup was made."""


@dataclass(frozen=True)
class SkipNumbers:
    """Put fences, versions and the numbers of events to come beyond any that were given since the backup."""

    def steps(self) -> Steps[None]:
        yield run("skip_fences", gap=_GAP)
        yield run("skip_export_fences", gap=_GAP)
        yield run("skip_versions", gap=_GAP)
        yield run("skip_events", gap=_GAP)
