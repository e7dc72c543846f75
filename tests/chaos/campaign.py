"""A campaign: numbers without faults, faults under load, calm, and then the check of every invariant."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.store.base import Store
from assay.store.postgres import PostgresStore
from assay.store.sqlite import SqliteStore
from tests.system.deployment import wait_until

from . import invariants
from .faults import Trouble
from .fleet import BENCHMARKS, Fleet, fleet, whole_again
from .journal import Journal
from .load import EXAMPLES, TENANTS, Load, open_jobs
from .plan import plan

_CALM_S = 300.0
_LAST_FAULTS = 60


@dataclass(frozen=True)
class Options:
    """What a campaign is: its store, its seed, its end (whichever comes first), and how close faults follow each other."""

    store: str
    seed: int
    faults: int
    minutes: float
    gap_s: float = 0.8
    fair_share: bool = False
    """Whether the bound of the fair share between tenants is checked."""


class Violated(AssertionError):
    """Something that must be true is not. The text says what, with the seed, the faults and the histories."""


def run(folder: Path, options: Options, say: Callable[[str], None]) -> Journal:
    """Carry a campaign out in an empty folder. Raises Violated."""
    journal = Journal(folder / "journal.jsonl")
    with fleet(folder, options.store, journal) as made:
        numbers = _without_faults(made)
        say(f"{options.store}: seed {options.seed}, the numbers without faults are known")
        until = time.monotonic() + options.minutes * 60
        with Trouble(made) as trouble:
            with Load(made, options.seed) as load:
                trouble.cause(plan(options.seed, made.targets(), options.gap_s), options.faults, until)
            say(f"{options.store}: {trouble.done} faults, {len(journal.promises)} jobs; now everything has to end")
            stories = _check(made, load, numbers, options)
    if journal.violations:
        raise Violated(_account(options, journal, stories))
    counted = ", ".join(f"{n} {kind}" for kind, n in sorted(journal.counts.items()))
    say(f"{options.store}: nothing was violated ({counted})")
    return journal


def _without_faults(made: Fleet) -> invariants.Numbers:
    """Return what each benchmark measures when nothing goes wrong."""
    known = [("known", name) for name in BENCHMARKS]
    benchmarks: list[dict[str, Any]] = [{"provider_id": provider, "id": name} for provider, name in known]
    benchmarks.append({"provider_id": "practice", "id": "arithmetic", "parameters": dict(EXAMPLES)})
    first = made.deployments[0]
    document = first.ended(first.submit(benchmarks, made.model_url, name="without faults"), 180)
    assert document["status"]["state"] == "completed", document
    return {(row["provider_id"], row["id"]): row["metrics"] for row in document["results"]["benchmarks"]}


def _check(made: Fleet, load: Load, numbers: invariants.Numbers, options: Options) -> list[str]:
    """Let everything end, look at everything, and note what is wrong; return the histories of the jobs that are."""
    journal = made.journal
    try:
        whole_again(made)
        load.finish_reports()
        load.let_go()
        # Not more often: lists have a rate limit, for users of a campaign too.
        wait_until(lambda: not any(map(open_jobs, made.deployments)), _CALM_S, "the end of all jobs", every_s=0.5)
    except AssertionError as error:
        journal.violated(str(error))
    for name, part in made.workers.items():
        for what, left in (("processes", part.program.engines), ("files", part.program.left_of_runs)):
            try:
                wait_until(lambda look=left: not look(), 60, "the end of it")  # type: ignore[misc]
            except AssertionError:
                journal.violated(f"{what} of runs are left by {name}: {left()}")
    documents = _documents(made)
    for name, part in {**made.workers, **made.servers}.items():
        part.down.set()
        part.program.end()
        if left_over := part.program.processes():
            journal.violated(f"processes are left by {name}: {left_over}")
        _, found, trace = part.program.log.read_text(errors="replace").partition("Traceback")
        if found:
            journal.violated(f"the log of {name} has a traceback: {trace[:3000]}")
    seen = asyncio.run(_look(made))
    stories = []
    for text in invariants.kept(seen, journal, load.submitted):
        journal.violated(text)
    for one in seen:
        promise = journal.promises.get(one.job.id)
        wrong = [*invariants.ended(one), *invariants.possible(one), *invariants.true(one, promise, numbers, journal)]
        wrong += invariants.reported(one, promise) if promise else []
        for text in wrong:
            journal.violated(f"job {one.job.id}: {text}")
        if wrong:
            stories.append(one.story)
    if options.fair_share:
        for text in invariants.fair(seen, made.slots, journal.promises):
            journal.violated(text)
    for part in made.servers.values():
        part.start()
    if _documents(made) != documents:
        journal.violated("a server that was started again answers differently")
    return stories


def _documents(made: Fleet) -> dict[str, Any]:
    """Return the documents of all jobs; servers that share a store must agree on them."""
    answers = []
    for server in made.deployments:
        found: dict[str, Any] = {}
        for tenant in ("", *TENANTS):
            status, page = server.request(
                "GET", "/api/v1/evaluations/jobs?limit=0", **({"X-Tenant": tenant} if tenant else {})
            )
            if status != 200:
                made.journal.violated(f"{server.url} answers {status}: {page}")
                continue
            found |= {item["resource"]["id"]: item for item in page["items"]}
        answers.append(found)
    if any(one != answers[0] for one in answers):
        made.journal.violated("the servers do not agree")
    return answers[0]


async def _look(made: Fleet) -> list[invariants.Seen]:
    """Look into the store itself, now that no server uses it."""
    store: Store
    if made.database:
        store = await PostgresStore.open(made.url)
    else:
        (part,) = made.servers.values()
        file = part.program.data / "assay.db"
        with closing(sqlite3.connect(file)) as connection:
            answer = connection.execute("PRAGMA integrity_check").fetchall()
            answer += connection.execute("PRAGMA foreign_key_check").fetchall()
        if answer != [("ok",)]:
            made.journal.violated(f"the database is damaged: {answer[:5]}")
        store = SqliteStore(file)
    try:
        for text in await invariants.counters(store):
            made.journal.violated(text)
        return await invariants.look(store)
    finally:
        await store.close()


def _account(options: Options, journal: Journal, stories: list[str]) -> str:
    """Return all that is known about what went wrong."""
    faults = [f"  {one.began:8.2f} to {one.ended:8.2f} s  {one.text}" for one in journal.faults]
    again = f"python -m tests.chaos --store {options.store} --seed {options.seed} --faults {options.faults}"
    return "\n".join(
        [
            f"{len(journal.violations)} violations with seed {options.seed} (again: {again}):",
            *(f"- {text}" for text in journal.violations[:50]),
            f"the last of {len(faults)} faults:",
            *faults[-_LAST_FAULTS:],
            *stories[:10],
        ]
    )
