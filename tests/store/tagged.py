"""Jobs with tags as they were before each tag of a job knew the others."""

from __future__ import annotations

from assay.store.base import Statement, Steps, Store
from assay.store.pages import JobFilter, Match, PageVersions

_JOB = """INSERT INTO jobs (id, kind, tenant, owner, name, state, created_at, updated_at, n_pending, model)
VALUES ('{id}', 'evaluation', 't', 'o', 'n', 'pending', 1, 2, 1, 'm');"""
_LONG = ["x", "y", *(f"{i:0100}" for i in range(4))]
_TAGS = {"few": ["x", "y"], "many": _LONG, "one": ["x"]}
TAGGED = "".join(
    _JOB.format(id=job)
    + "".join(f"INSERT INTO job_tags (tenant, tag, job_id) VALUES ('t', '{tag}', '{job}');" for tag in tags)
    for job, tags in _TAGS.items()
)
"""SQL that makes three such jobs: `few` and `many` have the tags x and y, `many` some long ones too, `one` has x alone."""


class _Kept:
    """What each tag of each job knows of the others."""

    def steps(self) -> Steps[dict[str, set[str]]]:
        found: dict[str, set[str]] = {}
        for row in (yield Statement("kept", {}, "SELECT job_id, all_tags FROM job_tags")):
            found.setdefault(row["job_id"], set()).add(row["all_tags"])
        return found


async def kept(store: Store) -> dict[str, set[str]]:
    """Return what the tags of each job are kept with."""
    return await store.scan(_Kept())


async def with_x_and_y(store: Store) -> list[str]:
    """Return the jobs that have both tags."""
    where = JobFilter("t", {"tag": Match(all_of=("x", "y"))})
    return [job_id for job_id, _ in (await store.scan(PageVersions(where, 10, 0)))[0]]
