"""A program that writes to a store for ever and says what was acknowledged; tests kill it. Argument: the database."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from assay.model.ids import uuid7
from assay.store.jobs import CreateJob
from assay.store.sqlite import SqliteStore, checkpoints

from .life import Life, new_job


async def submit_for_ever(life: Life) -> None:
    while True:
        job = new_job(life.new_id, 2, tags=["a", "b"])
        await life.store.apply(CreateJob(job, life.now))
        say("job", job.id)


async def work_for_ever(life: Life, name: str) -> None:
    await life.register(name)
    while True:
        for lease in await life.take(4, name):
            say("leased", lease.run_id)
            await life.end(lease, metrics={"acc": 0.5})
            say("completed", lease.run_id)


def say(*words: str) -> None:
    os.write(1, (" ".join(words) + "\n").encode())


async def main(path: Path) -> None:
    checkpoints._PORTION, checkpoints._LONG = 50, 500  # so that a kill finds the log being copied, and begun anew
    life = Life(SqliteStore(path))
    life.new_id = lambda: uuid7(life.later() // 1000, os.urandom(10))  # type: ignore[assignment]
    await asyncio.gather(*(submit_for_ever(life) for _ in range(8)), *(work_for_ever(life, name) for name in "ab"))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
