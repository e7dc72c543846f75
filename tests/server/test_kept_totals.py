"""What a list counts, and what it asks about jobs, is asked once while nothing is written."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from types import SimpleNamespace
from typing import Any, TypeVar

import msgspec
import pytest
from starlette.requests import Request

from assay.config import load
from assay.model.errors import NotFound
from assay.server.documents import Documents, Pages
from assay.server.evalhub import jobs
from assay.server.evalhub.filters import job_filter
from assay.server.evalhub.queries import Parameters
from assay.server.services import Caller, Services
from assay.store.base import Operation
from assay.store.pages import PageVersions
from assay.store.queries import JobVersion
from assay.store.sqlite import SqliteStore
from tests.store.life import Life

T = TypeVar("T")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


class Asked:
    """A server's services on a real store, and what the store was asked."""

    def __init__(self, store: SqliteStore) -> None:
        self._store, self.counted, self.versions = store, 0, 0
        self.at = SimpleNamespace(
            store=self, pages=Pages(), documents=Documents(), settings=load({}), offerings=SimpleNamespace(generation=1)
        )
        self.at.generation = partial(Services.generation, self.at)  # type: ignore[arg-type]

    writes_alone = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def scan(self, query: Operation[T]) -> T:
        asked: object = query
        self.counted += isinstance(asked, PageVersions) and asked.total is None
        return await self._store.scan(query)

    async def lookup(self, query: Operation[T]) -> T:
        asked: object = query
        self.versions += isinstance(asked, JobVersion)
        return await self._store.lookup(query)

    def request(self, query: str = "", **parameters: str) -> Request:
        scope = {
            "type": "http",
            "path": "/jobs",
            "query_string": query.encode(),
            "headers": (),
            "path_params": parameters,
            "assay.services": self.at,
            "assay.caller": Caller("", "", frozenset()),
        }
        return Request(scope)

    async def total(self, query: str) -> int:
        return int(msgspec.json.decode((await jobs.page(self.request(query))).body)["total_count"])


@pytest.fixture
async def asked() -> AsyncIterator[Asked]:
    store = SqliteStore.temporary()
    yield Asked(store)
    await store.close()


async def test_the_total_of_a_filter_is_counted_once_for_all_its_pages_until_something_is_written(asked: Asked) -> None:
    life = Life(asked._store)
    (first, *_) = [await life.submit(1, tags=["t"]) for _ in range(5)]
    assert [await asked.total(f"tags=t&limit=2&offset={offset}") for offset in range(4)] == [5] * 4
    assert asked.counted == 1
    await jobs.get(asked.request(job_id=first.id))
    assert await asked.total("tags=t&limit=1") == 5
    assert asked.counted == 1
    await life.submit(1, tags=["t"])
    assert await asked.total("tags=t&limit=2") == 6
    assert asked.counted == 2


async def test_the_version_of_a_job_that_has_been_shown_is_not_asked_for_until_something_is_written(asked: Asked) -> None:
    life = Life(asked._store)
    job = await life.submit(1)
    for _ in range(3):
        await jobs.get(asked.request(job_id=job.id))
    await asked.total("limit=5")
    await jobs.get(asked.request(job_id=job.id))
    assert asked.versions == 0
    await life.submit(1)
    await jobs.get(asked.request(job_id=job.id))
    assert asked.versions == 1


async def test_what_is_kept_of_a_tenant_is_not_found_under_another_name(asked: Asked) -> None:
    """A tenant may have any name, and an id in a path may be any text."""
    await Life(asked._store).submit(3, tenant="t")
    where = job_filter(Parameters(asked.request()), "t")
    await asked.at.store.scan(PageVersions(where, 1, 0))
    asked.at.pages.put(f"total\0{where!r}", await asked.at.generation(), b"3")
    request = asked.request(job_id=repr(where))
    request.scope["assay.caller"] = Caller("total", "", frozenset())
    request.scope["headers"] = ((b"if-none-match", b"*"),)
    with pytest.raises(NotFound):
        await jobs.get(request)
