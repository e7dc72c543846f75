"""Who carries what: the carriers of every kind of parcel, and the publishers that the settings name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.config import Settings
from assay.scheduler.card_exports import CardCarrier
from assay.scheduler.notifying import DaprCarrier, RedisCarrier, WebhookCarrier
from assay.scheduler.outbox import Carrier
from assay.store.base import Store
from assay.store.notices import WEBHOOK
from assay.store.outbox import CARD

if TYPE_CHECKING:
    from assay.redis import Redis

DAPR = "dapr"
REDIS = "redis"


def carriers(store: Store, settings: Settings, redis: Redis | None = None) -> dict[str, Carrier]:
    """Return the carriers by kind of parcel. Each that is neither for cards nor for webhooks is a publisher's."""
    found: dict[str, Carrier] = {CARD: CardCarrier(store, settings), WEBHOOK: WebhookCarrier(store, settings)}
    if settings.dapr_pubsub:
        found[DAPR] = DaprCarrier(settings)
    if settings.redis_channel and redis is not None:
        found[REDIS] = RedisCarrier(settings, redis)
    return found
