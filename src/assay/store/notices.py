"""Notices: what changes of jobs and runs put into the outbox for those who asked to be told.

Whether anybody has asked is known from the row of the job that the change reads in any case, so where nobody has it costs
nothing and nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from assay.model.notices import DELETED, Notice, Subscription, of_job, of_run
from assay.model.records import Run
from assay.model.states import Status
from assay.store.base import Row, Signal, Steps, run
from assay.store.outbox import OUTBOX
from assay.store.resources import Resource, resource_of
from assay.store.rows import encode

WEBHOOK = "webhook"
PUBLISHER = "publisher"

_subscription = msgspec.json.Decoder(Subscription)


def tell(job_id: str, tenant: str, notices: Sequence[Notice], now: int) -> Steps[None]:
    """Put notices about a job into the outbox, in order, for everybody who wants them."""
    asked = [
        (row["id"] if row["kind"] == PUBLISHER else row["kind"], row["id"], _subscription.decode(row["body"]))
        for row in (yield run("subscribers", tenant=tenant))
    ]
    tags: list[str] = []
    if any(subscription.tags for *_, subscription in asked):
        tags = [row["tag"] for row in (yield run("tags_of_job", id=job_id))]
    told = False
    for notice in notices:
        for kind, target, subscription in asked:
            if subscription.wants(notice, tags):
                yield from put(kind, target, job_id, notice, now)
                told = True
    if told:
        yield [Signal(OUTBOX)]


def put(kind: str, target: str, job_id: str, notice: Notice, now: int) -> Steps[None]:
    """Put one notice into the outbox, behind those of the same job for the same target."""
    yield run("put_notice", kind=kind, target=target, job_id=job_id, key=notice.id, content=encode(notice), now=now)


def of_runs(job: Mapping[str, Any], moved: Iterable[tuple[Run, Status]], now: int, version: int) -> list[Notice]:
    """Return the notices of runs that went to another public status."""
    told = msgspec.structs.asdict
    return [of_run(_members(job), told(before), status, now, version) for before, status in moved]


def of_state(job: Mapping[str, Any], state: str, now: int, version: int, test: bytes) -> Notice:
    """Return the notice of a job that went to another state; `test` is the JSON of what its scores came to, if anything."""
    more = {"test": msgspec.Raw(test)} if test else {}
    return of_job(_members(job), f"assay.job.{state}", state, now, version, **more)


def of_deletion(job: Row, now: int) -> Notice:
    """Return the notice of a job that is deleted in the state that it was in."""
    return of_job(_members(job), DELETED, job["state"], now, job["version"] + 1)


def _members(job: Mapping[str, Any] | Row) -> dict[str, str]:
    return {name: job[name] for name in ("id", "tenant", "owner", "name", "model", "collection")}


@dataclass(frozen=True)
class TryWebhook:
    """Put a notice into the outbox that says nothing but that it has arrived; return its row."""

    webhook_id: str
    notice: Notice
    now: int

    def steps(self) -> Steps[Row]:
        # A lane of its own: it must not wait for others.
        yield from put(WEBHOOK, self.webhook_id, "", self.notice, self.now)
        (row,) = yield run("parcel_by_key", target=self.webhook_id, key=self.notice.id)
        yield [Signal(OUTBOX)]
        return row


@dataclass(frozen=True)
class DeleteWebhook:
    """Delete a webhook with everything that waits for it."""

    id: str

    def steps(self) -> Steps[None]:
        yield run("delete_resource", kind=WEBHOOK, id=self.id)
        yield run("drop_target", target=self.id)


@dataclass(frozen=True)
class WebhooksById:
    """Webhooks, whoever's they are, by id. Unknown ids are left out."""

    ids: tuple[str, ...]

    def steps(self) -> Steps[dict[str, Resource]]:
        ids = msgspec.json.encode(self.ids).decode()
        return {row["id"]: resource_of(row) for row in (yield run("webhooks_by_id", ids=ids))}


@dataclass(frozen=True)
class SetPublishers:
    """Have changes of all tenants' jobs told to these publishers and to no others."""

    names: tuple[str, ...]
    now: int

    def steps(self) -> Steps[None]:
        known = {row["id"] for row in (yield run("publishers"))}
        for name in self.names:
            if name not in known:
                yield run("put_publisher", id=name, now=self.now, body=encode(Subscription()))
        for name in sorted(known.difference(self.names)):
            yield run("delete_resource", kind=PUBLISHER, id=name)
            yield run("drop_target", target=name)
