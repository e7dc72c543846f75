"""The feeds of tenants: the histories of all their jobs. One reader for all tenants that are watched."""

from __future__ import annotations

import asyncio
import logging

from assay.model.errors import AssayError
from assay.server.streams import frames
from assay.server.streams.channel import Channel, dismiss
from assay.server.streams.feeds import BREATH_S, KEEPALIVE_S, RETRY_S, Page
from assay.server.streams.frames import Batch, Frame, KeepAlive
from assay.server.streams.watcher import Watcher
from assay.store.base import EVENTS, Store
from assay.store.history import EventsBetween, LastEvent

log = logging.getLogger(__name__)

_SPAN = 1000
"""Numbers of events that are read at once, whosever they are."""
_UNSETTLED_S = 0.05
"""When to look again for events that another server is just about to commit."""


class Tail:
    """Reads what is new of all jobs for as long as any tenant is watched."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._channels: dict[str, Channel] = {}
        self._reader: asyncio.Task[None] | None = None
        self._told = 0

    def join(self, tenant: str, watcher: Watcher) -> int:
        """Tell the watcher of a tenant's events from now on; return the number of the last one that it was too late for."""
        self._channels.setdefault(tenant, Channel()).watchers.add(watcher)
        if self._reader is None:
            self._told = watcher.position
            self._reader = asyncio.create_task(self._read())
        return self._told

    def leave(self, tenant: str, watcher: Watcher) -> None:
        """Tell the watcher no more. With the last one of all the reader stops."""
        channel = self._channels.get(tenant)
        if channel is None:
            return
        channel.watchers.discard(watcher)
        if not channel.watchers:
            del self._channels[tenant]
        if not self._channels and self._reader is not None:
            self._reader.cancel()
            self._reader = None

    async def _read(self) -> None:
        try:
            while not self.store.signals.closed:
                await self._look()
        except Exception:
            log.exception("the events of tenants are not told")
        channels, self._channels, self._reader = self._channels, {}, None
        for channel in channels.values():
            dismiss(channel)

    async def _look(self) -> None:
        ticket = self.store.signals.ticket([EVENTS])
        try:
            try:
                last = await self.store.lookup(LastEvent())
                horizon = await self.store.horizon()
                until = min(horizon, self._told + _SPAN)
                found = await self.store.scan(EventsBetween(self._told, until)) if until > self._told else []
            except AssayError:  # the store will answer again; meanwhile nothing is lost
                await asyncio.sleep(RETRY_S)
                return
            self._told = max(self._told, until)
            by_tenant: dict[str, list[Frame]] = {}
            for tenant, event in found:
                if tenant in self._channels:
                    by_tenant.setdefault(tenant, []).append(frames.of_event(event))
            for tenant, told in by_tenant.items():
                if tenant in self._channels:
                    await self._channels[tenant].tell(Batch(told))
            if self._told < horizon:
                return
            await asyncio.sleep(BREATH_S)
            wait_s = KEEPALIVE_S if last <= horizon else _UNSETTLED_S
            if not await ticket.wait(wait_s) and wait_s == KEEPALIVE_S:
                for channel in tuple(self._channels.values()):
                    await channel.tell(KeepAlive())
        finally:
            ticket.drop()


class TenantFeed:
    """The feed of one tenant."""

    def __init__(self, tail: Tail, tenant: str) -> None:
        self._tail, self._tenant = tail, tenant

    async def page(self, after: int) -> Page:
        """Read the history of all of the tenant's jobs after the event `after`."""
        horizon = await self._tail.store.horizon()
        until = max(after, min(horizon, after + _SPAN))
        found = await self._tail.store.scan(EventsBetween(after, until)) if until > after else []
        own = [frames.of_event(event) for tenant, event in found if tenant == self._tenant]
        return Page(own, until, until < horizon)

    def join(self, watcher: Watcher) -> int:
        """Tell the watcher from now on."""
        return self._tail.join(self._tenant, watcher)

    def standing(self) -> Batch | None:
        """Progress is told to those who watch a job."""
        return None

    def leave(self, watcher: Watcher) -> None:
        """Tell the watcher no more."""
        self._tail.leave(self._tenant, watcher)
