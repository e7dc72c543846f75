"""Notices leave: to webhooks of tenants, and to the message brokers that the settings name."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from assay.config import Settings
from assay.model.notices import CONTENT_TYPE, TEST, Notice, Subscription, cloud_event
from assay.notify.outward import OutwardResolver
from assay.notify.posting import Poster, Undelivered
from assay.notify.signing import SecretUnusable, keys_of, signature
from assay.scheduler.identifiers import rfc3339
from assay.store.base import Operation, Store
from assay.store.notices import WebhooksById
from assay.store.outbox import LONGEST_PAUSE, DropParcel, EndParcel, Outcome, Parcel

if TYPE_CHECKING:
    from assay.redis import Redis

log = logging.getLogger(__name__)

_notice = msgspec.json.Decoder(Notice)


class _NoticeCarrier:
    """What all carriers of notices share: how long they try, and what is written of an attempt."""

    slots = 4
    longest_pause_s = LONGEST_PAUSE / 1_000_000

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.limit_s: float = settings.webhook_timeout_seconds + 5.0

    async def ready(self, parcels: list[Parcel]) -> list[Parcel]:
        """Return the parcels: these may be sent at any time."""
        return parcels

    def failed(self, parcel: Parcel, error: Exception, now: int, pause_s: float) -> Operation[Any]:
        """Return what writes that an attempt came to nothing, and when the next one is, if there is one."""
        if isinstance(error, TimeoutError):
            error = Undelivered(f"no answer within {self.limit_s:g} s")
        elif not isinstance(error, Undelivered):
            log.error("the notice %s could not be sent to %s %s", parcel.key, parcel.kind, parcel.target, exc_info=error)
            error = Undelivered("the server's log says why")
        pause_s = max(pause_s * random.uniform(0.8, 1.2), min(error.retry_after_s, self.longest_pause_s))  # noqa: S311
        retry_at = now + round(pause_s * 1_000_000)
        patience = round(self._settings.webhook_retry_seconds * 1_000_000)
        if error.lasting or _notice.decode(parcel.content).type == TEST or retry_at > parcel.created_at + patience:
            log.warning("the notice %s is not delivered to %s %s: %s", parcel.key, parcel.kind, parcel.target, error)
            return EndParcel(parcel, Outcome(False, error.status, str(error)), now)
        return EndParcel(parcel, Outcome(False, error.status, str(error), retry_at), now)

    async def close(self) -> None:
        """Close all connections."""

    def _event(self, parcel: Parcel) -> bytes:
        notice = _notice.decode(parcel.content)
        return cloud_event(notice, self._settings.notification_source, rfc3339(notice.at))


class WebhookCarrier(_NoticeCarrier):
    """Posts notices to webhooks, signed where they name a secret."""

    def __init__(self, store: Store, settings: Settings) -> None:
        super().__init__(settings)
        self._store = store
        self._poster = Poster(settings.webhook_timeout_seconds, OutwardResolver(settings.webhook_networks))

    async def ready(self, parcels: list[Parcel]) -> list[Parcel]:
        """Return the parcels whose webhooks are not paused."""
        ids = tuple({parcel.target for parcel in parcels})
        paused = {
            webhook.id for webhook in (await self._store.scan(WebhooksById(ids))).values() if webhook.body.get("paused")
        }
        return [parcel for parcel in parcels if parcel.target not in paused]

    async def carry(self, parcel: Parcel, now: Callable[[], int]) -> Operation[Any]:
        """Post one notice. Raises Undelivered."""
        webhook = (await self._store.lookup(WebhooksById((parcel.target,)))).get(parcel.target)
        if webhook is None:
            return DropParcel(parcel)
        subscription = msgspec.convert(webhook.body, Subscription)
        body, timestamp = self._event(parcel), int(time.time())
        headers = {"Content-Type": CONTENT_TYPE, "webhook-id": parcel.key, "webhook-timestamp": str(timestamp)}
        if subscription.secret_ref:
            try:
                keys = keys_of(subscription.secret_ref, self._settings.secrets_dir)
            except SecretUnusable as error:
                raise Undelivered(str(error)) from None
            headers["webhook-signature"] = signature(keys, parcel.key, timestamp, body)
        status = await self._poster.post(subscription.url, headers, body)
        return EndParcel(parcel, Outcome(True, status), now())

    async def close(self) -> None:
        """Close all connections."""
        await self._poster.close()


class DaprCarrier(_NoticeCarrier):
    """Publishes notices through the HTTP API of a Dapr sidecar."""

    slots = 8

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._poster = Poster(settings.webhook_timeout_seconds)
        self._url = f"{settings.dapr_url}/v1.0/publish/{settings.dapr_pubsub}/{settings.dapr_topic}"

    async def carry(self, parcel: Parcel, now: Callable[[], int]) -> Operation[Any]:
        """Publish one notice. Raises Undelivered."""
        headers = {"Content-Type": CONTENT_TYPE}
        if self._settings.dapr_api_token:
            headers["dapr-api-token"] = self._settings.dapr_api_token
        status = await self._poster.post(self._url, headers, self._event(parcel))
        return EndParcel(parcel, Outcome(True, status), now())

    async def close(self) -> None:
        """Close all connections."""
        await self._poster.close()


class RedisCarrier(_NoticeCarrier):
    """Publishes notices on a channel of Redis. Taken is what Redis has taken, whether or not anybody listens."""

    slots = 8

    def __init__(self, settings: Settings, redis: Redis) -> None:
        super().__init__(settings)
        self._redis, self._channel = redis, settings.redis_channel

    async def carry(self, parcel: Parcel, now: Callable[[], int]) -> Operation[Any]:
        """Publish one notice. Raises Undelivered."""
        if not await self._redis.publish(self._channel, self._event(parcel)):
            raise Undelivered("Redis is away, or refuses it")
        return EndParcel(parcel, Outcome(True), now())
